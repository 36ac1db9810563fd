# SPDX-License-Identifier: Apache-2.0
"""`edge-server mesh generate-key` prints what the configuration takes."""

from __future__ import annotations

from click.testing import CliRunner

from edge_twisted.cli.main import edge_server
from edge_twisted.config.mesh_key import parse_mesh_key


def test_a_generated_key_is_one_and_new_each_time() -> None:
    printed = [CliRunner().invoke(edge_server, ["mesh", "generate-key"]) for _ in range(2)]
    assert [each.exit_code for each in printed] == [0, 0]
    lines = [each.stdout.rstrip("\n") for each in printed]
    assert all("\n" not in line for line in lines)
    keys = {parse_mesh_key(line).private_numbers().private_value for line in lines}
    assert len(keys) == 2

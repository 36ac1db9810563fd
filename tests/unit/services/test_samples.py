# SPDX-License-Identifier: Apache-2.0
"""The configurations in etc/ load once their placeholders are filled in, and not before."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from edge_twisted.cli.mesh import mesh
from edge_twisted.config.checks import Checks
from edge_twisted.config.load import load
from edge_twisted.config.model import Configuration, FineGrained
from edge_twisted.config.problems import ConfigurationError
from edge_twisted.services.configuration import read_configuration

ETC = Path(__file__).parents[3] / "etc"
SAMPLES = sorted(ETC.glob("*.yaml"))


def filled_in(path: Path, folder: Path) -> Configuration:
    key = CliRunner().invoke(mesh, ["generate-key"]).output.strip()
    copy = folder / path.name
    copy.write_text(path.read_text("utf-8").replace("REPLACE_WITH_KEY", key), "utf-8")
    loaded = load(copy, {}, Checks())
    assert not [str(each) for each in loaded.warnings]
    return loaded.configuration


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_it_loads(path: Path, tmp_path: Path) -> None:
    assert filled_in(path, tmp_path).http_server is not None


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_each_placeholder_is_named(path: Path) -> None:
    """A placeholder that were taken for a secret would be one that everybody knows."""
    lines = path.read_text("utf-8").splitlines()
    waiting = {number for number, line in enumerate(lines, 1) if '"REPLACE_WITH_' in line}
    named: set[int | None] = set()
    try:
        read_configuration(path, {})
    except ConfigurationError as error:
        named = {each.position.line for each in error.problems if each.position is not None}
    assert waiting <= named


def test_the_mesh_pair_runs_on_one_machine(tmp_path: Path) -> None:
    """One member dials the other, and no port is asked for twice."""
    hub = filled_in(ETC / "mesh-hub.yaml", tmp_path)
    spoke = filled_in(ETC / "mesh-spoke.yaml", tmp_path)
    ports = [each.database.transport.tcp_listen.port for each in (hub, spoke)]
    assert len(set(ports)) == 2
    assert [str(each) for each in spoke.database.transport.known_tcp_servers] == [
        f"127.0.0.1:{ports[0]}"
    ]
    assert hub.database.db_id == spoke.database.db_id


def test_production_grants_as_little_as_it_says(tmp_path: Path) -> None:
    auth = filled_in(ETC / "production.yaml", tmp_path).auth
    assert auth is not None
    [metrics] = [each for each in auth.identities if each.id == "prometheus"]
    assert metrics.permissions == (FineGrained(endpoints=("metrics",)),)

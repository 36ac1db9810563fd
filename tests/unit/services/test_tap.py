# SPDX-License-Identifier: Apache-2.0
"""The head of tap.py tells how the server is assembled: this holds it to the server."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest
from twisted.python.reflect import qual

from edge_twisted import tap
from edge_twisted.services.edge_server import EdgeServer
from edge_twisted.services.ordered import name_of

#: A line of the table: the name of a part, in brackets if it is optional, and its module.
ROW = re.compile(r"^    (\[?)([a-z ]+?)\]?  +((?:services|logs|security)\.\w+)  +\S", re.MULTILINE)


def test_the_head_has_every_part_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert tap.__doc__ is not None
    rows = ROW.findall(tap.__doc__)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WATCHDOG_USEC", "30000000")
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    options = tap.Options()
    options.parseOptions([])
    server = tap.makeService(options)
    assert isinstance(server, EdgeServer)
    assert [name for _, name, _ in rows] == [name_of(part) for part in server.parts]
    for (_, name, module), part in zip(rows, server.parts, strict=True):
        import_module(f"edge_twisted.{module}")
        if name != "development certificate":
            assert qual(type(part)).startswith(f"edge_twisted.{module}.")


def test_parts_in_brackets_are_optional(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert tap.__doc__ is not None
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    file = tmp_path / "edge.yaml"
    file.write_text(
        "database:\n"
        "  db_id: 00000000-0000-0000-0000-000000000001\n"
        "  device_name: bare\n"
        "  auth: {small_peer_only: {offline_license_token: t}}\n"
        f"  persistence_dir: {{path: {tmp_path}/data}}\n"
        "auth: dev_mode\n"
    )
    options = tap.Options()
    options.parseOptions(["--config", str(file)])
    server = tap.makeService(options)
    assert isinstance(server, EdgeServer)
    always = [name for bracket, name, _ in ROW.findall(tap.__doc__) if not bracket]
    assert [name_of(part) for part in server.parts] == always
    assert [path.name for path in tmp_path.iterdir()] == ["edge.yaml"]

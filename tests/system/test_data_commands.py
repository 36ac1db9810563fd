# SPDX-License-Identifier: Apache-2.0
"""`edge-server backup`, `check` and `restore`, as an operator uses them."""

from __future__ import annotations

import threading
from pathlib import Path

import apsw
import pytest

from tests.system.daemon import connect, edge_server, running
from tests.system.fixtures import configuration, write_configuration

pytestmark = pytest.mark.system


def test_a_backup_of_a_running_server_is_restored(tmp_path: Path) -> None:
    """What was acknowledged before the backup began is in it, whatever is written meanwhile."""
    data = configuration(tls_config="dev_mode")
    path = str(write_configuration(tmp_path, data))
    target = tmp_path / "backup"
    with running(["--config", path], tmp_path) as daemon:
        port = daemon.port
        client = connect(port)
        documents = [{"_id": n, "text": "x" * 200} for n in range(500)]
        assert client.execute("INSERT INTO t DOCUMENTS (:d)", {"d": documents}).status == 200
        stop = threading.Event()
        writer = threading.Thread(target=write_on, args=(port, stop))
        writer.start()
        done = edge_server("backup", "-c", path, str(target), folder=tmp_path)
        stop.set()
        writer.join()
        assert done.returncode == 0, done.stderr
        assert "backed up" in done.stdout
        again = edge_server("backup", "-c", path, str(target), folder=tmp_path)
        assert (again.returncode, "never overwrites" in again.stderr) == (1, True)
        checked = edge_server("check", "-c", path, folder=tmp_path)
        assert checked.returncode == 0, checked.stdout
        refused = edge_server("restore", "-c", path, "--force", str(target), folder=tmp_path)
        assert (refused.returncode, "is using this folder" in refused.stderr) == (1, True)
        repair = edge_server("check", "-c", path, "--repair", folder=tmp_path)
        assert (repair.returncode, "is using this folder" in repair.stderr) == (1, True)
        client.execute("EVICT FROM t")
    refused = edge_server("restore", "-c", path, str(target), folder=tmp_path)
    assert (refused.returncode, "--force" in refused.stderr) == (1, True)
    restored = edge_server("restore", "-c", path, "--force", str(target), folder=tmp_path)
    assert restored.returncode == 0, restored.stderr
    assert edge_server("check", "-c", path, folder=tmp_path).returncode == 0
    with running(["--config", path], tmp_path) as daemon:
        found = connect(daemon.port).execute("SELECT _id FROM t")
        assert {row["_id"] for row in found.json()["items"]} >= set(range(500))


def write_on(port: int, stop: threading.Event) -> None:
    client, number = connect(port), 1000
    while not stop.is_set():
        client.execute("INSERT INTO t DOCUMENTS (:d)", {"d": [{"_id": number}]})
        number += 1


def test_exit_statuses(tmp_path: Path) -> None:
    """1: failed; 2: wrong usage; 78: a bad configuration."""
    path = write_configuration(tmp_path, configuration(tls_config="dev_mode"))
    assert edge_server("check", "-c", str(path), folder=tmp_path).returncode == 1
    assert edge_server("check", folder=tmp_path).returncode == 2
    assert edge_server("backup", "-c", str(path), folder=tmp_path).returncode == 2
    nowhere = edge_server("restore", "-c", str(path), "nowhere", folder=tmp_path)
    assert nowhere.returncode == 2
    path.write_text("database: 5\n")
    assert edge_server("check", "-c", str(path), folder=tmp_path).returncode == 78


def test_damage_is_told_and_repaired(tmp_path: Path) -> None:
    path = str(write_configuration(tmp_path, configuration(tls_config="dev_mode")))
    with running(["--config", path], tmp_path) as daemon:
        connect(daemon.port).execute("INSERT INTO t DOCUMENTS ({'_id': 1})")
    (file,) = tmp_path.rglob("*.db")
    connection = apsw.Connection(str(file))
    connection.execute("UPDATE collections SET live = 7")
    connection.close()
    found = edge_server("check", "-c", path, folder=tmp_path)
    assert found.returncode == 1
    assert "collection t: it is said to have 7 documents, and has 1" in found.stdout
    assert "--repair" in found.stdout
    repaired = edge_server("check", "-c", path, "--repair", folder=tmp_path)
    assert (repaired.returncode, "repaired" in repaired.stdout) == (0, True)
    assert edge_server("check", "-c", path, folder=tmp_path).returncode == 0

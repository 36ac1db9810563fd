# SPDX-License-Identifier: Apache-2.0
"""Servers that find each other: two real daemons, linked over loopback."""

from __future__ import annotations

import signal
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.system.daemon import PATIENCE_SECONDS, Client, connect, edge_server, running
from tests.system.fixtures import configuration, write_configuration

pytestmark = pytest.mark.system

TOKEN = "a token that all servers of this mesh share"


def mesh_configuration(name: str, token: str = TOKEN, **transport: Any) -> dict[str, Any]:
    """A server that listens for peers on any free port, without discovery."""
    data = configuration(enable_metrics=True)
    data["database"] |= {
        "device_name": name,
        "auth": {"small_peer_only": {"offline_license_token": token}},
        "subscriptions": ["SELECT * FROM tasks"],
        "transport_config": {
            "peer_to_peer": {"lan_enabled": False},
            "listen_config": {"tcp_listen": {"enable": True, "ip": "127.0.0.1", "port": 0}},
            **transport,
        },
    }
    return data


def known(port: int) -> dict[str, Any]:
    return {"known_tcp_servers": [f"127.0.0.1:{port}"], "retry_interval_msec": 200}


def folder(parent: Path, name: str) -> Path:
    made = parent / name
    made.mkdir()
    return made


def eventually(what: Callable[[], Any]) -> Any:
    """Return the first true answer."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (answer := what()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)
    return answer


def peers(client: Client) -> list[str]:
    graph = client.request("GET", "/presence").json()
    return [peer["deviceName"] for peer in graph["remotePeers"]]


def test_two_servers_see_each_other_and_share_documents(tmp_path: Path) -> None:
    first, second = folder(tmp_path, "first"), folder(tmp_path, "second")
    path = write_configuration(first, mesh_configuration("first"))
    with running(["--config", str(path)], first) as one:
        mesh_port = int(one.wait_for(r'Mesh listening on [^"]*:(\d+)').group(1))
        client_one = connect(one.port, first / "cert.pem")
        data = mesh_configuration("second", connect_config=known(mesh_port))
        path_two = write_configuration(second, data)
        with running(["--config", str(path_two)], second) as two:
            client_two = connect(two.port, second / "cert.pem")
            eventually(lambda: peers(client_one) == ["second"] and peers(client_two) == ["first"])
            graph = client_one.request("GET", "/presence").json()
            (link,) = graph["localPeer"]["connections"]
            keys = sorted(
                [graph["localPeer"]["peerKeyString"], graph["remotePeers"][0]["peerKeyString"]]
            )
            assert [link["peerKeyString1"], link["peerKeyString2"]] == keys
            assert graph["remotePeers"][0]["connections"] == [link]
            key_file = next((first / "data").glob("*.mesh-key.pem"))
            assert stat.S_IMODE(key_file.stat().st_mode) == 0o600

            client_one.execute("INSERT INTO tasks DOCUMENTS (:d)", {"d": {"_id": "t1", "n": 1}})
            found = eventually(lambda: client_two.execute("SELECT * FROM tasks").json()["items"])
            assert found == [{"_id": "t1", "n": 1}]
            row = "SELECT * FROM system:data_sync_info"
            told = eventually(
                lambda: [
                    each["documents"]
                    for each in client_one.execute(row).json()["items"]
                    if each["documents"]["synced_up_to_local_commit_id"] == 1
                ]
            )
            assert told[0]["sync_session_status"] == "Connected"
            words = edge_server("status", "-c", str(path), folder=first).stdout
            assert "Connected peers: 1" in words
            assert "second (pk" in words
            assert "up to date" in words
            metrics = client_one.request("GET", "/metrics").body.decode()
            assert "edge_mesh_peers 1.0" in metrics
            two.stop(signal.SIGKILL)
            eventually(lambda: peers(client_one) == [])
        rows = client_one.execute(row).json()["items"]
        assert [each["documents"]["sync_session_status"] for each in rows] == ["Not Connected"]
        assert one.stop() == 0
    with running(["--config", str(path)], first) as one:
        client_one = connect(one.port, first / "cert.pem")
        rows = client_one.execute(row).json()["items"]
        assert rows[0]["documents"]["synced_up_to_local_commit_id"] == 1, "kept over a restart"
        again = client_one.request("GET", "/presence").json()["localPeer"]["peerKeyString"]
        assert again == graph["localPeer"]["peerKeyString"]
        assert one.stop() == 0
    gone = edge_server("status", "-c", str(path), folder=first)
    assert gone.returncode == 1
    assert "no server runs" in gone.stderr


def test_a_stranger_is_named_on_both_sides_and_a_taken_port_ends_the_start(tmp_path: Path) -> None:
    first, second = folder(tmp_path, "first"), folder(tmp_path, "second")
    path = write_configuration(first, mesh_configuration("first"))
    with running(["--config", str(path)], first) as one:
        port = int(one.wait_for(r'Mesh listening on [^"]*:(\d+)').group(1))
        data = mesh_configuration("second", "another token", connect_config=known(port))
        path = write_configuration(second, data)
        with running(["--config", str(path)], second) as two:
            two.wait_for(r"Mesh link with .*not_a_member")
            one.wait_for(r"Mesh link with .*not_a_member")
            assert TOKEN not in "".join([*one.lines, *two.lines])
            assert two.stop() == 0
        listen = {"tcp_listen": {"enable": True, "ip": "127.0.0.1", "port": port}}
        path = write_configuration(second, mesh_configuration("second", listen_config=listen))
        with running(["--config", str(path)], second) as two:
            assert two.process.wait(PATIENCE_SECONDS) == 1
            two.wait_for(f"port {port} is in use")
        assert one.stop() == 0


def test_a_server_without_an_authority_says_so_and_serves(tmp_path: Path) -> None:
    data = mesh_configuration("alone")
    server = {"access_token": "t" * 20, "auth_url": "https://localhost", "provider": "acme"}
    data["database"]["auth"] = {"server": server}
    path = write_configuration(tmp_path, data)
    with running(["--config", str(path)], tmp_path) as daemon:
        daemon.wait_for("links with nobody: provider 'acme'")
        client = connect(daemon.port, tmp_path / "cert.pem")
        graph = client.request("GET", "/presence").json()
        assert "acme" in graph["localPeer"]["peerMetadata"]["mesh"]
        assert graph["localPeer"]["peerKeyString"].startswith("pk")
        assert graph["remotePeers"] == []
        words = edge_server("status", "-c", str(path), folder=tmp_path).stdout
        assert "The mesh is off" in words
        assert daemon.stop() == 0

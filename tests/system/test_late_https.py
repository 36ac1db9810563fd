# SPDX-License-Identifier: Apache-2.0
"""A certificate whose date is wrong is no dead site: all but HTTPS serves, HTTPS begins late."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.system.daemon import connect, edge_server, running
from tests.system.fixtures import configuration, write_certificate, write_configuration

pytestmark = pytest.mark.system


def with_mesh(**http_server: Any) -> dict[str, Any]:
    """Return a configuration that also listens for peers."""
    plain = configuration(**http_server)
    listen = {"tcp_listen": {"enable": True, "ip": "127.0.0.1", "port": 0}}
    transport = {"listen_config": listen, "peer_to_peer": {"lan_enabled": False}}
    plain["database"]["transport_config"] = transport
    return plain


def status(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return edge_server("status", "-c", "config.yaml", *words, folder=folder)


def test_all_but_https_serves_until_a_valid_pair_is_there(tmp_path: Path) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    write_certificate(cert, key, days=-1)
    write_configuration(tmp_path, with_mesh())
    checked = edge_server("config", "validate", "-c", "config.yaml", folder=tmp_path)
    assert checked.returncode == 78
    assert "expired" in checked.stderr
    notified = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
        supervisor.bind(str(notified))
        supervisor.settimeout(60)
        environ = {"NOTIFY_SOCKET": str(notified)}
        with running(["--config", "config.yaml"], tmp_path, environ) as daemon:
            daemon.wait_for("warning: http_server.tls_config.cert.*expired.*HTTPS begins when")
            daemon.wait_for("Mesh listening on 127.0.0.1")
            daemon.wait_for('"level":"critical".*HTTPS is not served; everything else is.*expired')
            assert "STATUS=serving all but HTTPS: " in supervisor.recv(4096).decode()
            told = status(tmp_path)
            assert told.returncode == 0
            assert re.search("HTTPS IS NOT SERVED: .*expired", told.stdout)
            assert "Listening for peers on 127.0.0.1" in told.stdout

            write_certificate(cert, key)
            port = daemon.port
            daemon.wait_for("HTTPS is served from now on")
            assert "STATUS=serving\n" in supervisor.recv(4096).decode()
            client = connect(port, cert)
            assert client.request("GET", "/health").json() == {"status": "ok"}
            assert f"Serving HTTP on 127.0.0.1:{port}" in status(tmp_path).stdout
            assert daemon.stop() == 0


def test_a_port_that_somebody_took_meanwhile_is_said(tmp_path: Path) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    write_certificate(cert, key, days=-1)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        write_configuration(tmp_path, with_mesh(listen_addr=address))
        with running(["--config", "config.yaml"], tmp_path) as daemon:
            daemon.wait_for("HTTPS is not served")
            fresh = tmp_path / "fresh"
            fresh.mkdir()
            write_certificate(fresh / "cert.pem", fresh / "key.pem")
            for name in ("key.pem", "cert.pem"):
                shutil.copy(fresh / name, tmp_path / name)
            daemon.wait_for(f"HTTPS is not served.*{address}")
            assert address in json.loads(status(tmp_path, "--json").stdout)["http"]["problem"]
            assert daemon.stop() == 0

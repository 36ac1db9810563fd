# SPDX-License-Identifier: Apache-2.0
"""The daemon as its users meet it: started, driven over TLS, reloaded, killed, stopped."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.daemon import Daemon, connect, edge_server, environment, program, running
from tests.system.fixtures import configuration, write_certificate, write_configuration

pytestmark = pytest.mark.system


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    path = write_configuration(tmp_path, configuration())
    with running(["--config", str(path)], tmp_path) as daemon:
        yield daemon


def test_a_document_survives_kill_9(tmp_path: Path) -> None:
    """What was acknowledged is on disk, whatever becomes of the process."""
    path = write_configuration(tmp_path, configuration())
    task = {"_id": "t1", "title": "Refuel", "done": False, "litres": 40, "price": 1.0}
    with running(["--config", str(path)], tmp_path) as daemon:
        client = connect(daemon.port, tmp_path / "cert.pem")
        health = client.request("GET", "/health")
        assert (health.status, health.json()) == (200, {"status": "ok"})
        inserted = client.execute("INSERT INTO tasks DOCUMENTS (:doc)", {"doc": task})
        assert inserted.status == 200, inserted.body
        assert inserted.json()["mutatedDocumentIds"] == ["t1"]
        daemon.stop(signal.SIGKILL)
    with running(["--config", str(path)], tmp_path) as daemon:
        client = connect(daemon.port, tmp_path / "cert.pem")
        found = client.execute("SELECT * FROM tasks WHERE done = false")
        assert found.json()["items"] == [task]
        assert b'"price":1.0' in found.body.replace(b" ", b""), "a float stays a float"
        assert client.execute("SELECT * FROM tasks WHERE done = true").json()["items"] == []
        assert daemon.stop() == 0


def test_without_a_configuration_it_explains_itself(tmp_path: Path) -> None:
    """The README's first command: a certificate of its own, and a request to paste."""
    try:
        with socket.create_server(("127.0.0.1", 8443)):
            pass
    except OSError:
        pytest.skip("port 8443, which the embedded configuration uses, is taken")
    with running([], tmp_path) as daemon:
        daemon.wait_for("curl --cacert")
        ca = tmp_path / "edge-data" / "tls" / "dev-cert.pem"
        key = tmp_path / "edge-data" / "tls" / "dev-key.pem"
        assert key.stat().st_mode & 0o777 == 0o600
        client = connect(8443, ca)
        assert client.request("GET", "/health").status == 200
        assert daemon.stop() == 0


def test_keys_are_asked_for(tmp_path: Path) -> None:
    """A key of `api-key generate` opens what no key and a wrong key do not."""
    made = edge_server("api-key", "generate", folder=tmp_path).stdout
    key = made.partition("Generated Private Key: ")[2].split()[0]
    hashed = made.partition("Secure Public Hash: ")[2].split()[0]
    data = configuration()
    data["auth"] = {
        "identities": {"till": {"credential": {"api_key": hashed}, "permissions": ["all"]}},
        "permission_sets": {"all": {"permissions": "full"}},
    }
    path = write_configuration(tmp_path, data)
    with running(["--config", str(path)], tmp_path) as daemon:
        port = daemon.port
        ca = tmp_path / "cert.pem"
        refused = connect(port, ca).execute("SELECT * FROM tasks")
        assert refused.status == 401
        assert refused.headers["WWW-Authenticate"] == "Bearer"
        assert connect(port, ca, "wrong").execute("SELECT * FROM tasks").status == 401
        assert connect(port, ca, key).execute("SELECT * FROM tasks").status == 200
        assert connect(port, ca).request("GET", "/health").status == 200
        assert key not in "".join(daemon.lines)


@pytest.mark.parametrize(
    ("break_it", "expected"),
    [
        (lambda text: text.replace("db_id: 1", "db_id: x"), ":2:10: database.db_id: "),
        (lambda text: text.replace("device_name", "device_nam"), "did you mean"),
        (lambda text: text.replace("127.0.0.1:0", "127.0.0.1:99999"), "http_server.listen_addr"),
        (lambda text: text.replace("cert.pem", "nothing.pem"), "nothing.pem"),
        (lambda text: text + "logging: {}\n", "logging"),
        (lambda text: text + "\tx: [", "config.yaml:"),
    ],
)
def test_a_broken_configuration_opens_nothing(tmp_path: Path, break_it, expected: str) -> None:  # type: ignore[no-untyped-def]
    """Exit code 78 with position and remedy, before anything was opened or made."""
    path = write_configuration(tmp_path, configuration())
    broken = break_it(path.read_text())
    assert broken != path.read_text()
    path.write_text(broken)
    with running(["--config", str(path)], tmp_path) as daemon:
        assert daemon.process.wait(60) == 78
        daemon.wait_for(r".*" + expected.replace(".", r"\."))
        assert "Traceback" not in "".join(daemon.lines)
    assert not (tmp_path / "data").exists()
    validated = edge_server("config", "validate", "-c", str(path), folder=tmp_path)
    assert validated.returncode == 78
    assert expected in validated.stdout + validated.stderr


def test_a_taken_port_ends_the_process(tmp_path: Path) -> None:
    """Trap T3: no process stays up that serves nothing."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        path = write_configuration(tmp_path, configuration(listen_addr=f"127.0.0.1:{port}"))
        with running(["--config", str(path)], tmp_path) as daemon:
            assert daemon.process.wait(60) == 1
            daemon.wait_for(str(port))


def served_certificate(port: int) -> bytes:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", port), timeout=30) as raw,
        context.wrap_socket(raw, server_hostname="localhost") as tls,
    ):
        der = tls.getpeercert(binary_form=True)
    assert der is not None
    return der


def test_a_certificate_is_swapped_under_a_kept_alive_connection(
    daemon: Daemon, tmp_path: Path
) -> None:
    """The old connection lives, new ones see the new certificate, a broken file keeps the old."""
    port = daemon.port
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    client = connect(port, cert)
    assert client.request("GET", "/health").status == 200
    before = served_certificate(port)
    new = write_certificate(cert, key)
    daemon.process.send_signal(signal.SIGHUP)
    daemon.wait_for("New connections get the certificate")
    after = served_certificate(port)
    assert after != before
    assert ssl.PEM_cert_to_DER_cert(cert.read_text()) == after
    assert new.serial_number
    assert client.request("GET", "/health").status == 200, "the old connection lives"
    cert.write_text("this is no certificate")
    daemon.process.send_signal(signal.SIGHUP)
    daemon.wait_for("not PEM|no PEM")
    assert served_certificate(port) == after
    assert client.request("GET", "/health").status == 200
    assert daemon.stop() == 0


def test_a_changed_certificate_file_is_noticed(daemon: Daemon, tmp_path: Path) -> None:
    """Renewal without a signal: certbot replaces the files, new connections see it in 5 s."""
    port = daemon.port
    before = served_certificate(port)
    write_certificate(tmp_path / "cert.pem", tmp_path / "key.pem")
    daemon.wait_for("New connections get the certificate")
    assert served_certificate(port) != before


def test_an_invalid_reload_changes_nothing(daemon: Daemon, tmp_path: Path) -> None:
    """SIGHUP with a broken file is reported with its position; the server serves on."""
    port = daemon.port
    path = tmp_path / "config.yaml"
    path.write_text(path.read_text().replace("http_api: true", "http_api: maybe"))
    daemon.process.send_signal(signal.SIGHUP)
    daemon.wait_for(r"http_server\.http_api")
    assert connect(port, tmp_path / "cert.pem").request("GET", "/health").status == 200
    assert daemon.stop() == 0


def test_what_cannot_change_live_is_said(daemon: Daemon, tmp_path: Path) -> None:
    """A new device name needs a restart; the rest of the file is taken over."""
    assert daemon.port
    path = tmp_path / "config.yaml"
    path.write_text(path.read_text().replace("till-1", "till-2"))
    daemon.process.send_signal(signal.SIGHUP)
    daemon.wait_for("database.*needs restart")


def test_systemd_is_told(tmp_path: Path) -> None:
    """READY once it serves, RELOADING and READY around a reload, WATCHDOG, STOPPING."""
    path = write_configuration(tmp_path, configuration())
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.settimeout(60)
        extra = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "1000000"}

        def wait_for(word: bytes) -> bytes:
            while word not in (message := sock.recv(4096)):
                pass
            return message

        with running(["--config", str(path)], tmp_path, extra) as daemon:
            assert f"MAINPID={daemon.process.pid}".encode() in wait_for(b"READY=1")
            wait_for(b"WATCHDOG=1")
            daemon.process.send_signal(signal.SIGHUP)
            wait_for(b"RELOADING=1")
            wait_for(b"READY=1")
            daemon.process.send_signal(signal.SIGTERM)
            wait_for(b"STOPPING=1")
            assert daemon.process.wait(60) == 0


def test_systemd_hands_over_the_listener(tmp_path: Path) -> None:
    """Socket activation: the daemon serves on descriptor 3 and does not bind `listen_addr`."""
    path = write_configuration(tmp_path, configuration(listen_addr="127.0.0.1:1"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        os.set_inheritable(listener.fileno(), True)
        # LISTEN_PID must be the daemon's own, which only a shell that execs it knows.
        words = " ".join([*program("twistd"), "-n", "--pidfile=", "edgeserver"])
        script = f"exec 3<&{listener.fileno()}; LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=http"
        process = subprocess.Popen(
            ["bash", "-c", f"{script} exec {words} --config {path}"],
            cwd=tmp_path,
            env=environment(),
            pass_fds=[listener.fileno()],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            daemon = Daemon(process)
            daemon.wait_for("Listening")
            assert connect(port, tmp_path / "cert.pem").request("GET", "/health").status == 200
            assert daemon.stop() == 0
        finally:
            process.kill()
            process.wait()


def test_unix_socket(tmp_path: Path) -> None:
    """For a proxy on the same machine: mode 0660, replaced when stale, removed at stop."""
    path = write_configuration(
        tmp_path, configuration(listen_addr="unix:./edge.sock", tls_config="dev_mode")
    )
    where = tmp_path / "edge.sock"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(where))
    with running(["--config", str(path)], tmp_path) as daemon:
        daemon.wait_for("Listening")
        assert where.stat().st_mode & 0o777 == 0o660
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(30)
            sock.connect(str(where))
            sock.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            assert sock.recv(1000).startswith(b"HTTP/1.1 200 ")
        assert daemon.stop() == 0
    assert not where.exists()


def test_twistd_daemonizes(tmp_path: Path) -> None:
    """Trap T1: nothing is opened before the fork, so the forked process works."""
    path = write_configuration(tmp_path, configuration(listen_addr="unix:./edge.sock"))
    pid_file = tmp_path / "twistd.pid"
    words = [*program("twistd"), f"--pidfile={pid_file}", "edgeserver", "--config", str(path)]
    done = subprocess.run(words, cwd=tmp_path, env=environment(), timeout=60, check=False)
    assert done.returncode == 0
    deadline = time.monotonic() + 60
    while not (tmp_path / "edge.sock").exists():
        assert time.monotonic() < deadline, (tmp_path / "twistd.log").read_text()
        time.sleep(0.05)
    pid = int(pid_file.read_text())
    os.kill(pid, signal.SIGTERM)
    while pid_file.exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)

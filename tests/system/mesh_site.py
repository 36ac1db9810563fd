# SPDX-License-Identifier: Apache-2.0
"""One server of a mesh of real daemons: its folder, keys, configuration, and how to drive it."""

from __future__ import annotations

import json
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import yaml
from attrs import define, field

from tests.system.daemon import Client, Daemon, connect, edge_server, running
from tests.system.fixtures import configuration, write_certificate

PATIENCE_SECONDS = 60.0
#: What makes somebody a member of these meshes.
MESH_TOKEN = "a secret of the mesh"


def free_port() -> int:
    """Return a port that nobody has, below those that the system gives to connections going out."""
    while True:
        port = random.randrange(18_000, 30_000)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def new_key(folder: Path) -> tuple[str, str]:
    """Return a new API key and its hash."""
    made = edge_server("api-key", "generate", folder=folder).stdout
    key = made.partition("Generated Private Key: ")[2].split()[0]
    return key, made.partition("Secure Public Hash: ")[2].split()[0]


def eventually(what: str, holds: Callable[[], Any], seconds: float = PATIENCE_SECONDS) -> Any:
    """Return the first true answer of `holds`; fail after a while."""
    deadline = time.monotonic() + seconds
    while True:
        answer = holds()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"never came true: {what}; last answer {answer!r}")
        time.sleep(0.05)


@define
class Site:
    """A server of the mesh; `dials` are the mesh ports that it connects to."""

    name: str
    folder: Path
    mesh_port: int
    key: str
    settings: dict[str, Any]
    _daemon: Daemon | None = None
    _client: Client | None = None
    port: int = 0
    _running: ExitStack = field(factory=ExitStack)

    # -- life

    def start(self) -> None:
        """Write the configuration and start the daemon; returns once it listens."""
        self.write()
        words = ["--config", str(self.folder / "config.yaml")]
        self._running = ExitStack()
        self._daemon = self._running.enter_context(running(words, self.folder))
        self._client = None
        self.port = self._daemon.port

    def write(self) -> None:
        """Write the configuration file as the settings are now."""
        text = yaml.safe_dump(self.settings, sort_keys=False)
        (self.folder / "config.yaml").write_text(text)

    @property
    def daemon(self) -> Daemon:
        """The running daemon."""
        assert self._daemon is not None
        return self._daemon

    def kill(self) -> None:
        """End it as a power cut would."""
        self.daemon.stop(signal.SIGKILL)
        self._running.close()

    def end(self) -> None:
        """Kill it if it still runs, without waiting for anything."""
        self._running.close()

    def stop(self) -> int:
        """End it as an administrator would; return the exit code."""
        status = self.daemon.stop()
        self._running.close()
        return status

    def reload(self) -> None:
        """Have it read its configuration anew."""
        self.daemon.process.send_signal(signal.SIGHUP)

    # -- requests

    @property
    def client(self) -> Client:
        """A kept-alive connection with the site's key."""
        if self._client is None:
            self._client = connect(self.port, self.folder / "cert.pem", self.key)
        return self._client

    def reconnect(self) -> None:
        """Make a new connection for the next request: the key or the certificate changed."""
        self._client = None

    def run(self, statement: str, args: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Run a statement that must succeed; return the result."""
        answer = self.client.execute(statement, args)
        assert answer.status == 200, (self.name, statement, answer.status, answer.body)
        result: dict[str, Any] = answer.json()
        return result

    def items(self, statement: str, args: Mapping[str, Any] | None = None) -> list[Any]:
        """Return the rows of a query."""
        found: list[Any] = self.run(statement, args)["items"]
        return found

    def curl(self, *words: str) -> bytes:
        """Run curl against this server, with its key and certificate; return what it printed."""
        done = subprocess.run(
            [
                "curl", "-sS", "--fail-with-body", "--max-time", "30",
                "--cacert", str(self.folder / "cert.pem"),
                "-H", f"Authorization: Bearer {self.key}", *words,
            ],
            capture_output=True,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, (words, done.stdout, done.stderr)
        return done.stdout

    def url(self, path: str) -> str:
        """Return the address of a path."""
        return f"https://localhost:{self.port}{path}"

    def peers(self) -> set[str]:
        """Return the names of the others that it sees in the mesh."""
        graph = json.loads(self.client.request("GET", "/presence").body)
        return {peer["deviceName"] for peer in graph["remotePeers"]}

    def sees(self, names: set[str]) -> bool:
        """Return whether these are exactly the others that it sees."""
        return self.peers() == names

    def audit(self) -> Iterator[dict[str, Any]]:
        """Yield the lines of its audit log, oldest first."""
        for path in sorted((self.folder / "audit").iterdir()):
            for line in path.read_text().splitlines():
                yield json.loads(line)


def site(
    name: str,
    folder: Path,
    dials: Sequence[int],
    subscriptions: Sequence[str],
    api_key: tuple[str, str] | None = None,
    **http_server: Any,
) -> Site:
    """
    Return a server that is not started yet: TLS, one key, audit, mesh.

    :param api_key: as `new_key` returns it; without, a new one is made, which takes a second.
    """
    folder.mkdir()
    write_certificate(folder / "cert.pem", folder / "key.pem")
    key, hashed = api_key or new_key(folder)
    mesh_port = free_port()
    settings = configuration(enable_metrics=True, **http_server)
    settings["database"] |= {
        "device_name": name,
        "auth": {"small_peer_only": {"offline_license_token": MESH_TOKEN}},
        "subscriptions": list(subscriptions),
        "transport_config": {
            "peer_to_peer": {"lan_mdns_enabled": False},
            "connect_config": {
                "known_tcp_servers": [f"127.0.0.1:{port}" for port in dials],
                "retry_interval_msec": 500,
            },
            "listen_config": {"tcp_listen": {"enable": True, "ip": "127.0.0.1", "port": mesh_port}},
        },
    }
    settings["auth"] = {
        "identities": {"operator": {"credential": {"api_key": hashed}, "permissions": ["all"]}},
        "permission_sets": {"all": {"permissions": "full"}},
    }
    settings["logging"]["edge_server"]["audit_logs"] = {"path": "./audit"}
    return Site(name=name, folder=folder, mesh_port=mesh_port, key=key, settings=settings)


@contextmanager
def started(*sites: Site) -> Iterator[None]:
    """Start servers, and see to it that none outlives the block."""
    try:
        for each in sites:
            each.start()
        yield
    finally:
        for each in sites:
            each.end()

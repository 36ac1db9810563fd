# SPDX-License-Identifier: Apache-2.0
"""
The real daemon, started as a user would start it, and a small client for it.

``EDGE_TEST_BIN`` names the ``bin`` folder of the environment to test (CI: a fresh one into which
the wheel was installed); without it, the environment that runs the tests and this checkout.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, Queue
from time import monotonic
from typing import Any

from attrs import define, field

ROOT = Path(__file__).parents[2]
_BIN = os.environ.get("EDGE_TEST_BIN")
#: Generous: a loaded CI machine must not make a test fail.
PATIENCE_SECONDS = 60.0


def program(name: str) -> list[str]:
    """Return the words that start a console program of the environment under test."""
    return [str(Path(_BIN or Path(sys.executable).parent) / name)]


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return an environment without this checkout on the path when a wheel is under test."""
    environ = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "NOTIFY_SOCKET")}
    if not _BIN:
        environ["PYTHONPATH"] = str(ROOT)
    return environ | dict(extra or {})


def edge_server(*words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run one `edge-server` command to its end."""
    code = "from edge_twisted.cli.main import main; main()"
    words_of_program = program("edge-server") if _BIN else [sys.executable, "-c", code]
    return subprocess.run(
        [*words_of_program, *words],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


@define
class Answer:
    """One HTTP response, read whole."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def json(self) -> Any:
        """Return the body as JSON."""
        return json.loads(self.body)


@define
class Client:
    """A kept-alive connection to the daemon."""

    connection: http.client.HTTPConnection
    key: str | None = None

    def request(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        """Send one request and read its response."""
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.key:
            names.setdefault("Authorization", f"Bearer {self.key}")
        self.connection.request(method, path, body=body, headers=names)
        response = self.connection.getresponse()
        return Answer(response.status, response.headers, response.read())

    def execute(self, statement: str, args: Mapping[str, Any] | None = None) -> Answer:
        """Run a statement."""
        body = json.dumps({"statement": statement, **({"args": args} if args else {})})
        return self.request("POST", "/execute", body.encode(), Content_Type="application/json")


@define
class Daemon:
    """A running daemon: its process, what it printed, and where it serves."""

    process: subprocess.Popen[str]
    lines: list[str] = field(factory=list)
    _fresh: Queue[str | None] = field(factory=Queue)

    def __attrs_post_init__(self) -> None:
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            self._fresh.put(line)
        self._fresh.put(None)

    def wait_for(self, pattern: str) -> re.Match[str]:
        """Return the first match in what it printed since the last wait; fail when it ends."""
        deadline = monotonic() + PATIENCE_SECONDS
        while True:
            try:
                line = self._fresh.get(timeout=max(0.0, deadline - monotonic()))
            except Empty:
                line = None
            if line is None:
                raise AssertionError(f"never saw {pattern!r} in:\n{''.join(self.lines)}")
            if found := re.search(pattern, line):
                return found

    @property
    def port(self) -> int:
        """The port of its HTTP listener, read from the log; waits for it."""
        return int(self.wait_for(r'Listening on [^"]*:(\d+)').group(1))

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal, wait for the end, and return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_SECONDS)


@contextmanager
def running(
    words: Sequence[str], folder: Path, extra: Mapping[str, str] | None = None
) -> Iterator[Daemon]:
    """Start ``twistd -n edgeserver WORDS`` in `folder`; it does not outlive the block."""
    process = subprocess.Popen(
        [*program("twistd"), "-n", "--pidfile=", "edgeserver", *words],
        cwd=folder,
        env=environment(extra),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield Daemon(process)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def connect(port: int, ca: Path | None = None, key: str | None = None) -> Client:
    """Return a client over TLS that trusts `ca`, or over plain HTTP without one."""
    if ca is None:
        return Client(http.client.HTTPConnection("127.0.0.1", port, timeout=30), key)
    context = ssl.create_default_context(cafile=str(ca))
    return Client(http.client.HTTPSConnection("localhost", port, timeout=30, context=context), key)

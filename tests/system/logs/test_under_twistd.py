# SPDX-License-Identifier: Apache-2.0
"""Logging under the real twistd: first line to last, threads, and a reader that never reads."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.unit.logs.support import json_lines, messages

pytestmark = pytest.mark.system

APPLICATION = """
import os
from pathlib import Path
from twisted.application.service import Application, Service
from twisted.internet import reactor
from twisted.logger import Logger
from edge_twisted.config.model import AuditLogs, Level, Logging, RotatingLogs
from edge_twisted.logs.service import LoggingService
from edge_twisted.logs.twistd import observe_with, streams_of
from edge_twisted.services.wall_clock import now_seconds

class Chatty(Service):
    def startService(self):
        log = Logger(namespace="edge_twisted.api.site")
        for number in range(int(os.environ["LINES"])):
            log.info("line {number}", number=number, filler="x" * 1000)
        print("printed")
        store = Logger(namespace="edge_twisted.store.writer")
        reactor.callInThread(store.warn, "from a thread")
        reactor.callLater(0, int, "no number")
        reactor.callLater(0.2, reactor.stop)

here = Path.cwd()
logging = Logging(
    rotating=RotatingLogs(directory=here / "logs", max_size_bytes=200_000),
    audit=AuditLogs(directory=here / "audit"),
)
service = LoggingService(
    logging,
    reactor,
    reactor.callFromThread,
    now=now_seconds,
    streams=streams_of({"nodaemon": True}),
)
application = Application("chatty")
observe_with(application, service)
service.setServiceParent(application)
Chatty().setServiceParent(application)
"""


def start(folder: Path, lines: int, **streams: Any) -> subprocess.Popen[bytes]:
    (folder / "app.py").write_text(APPLICATION)
    paths = [path for path in sys.path if path]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "LINES": str(lines)}
    run = "from twisted.scripts.twistd import run; run()"
    command = [sys.executable, "-c", run, "-n", "--umask=077", "--pidfile=", "-y", "app.py"]
    return subprocess.Popen(command, cwd=folder, env=environ, **streams)


def test_from_the_first_line_to_the_last(tmp_path: Path) -> None:
    process = start(tmp_path, 3, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0
    told = messages(out)
    assert any(line.startswith("twistd") for line in told[:3])
    assert told[-7:-3] == ["line 0", "line 1", "line 2", "printed"]
    assert told[-3:] == ["while handling timed call", "Main loop terminated.", "Server Shut Down."]
    failures = [json.loads(line).get("failure") for line in out.splitlines()]
    assert "ValueError: invalid literal" in "".join(filter(None, failures))
    assert messages(err) == ["from a thread"]
    kept = json_lines(tmp_path / "logs")
    assert set(told[:-2]) | {"from a thread"} == set(messages(kept))
    assert [line["event"] for line in json_lines(tmp_path / "audit")] == [
        "server_started",
        "server_stopped",
    ]
    for folder in ("logs", "audit"):
        assert (tmp_path / folder).stat().st_mode & 0o777 == 0o750
        assert {path.stat().st_mode & 0o777 for path in (tmp_path / folder).iterdir()} == {0o640}


def test_a_reader_that_never_reads_stops_nothing(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    try:
        process = start(tmp_path, 2000, stdout=writing, stderr=subprocess.DEVNULL)
        assert process.wait(timeout=60) == 0
    finally:
        os.close(reading)
        os.close(writing)
    kept = [line for line in json_lines(tmp_path / "logs") if "number" in line]
    assert [line["number"] for line in kept] == list(range(2000))


def test_a_terminal_gets_text(tmp_path: Path) -> None:
    master, slave = pty.openpty()
    try:
        process = start(tmp_path, 1, stdout=slave, stderr=subprocess.DEVNULL)
        os.close(slave)
        text = b""
        while b"Server Shut Down." not in text:
            text += os.read(master, 65536)
        assert process.wait(timeout=60) == 0
    finally:
        os.close(master)
    assert b"api.site: line 0 filler=xxx" in text
    assert b"stdout: printed" in text

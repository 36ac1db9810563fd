# SPDX-License-Identifier: Apache-2.0
"""
What a line costs on the reactor thread, beside the plainest way to write one.

    python -m bench.logs [--rounds N]
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from twisted.internet.task import Clock
from twisted.logger import Logger, LogPublisher, jsonFileLogObserver

from edge_twisted.config.model import AuditLogs, Level, Logging, RotatingLogs
from edge_twisted.logs.audit import AuditEvent, AuditLine
from edge_twisted.logs.service import LoggingService

LINES = 20_000


def measured(
    rounds: int, name: str, work: Callable[[], object], beside: float | None = None
) -> float:
    """Print and return the best of some rounds, in microseconds per line."""
    best = float("inf")
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        best = min(best, (time.perf_counter() - start) / LINES * 1e6)
    ratio = f"   {beside / best:4.1f} times as fast" if beside is not None else ""
    print(f"{name:45} {best:6.2f} us/line{ratio}")
    return best


def audit_lines(service: LoggingService) -> None:
    for _ in range(LINES):
        line = AuditLine(
            "", AuditEvent.REQUEST, request_id="0123456789abcdef", identity="prod-api-service",
            client="10.0.0.1", method="POST", path="/execute", verb="select",
            collections=("tasks",), status=200, duration_ms=0.812, bytes_in=123, bytes_out=532,
        )  # fmt: skip
        service.audit.add(line)


def plain_lines(folder: Path) -> None:
    with (folder / "plain").open("a", buffering=1) as file:
        for _ in range(LINES):
            record = {
                "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "event": "request",
                "request_id": "0123456789abcdef", "identity": "prod-api-service",
                "client": "10.0.0.1", "method": "POST", "path": "/execute", "verb": "select",
                "collections": ("tasks",), "status": 200, "duration_ms": 0.812, "bytes_in": 123,
                "bytes_out": 532,
            }  # fmt: skip
            file.write(json.dumps(record) + "\n")


def log_lines(log: Logger) -> None:
    for _ in range(LINES):
        log.debug(
            "{method} {path} {status}", method="POST", path="/execute", status=200,
            request_id="0123456789abcdef", duration_ms=0.812,
        )  # fmt: skip


def main() -> None:
    """Run all and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    measure = partial(measured, parser.parse_args().rounds)
    with tempfile.TemporaryDirectory() as name:
        folder, clock, publisher = Path(name), Clock(), LogPublisher()
        places = RotatingLogs(directory=folder), AuditLogs(directory=folder)
        logging = Logging(console="off", rotating=places[0], audit=places[1], level=Level.DEBUG)
        service = LoggingService(
            logging, clock, lambda call: call(), now=time.time, publisher=publisher
        )
        service.startService()
        plain = measure("json.dumps and a write per line", lambda: plain_lines(folder))
        measure("audit line", lambda: audit_lines(service), plain)
        with (folder / "twisted").open("a", buffering=1) as file:
            observer = jsonFileLogObserver(file, recordSeparator="")
            theirs = Logger("edge_twisted.api", observer=observer)
            twisted = measure("log line, jsonFileLogObserver", lambda: log_lines(theirs))
        ours = Logger("edge_twisted.api", observer=publisher)
        measure("log line to a rotating file", lambda: log_lines(ours), twisted)
        service.stopService()
        publisher.addObserver(
            LoggingService(Logging(), clock, lambda call: call(), now=time.time).observer
        )
        measure("log line below the level", lambda: log_lines(ours), twisted)


if __name__ == "__main__":
    main()

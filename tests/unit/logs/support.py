# SPDX-License-Identifier: Apache-2.0
"""What tests of logs share: a stream that can stall and break, a disk that can fill, a server."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from attrs import define, evolve, field
from twisted.internet.task import Clock
from twisted.logger import ILogObserver, LogEvent, Logger, LogPublisher

from edge_twisted.config.model import Configuration, DatabaseConfig, Logging, Secret, SmallPeerOnly
from edge_twisted.logs.outputs import StandardStreams
from edge_twisted.logs.service import LoggingService

#: 2026-11-24 07:50:00 UTC, on a minute.
START = 1_795_506_600.0

CONFIGURATION = Configuration(
    path=Path("/etc/edge.yaml"),
    database=DatabaseConfig(
        db_id="12345678-1234-4123-1234-123456789012",
        device_name="till-1",
        auth=SmallPeerOnly(offline_license_token=Secret("canary-license-token")),
        persistence_dir=Path("/var/lib/edge"),
    ),
    http_server=None,
    auth=None,
)


def configuration(logging: Logging) -> Configuration:
    return evolve(CONFIGURATION, logging=logging)


def clock_at(seconds: float = START) -> Clock:
    clock = Clock()
    clock.advance(seconds)
    return clock


@define
class FakeStream:
    """A stream that takes `room` bytes before it stalls, and raises `error` if there is one."""

    terminal: bool = False
    room: float = float("inf")
    error: OSError | None = None
    taken: bytearray = field(factory=bytearray)

    def is_terminal(self) -> bool:
        return self.terminal

    def write(self, data: memoryview) -> int:
        if self.error is not None:
            raise self.error
        count = int(min(len(data), self.room))
        self.room -= count
        self.taken += data[:count]
        return count

    def json(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.taken.splitlines()]


@define
class FakeDisk:
    """Writes to the real file until `free` bytes are used up, then says that the disk is full."""

    free: float = float("inf")

    def write(self, descriptor: int, data: memoryview) -> int:
        if self.free <= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        count = os.write(descriptor, data[: int(min(self.free, len(data)))])
        self.free -= count
        return count


@define
class Server:
    """A logging service on a clock, a publisher and streams of its own."""

    logging: Logging
    terminal: bool = False
    environ: Mapping[str, str] = field(factory=dict)
    clock: Clock = field(factory=clock_at)
    publisher: LogPublisher = field(factory=LogPublisher)
    out: FakeStream = field(init=False)
    err: FakeStream = field(init=False)
    service: LoggingService = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.out, self.err = FakeStream(self.terminal), FakeStream(self.terminal)
        self.service = LoggingService(
            self.logging,
            self.clock,
            lambda function: function(),
            now=self.clock.seconds,
            streams=StandardStreams(out=self.out, err=self.err, environ=self.environ),
            publisher=self.publisher,
        )
        # As twistd does before it starts services.
        self.publisher.addObserver(self.service.observer)

    def log(self, namespace: str = "edge_twisted.api.site") -> Logger:
        def publish_at_time(event: LogEvent) -> None:
            event["log_time"] = self.clock.seconds()
            self.publisher(event)

        return Logger(namespace=namespace, observer=as_observer(publish_at_time))


def as_observer(function: Callable[[LogEvent], None]) -> ILogObserver:
    return function  # type: ignore[return-value]


def json_lines(folder: Path, prefix: str = "") -> list[dict[str, Any]]:
    """Return the lines of all files of a folder, in the order of their names."""
    files = sorted(path for path in folder.iterdir() if path.name.startswith(prefix))
    return [json.loads(line) for file in files for line in file.read_bytes().splitlines()]


def messages(lines: list[dict[str, Any]] | bytes) -> list[str]:
    if isinstance(lines, bytes):
        lines = [json.loads(line) for line in lines.splitlines()]
    return [line["message"] for line in lines]

# SPDX-License-Identifier: Apache-2.0
"""What floods is a line now and then, with the number of those that were left out."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from twisted.internet import tcp
from twisted.internet.task import Clock
from twisted.logger import LogEvent, Logger

from edge_twisted.config.model import Level, Logging
from edge_twisted.logs.repeats import INTERVAL_SECONDS, Repeats
from tests.unit.logs.support import Server


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server(Logging())
    server.service.startService()
    yield server
    server.service.stopService()


def say(server: Server, number: int, kind: str = "full") -> None:
    server.log().error("{number} was refused", number=number, log_repeats=kind)


def told(server: Server) -> list[tuple[str, int | None]]:
    return [(line["message"], line.get("left_out")) for line in server.out.json()]


def test_the_first_at_once_and_then_one_per_interval(server: Server) -> None:
    for number in range(100):
        say(server, number)
    assert told(server) == [("0 was refused", None)]
    server.clock.advance(INTERVAL_SECONDS)
    assert told(server)[1:] == [("99 was refused", 98)]
    for number in range(100, 103):
        say(server, number)
    server.clock.advance(INTERVAL_SECONDS)
    assert told(server)[2:] == [("102 was refused", 2)]
    server.clock.advance(INTERVAL_SECONDS)
    assert len(told(server)) == 3, "nothing more came"
    say(server, 103)
    assert told(server)[3:] == [("103 was refused", None)]


def test_kinds_are_counted_apart_and_other_lines_not_at_all(server: Server) -> None:
    for number in range(3):
        say(server, number, "one")
        say(server, number, "other")
        server.log().error("plain")
    assert [message for message, _ in told(server)].count("plain") == 3
    assert [message for message, _ in told(server)].count("0 was refused") == 2
    server.clock.advance(INTERVAL_SECONDS)
    assert told(server)[-2:] == [("2 was refused", 1), ("2 was refused", 1)]


def test_a_stop_tells_what_was_counted() -> None:
    server = Server(Logging())
    server.service.startService()
    for number in range(5):
        say(server, number)
    server.service.stopService()
    assert told(server)[-1] == ("4 was refused", 3)
    assert not server.clock.getDelayedCalls()


def test_after_a_stop_all_are_lines() -> None:
    late: list[LogEvent] = []
    clock = Clock()
    repeats = Repeats(clock, late.append)
    repeats.stop()
    assert [repeats.is_line("full", {}) for _ in range(2)] == [True, True]
    assert (late, clock.getDelayedCalls()) == ([], [])


def test_what_is_below_the_level_counts_for_nothing() -> None:
    server = Server(Logging(level=Level.ERROR))
    server.service.startService()
    server.log().warn("quiet", log_repeats="full")
    say(server, 1)
    assert told(server) == [("1 was refused", None)]
    server.service.stopService()


def test_threads_are_counted_as_well(server: Server) -> None:
    def flood() -> None:
        for number in range(3):
            say(server, number)

    thread = Thread(target=flood)
    thread.start()
    thread.join()
    server.clock.advance(INTERVAL_SECONDS)
    assert told(server) == [("0 was refused", None), ("2 was refused", 1)]


# -- connections that cannot be accepted


class Listener:
    """A listening socket at which `fails` decides what each accept meets."""

    def __init__(self, fails: Callable[[int], int | None]) -> None:
        self._fails = fails
        self._calls = count()

    def accept(self) -> tuple[Any, tuple[str, int]]:
        number = next(self._calls)
        code = self._fails(number)
        if code is not None:
            raise OSError(code, os.strerror(code))
        return self, ("192.0.2.1", number)

    def close(self) -> None:
        """A connection that is closed at once."""


def accept(server: Server, listener: Listener, reserved: Any) -> None:
    """Accept as Twisted's ports do."""
    log = Logger(namespace="twisted.internet.tcp.Port", observer=server.publisher)
    with suppress(StopIteration):
        list(tcp._accept(log, range(50), listener, reserved))


def test_no_descriptor_left_is_one_warning_for_many_connections(server: Server) -> None:
    """What Twisted logs, by its own code, so that other words of a new version are noticed."""
    reserved = tcp._FileDescriptorReservation(Path(os.devnull).open)
    reserved.reserve()
    for _ in range(20):
        accept(server, Listener(lambda n: errno.EMFILE if n == 0 else None), reserved)
    with reserved:
        pass
    lines = server.out.json()
    assert [line["level"] for line in lines] == ["warning"]
    assert "No file descriptor was left" in lines[0]["message"]
    assert "LimitNOFILE" in lines[0]["message"]
    server.clock.advance(INTERVAL_SECONDS)
    assert server.out.json()[1]["left_out"] == 20 * 50 - 2


@pytest.mark.parametrize("code", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS])
def test_what_else_keeps_connections_out_is_one_warning(server: Server, code: int) -> None:
    for _ in range(20):
        accept(server, Listener(lambda _: code), tcp._NullFileDescriptorReservation())
    lines = server.out.json()
    assert [line["level"] for line in lines] == ["warning"]
    assert errno.errorcode[code] in lines[0]["message"]


def test_the_reserve_that_cannot_be_had_is_no_line_of_its_own(server: Server) -> None:
    def refuse() -> Any:
        raise OSError(errno.EMFILE, "Too many open files")

    reserved = tcp._FileDescriptorReservation(refuse)
    log = Logger(namespace="twisted.internet.tcp", observer=server.publisher)
    type(reserved)._log, kept = log, type(reserved)._log
    try:
        reserved.reserve()
    finally:
        type(reserved)._log = kept
    assert server.out.json() == []

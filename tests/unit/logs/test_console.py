# SPDX-License-Identifier: Apache-2.0
"""A console never waits for its reader, and never tears a line."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

import pytest
from twisted.internet.task import Clock
from twisted.logger import LogEvent, formatEvent, globalLogPublisher

from edge_twisted.logs.console import (
    MAX_WAITING_BYTES,
    REPEAT_SECONDS,
    RETRY_SECONDS,
    Console,
    DescriptorStream,
)
from tests.unit.logs.support import FakeStream, as_observer, clock_at


@pytest.fixture
def clock() -> Clock:
    return clock_at()


@pytest.fixture
def logged() -> Iterator[list[str]]:
    texts: list[str] = []

    def observe(event: LogEvent) -> None:
        texts.append(formatEvent(event))

    observer = as_observer(observe)
    globalLogPublisher.addObserver(observer)
    yield texts
    globalLogPublisher.removeObserver(observer)


def test_a_line_is_written_at_once(clock: Clock) -> None:
    stream = FakeStream()
    Console("standard output", stream, clock).write(b"one\n")
    assert stream.taken == b"one\n"
    assert not clock.getDelayedCalls()


def test_lines_wait_for_a_reader_and_go_on_where_they_stopped(clock: Clock) -> None:
    stream = FakeStream(room=6)
    console = Console("standard output", stream, clock)
    for line in (b"one\n", b"two\n", b"three\n"):
        console.write(line)
    assert stream.taken == b"one\ntw"
    stream.room = float("inf")
    clock.advance(RETRY_SECONDS)
    assert stream.taken == b"one\ntwo\nthree\n"
    assert not clock.getDelayedCalls()


def test_what_waits_is_bounded_and_no_line_is_torn(clock: Clock, logged: list[str]) -> None:
    stream = FakeStream(room=10)
    console = Console("standard output", stream, clock)
    lines = [b"%06d %s\n" % (number, b"x" * 1000) for number in range(3000)]
    for line in lines:
        console.write(line)
    stream.room = float("inf")
    clock.advance(RETRY_SECONDS)
    got = bytes(stream.taken).splitlines(keepends=True)
    assert got[0] == lines[0], "it was begun, so it was finished"
    assert got[1:] == lines[-len(got) + 1 :]
    assert MAX_WAITING_BYTES - 2048 < sum(map(len, got)) < MAX_WAITING_BYTES + 2048
    assert logged == [f"{3000 - len(got)} lines for standard output were lost: nobody read it"]


def test_a_reader_that_went_away_costs_lines_only(clock: Clock, logged: list[str]) -> None:
    stream = FakeStream(error=BrokenPipeError(errno.EPIPE, "Broken pipe"))
    console = Console("standard output", stream, clock)
    console.write(b"one\n")
    console.write(b"two\n")
    stream.error = None
    console.write(b"three\n")
    assert stream.taken == b"three\n"
    assert logged == ["2 lines for standard output were lost: nobody read it"]


def test_lost_lines_are_told_once_a_minute(clock: Clock, logged: list[str]) -> None:
    stream = FakeStream()
    console = Console("standard output", stream, clock)
    for _ in range(5):
        stream.error = BrokenPipeError(errno.EPIPE, "Broken pipe")
        console.write(b"lost\n")
        stream.error = None
        console.write(b"fine\n")
    assert len(logged) == 1
    clock.advance(REPEAT_SECONDS)
    console.write(b"fine\n")
    assert logged[1] == "4 lines for standard output were lost: nobody read it"


def test_stop_tries_once_more(clock: Clock) -> None:
    stream = FakeStream(room=0)
    console = Console("standard output", stream, clock)
    console.write(b"one\n")
    stream.room = 2
    console.stop()
    assert stream.taken == b"on"
    assert not clock.getDelayedCalls()
    stream.room = float("inf")
    console.write(b"two\n")
    assert stream.taken == b"one\ntwo\n"


def test_a_pipe_that_nobody_reads_does_not_block(clock: Clock) -> None:
    reading, writing = os.pipe()
    try:
        console = Console("standard output", DescriptorStream(writing), clock)
        for _ in range(300):
            console.write(b"x" * 999 + b"\n")  # a pipe holds 64 KiB
        read = b""
        while len(read) < 300_000:
            read += os.read(reading, 65536)
            clock.advance(RETRY_SECONDS)
        assert read == (b"x" * 999 + b"\n") * 300
    finally:
        os.close(reading)
        os.close(writing)


def test_a_closed_descriptor_costs_lines_only(clock: Clock) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    stream = DescriptorStream(writing)
    assert not stream.is_terminal()
    Console("standard output", stream, clock).write(b"one\n")
    os.close(writing)
    Console("standard output", stream, clock).write(b"one\n")


def test_a_terminal_is_one() -> None:
    master, slave = os.openpty()
    try:
        assert DescriptorStream(slave).is_terminal()
    finally:
        os.close(master)
        os.close(slave)

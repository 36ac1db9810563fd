# SPDX-License-Identifier: Apache-2.0
"""Lines wait for a disk, are counted when they cannot, and the trouble is said, not shouted."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from twisted.internet.task import Clock
from twisted.logger import LogEvent, formatEvent, globalLogPublisher

from edge_twisted.logs.patient_writer import REPEAT_SECONDS, RETRY_SECONDS, PatientWriter
from edge_twisted.logs.rotating_file import RotatingFile
from edge_twisted.logs.rotation import Rotation
from tests.unit.logs.support import FakeDisk, as_observer, clock_at


@pytest.fixture
def logged() -> Iterator[list[str]]:
    texts: list[str] = []

    def observe(event: LogEvent) -> None:
        texts.append(formatEvent(event))

    observer = as_observer(observe)
    globalLogPublisher.addObserver(observer)
    yield texts
    globalLogPublisher.removeObserver(observer)


class Files:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock: Clock = clock_at()
        self.disk = FakeDisk()
        self.writer = PatientWriter("The log", self.clock, max_backlog_bytes=100)

    def open(self) -> None:
        rotation = Rotation(prefix="log")
        self.writer.open(
            RotatingFile(
                self.folder, rotation, self.clock.seconds, self.clock.seconds, write=self.disk.write
            )
        )

    def content(self) -> bytes:
        return b"".join(path.read_bytes() for path in sorted(self.folder.iterdir()))


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path / "logs")


def test_lines_are_written_at_once(files: Files) -> None:
    files.open()
    files.writer.write(b"one\n")
    assert files.content() == b"one\n"


def test_lines_from_before_the_start_wait(files: Files) -> None:
    files.writer.write(b"one\n")
    files.open()
    files.writer.write(b"two\n")
    assert files.content() == b"one\ntwo\n"


def test_a_start_without_a_folder_fails(files: Files) -> None:
    files.folder.write_bytes(b"")
    with pytest.raises(OSError, match="exists"):
        files.open()


def test_a_full_disk_is_waited_for(files: Files, logged: list[str]) -> None:
    files.open()
    files.disk.free = 6
    files.writer.write(b"one\ntwo\n")
    files.writer.write(b"three\n")
    assert files.content() == b"one\n"
    files.disk.free = float("inf")
    files.clock.advance(RETRY_SECONDS)
    assert files.content() == b"one\ntwo\nthree\n"
    assert logged == [
        "The log cannot be written: No space left on device; lines wait in memory (4 bytes)",
        "The log is written again; 0 lines were lost",
    ]
    assert not files.clock.getDelayedCalls()


def test_what_waits_is_bounded_and_what_is_lost_is_counted(files: Files, logged: list[str]) -> None:
    files.open()
    files.disk.free = 0
    for number in range(30):
        files.writer.write(b"line %04d\n" % number)
    files.disk.free = float("inf")
    files.clock.advance(RETRY_SECONDS)
    assert files.content() == b"".join(b"line %04d\n" % number for number in range(20, 30))
    assert logged[-1] == "The log is written again; 20 lines were lost"


def test_lasting_trouble_is_said_once_a_minute(files: Files, logged: list[str]) -> None:
    files.open()
    files.disk.free = 0
    for _ in range(int(2.5 * REPEAT_SECONDS)):
        files.writer.write(b"one\n")
        files.clock.advance(RETRY_SECONDS)
    assert len(logged) == 3


def test_a_vanished_folder_that_cannot_be_made_anew(files: Files, logged: list[str]) -> None:
    files.open()
    shutil.rmtree(files.folder)
    files.folder.write_bytes(b"in the way")
    files.writer.write(b"one\n")
    assert "The log cannot be written: " in logged[0] and str(files.folder) in logged[0]
    files.folder.unlink()
    files.clock.advance(RETRY_SECONDS)
    assert files.content() == b"one\n"


def test_stopping_writes_what_waits_without_waiting(files: Files, logged: list[str]) -> None:
    files.open()
    files.disk.free = 0
    files.writer.write(b"one\n")
    files.disk.free = float("inf")
    files.writer.close()
    assert files.content() == b"one\n"
    assert not files.clock.getDelayedCalls()


def test_stopping_on_a_full_disk_says_what_is_lost(files: Files, logged: list[str]) -> None:
    files.open()
    files.disk.free = 0
    files.writer.write(b"one\ntwo\n")
    files.writer.close()
    assert logged[-1] == "The log stopped with 2 lines unwritten"
    assert not files.clock.getDelayedCalls()


def test_stopping_twice_and_before_the_start_is_fine(files: Files) -> None:
    files.writer.close()
    files.open()
    files.writer.close()
    files.writer.close()

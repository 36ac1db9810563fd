# SPDX-License-Identifier: Apache-2.0
"""A series of files: when it goes on, when it begins anew, and what a disk may do to it."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from twisted.internet.task import Clock

from edge_twisted.logs.log_file import LogFile
from edge_twisted.logs.rotating_file import RETRY_ROTATION_SECONDS, RotatingFile
from edge_twisted.logs.rotation import Rotation
from tests.unit.logs.support import FakeDisk, clock_at

DAY = 86_400


@pytest.fixture(autouse=True)
def umask() -> Iterator[None]:
    """As twistd sets it for a daemon."""
    old = os.umask(0o077)
    yield
    os.umask(old)


@pytest.fixture
def clock() -> Clock:
    return clock_at()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "logs"


def series(
    folder: Path,
    clock: Clock,
    disk: FakeDisk | None = None,
    *,
    rotation: Rotation | None = None,
) -> RotatingFile:
    rotation = rotation or Rotation(prefix="log")
    return RotatingFile(
        folder, rotation, clock.seconds, clock.seconds, write=(disk or FakeDisk()).write
    )


def append(file: RotatingFile, lines: bytes) -> None:
    view = memoryview(lines)
    while view:
        view = view[file.append(view) :]


def contents(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted(folder.iterdir())]


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_files_and_the_folder_that_is_made_are_for_the_group_to_read(
    folder: Path, clock: Clock
) -> None:
    file = series(folder / "deep", clock)
    file.open()
    assert mode(folder / "deep") == 0o750
    assert [mode(path) for path in file.files()] == [0o640]
    file.close()


def test_a_folder_that_was_there_keeps_its_mode(folder: Path, clock: Clock) -> None:
    folder.mkdir(mode=0o700)
    series(folder, clock).open()
    assert mode(folder) == 0o700


def test_a_new_day_is_a_new_file(folder: Path, clock: Clock) -> None:
    file = series(folder, clock)
    file.open()
    append(file, b"one\n")
    clock.advance(DAY - clock.seconds() % DAY - 1)
    append(file, b"two\n")
    clock.advance(1)
    append(file, b"three\n")
    assert contents(folder) == [b"one\ntwo\n", b"three\n"]
    assert [path.name for path in file.files()] == [
        "log.2026-11-24T07-50-00.000Z",
        "log.2026-11-25T00-00-00.000Z",
    ]


@pytest.mark.parametrize(("frequency", "seconds"), [("minutely", 60), ("hourly", 3600)])
def test_other_frequencies(folder: Path, clock: Clock, frequency: str, seconds: int) -> None:
    rotation = Rotation(prefix="log", frequency=frequency)  # type: ignore[arg-type]
    file = series(folder, clock, rotation=rotation)
    for number in range(3):
        append(file, b"%d\n" % number)
        clock.advance(seconds)
    assert contents(folder) == [b"0\n", b"1\n", b"2\n"]


def test_never_goes_on_for_ever(folder: Path, clock: Clock) -> None:
    file = series(folder, clock, rotation=Rotation(prefix="log", frequency="never"))
    append(file, b"one\n")
    file.close()
    clock.advance(400 * DAY)
    append(file, b"two\n")
    assert contents(folder) == [b"one\ntwo\n"]


def test_a_restart_within_the_day_goes_on_in_its_file(folder: Path, clock: Clock) -> None:
    for text in (b"one\n", b"two\n"):
        file = series(folder, clock)
        file.open()
        append(file, text)
        file.close()
        clock.advance(60)
    clock.advance(DAY)
    append(series(folder, clock), b"three\n")
    assert contents(folder) == [b"one\ntwo\n", b"three\n"]


def test_a_line_that_a_crash_tore_does_not_spoil_the_next(folder: Path, clock: Clock) -> None:
    append(series(folder, clock), b'{"a":1}\n')
    path = next(folder.iterdir())
    path.write_bytes(path.read_bytes() + b'{"b":')
    append(series(folder, clock), b'{"c":3}\n')
    assert contents(folder) == [b'{"a":1}\n{"b":\n{"c":3}\n']


def test_size_ends_a_file_between_lines(folder: Path, clock: Clock) -> None:
    file = series(folder, clock, rotation=Rotation(prefix="log", max_size_bytes=10))
    append(file, b"aaaa\nbbbb\ncccc\n")
    append(file, b"a line longer than a file\ndddd\n")
    assert contents(folder) == [
        b"aaaa\nbbbb\n",
        b"cccc\n",
        b"a line longer than a file\n",
        b"dddd\n",
    ]
    # All in one millisecond, and still in order.
    assert len({path.name for path in file.files()}) == 4


def test_a_full_file_is_not_gone_on_with(folder: Path, clock: Clock) -> None:
    rotation = Rotation(prefix="log", max_size_bytes=5)
    append(series(folder, clock, rotation=rotation), b"aaaa\n")
    file = series(folder, clock, rotation=rotation)
    file.open()
    assert contents(folder) == [b"aaaa\n", b""]


def test_the_oldest_of_ours_go_and_no_others(folder: Path, clock: Clock) -> None:
    folder.mkdir()
    foreign = {"log", "log.old", "log.2026-11-24T07-50-00.000Z.gz", "audit.log.2020-01-01"}
    for name in foreign:
        (folder / name).write_bytes(b"")
    earlier = folder / "log.2020-01-01T00-00-00.000Z"
    earlier.write_bytes(b"old\n")
    file = series(folder, clock, rotation=Rotation(prefix="log", frequency="minutely", max_files=3))
    for number in range(2):
        append(file, b"%d\n" % number)
        clock.advance(60)
    assert earlier.exists(), "it counts, and three are allowed"
    for number in range(2, 5):
        append(file, b"%d\n" % number)
        clock.advance(60)
    assert [path.read_bytes() for path in file.files()] == [b"2\n", b"3\n", b"4\n"]
    assert foreign <= {path.name for path in folder.iterdir()}


def test_a_lowered_limit_counts_from_the_start_on(folder: Path, clock: Clock) -> None:
    many = Rotation(prefix="log", max_size_bytes=2)
    append(series(folder, clock, rotation=many), b"1\n2\n3\n4\n")
    series(folder, clock, rotation=Rotation(prefix="log", max_files=2)).open()
    assert contents(folder) == [b"3\n", b"4\n"]


def test_a_surplus_file_that_cannot_be_deleted_is_said(folder: Path, clock: Clock) -> None:
    (folder / "log.2020-01-01T00-00-00.000Z").mkdir(parents=True)
    file = series(folder, clock, rotation=Rotation(prefix="log", max_files=1))
    append(file, b"one\n")
    assert file.trouble is not None


def test_a_file_that_logrotate_truncates_is_not_blown_up(folder: Path, clock: Clock) -> None:
    disk = FakeDisk()
    file = series(folder, clock, disk)
    append(file, b"aaaa\n" * 100)
    os.truncate(file.files()[0], 0)
    disk.free = 7
    assert file.append(memoryview(b"bbbb\ncccc\n")) == 5
    assert contents(folder) == [b"bbbb\n"]


def test_a_clock_that_goes_back_keeps_the_order(folder: Path, clock: Clock) -> None:
    file = series(folder, clock)
    append(file, b"one\n")
    clock.rightNow -= 10 * DAY
    append(file, b"two\n")
    append(file, b"three\n")
    clock.rightNow += 10 * DAY
    append(file, b"four\n")
    assert contents(folder) == [b"one\n", b"two\nthree\n", b"four\n"]


def test_a_full_disk_leaves_whole_lines(folder: Path, clock: Clock) -> None:
    disk = FakeDisk(free=12)
    file = series(folder, clock, disk)
    file.open()
    lines = memoryview(b"aaaa\nbbbb\ncccc\n")
    assert file.append(lines) == 10
    assert contents(folder) == [b"aaaa\nbbbb\n"]
    with pytest.raises(OSError, match="No space"):
        file.append(lines[10:])
    disk.free = float("inf")
    assert file.append(lines[10:]) == 5
    assert contents(folder) == [b"aaaa\nbbbb\ncccc\n"]


@pytest.mark.parametrize("what", ["folder", "file", "moved"])
def test_what_went_away_is_made_anew(folder: Path, clock: Clock, what: str) -> None:
    file = series(folder, clock)
    append(file, b"one\n")
    path = file.files()[0]
    match what:
        case "folder":
            shutil.rmtree(folder)
        case "file":
            path.unlink()
        case _:
            path.rename(folder.parent / "rotated-by-somebody-else")
    append(file, b"two\n")
    assert contents(folder) == [b"two\n"]
    assert [mode(each) for each in file.files()] == [0o640]


def test_a_folder_that_cannot_be_made_is_an_error(folder: Path, clock: Clock) -> None:
    folder.write_bytes(b"a file")
    file = series(folder, clock)
    with pytest.raises(OSError, match=r"File exists|Not a directory"):
        file.open()
    folder.unlink()
    append(file, b"one\n")
    assert contents(folder) == [b"one\n"]


def test_a_rotation_that_fails_goes_on_in_the_old_file(
    folder: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = series(folder, clock, rotation=Rotation(prefix="log", max_size_bytes=10))
    append(file, b"aaaa\n")

    def refuse(path: Path, *_: object) -> LogFile:
        raise PermissionError(13, "Permission denied", str(path))

    with monkeypatch.context() as patched:
        patched.setattr("edge_twisted.logs.rotating_file.LogFile", refuse)
        append(file, b"bbbbbbbb\ncccc\n")
        assert isinstance(file.trouble, PermissionError)
    append(file, b"dddd\n")
    assert contents(folder) == [b"aaaa\nbbbbbbbb\ncccc\ndddd\n"], "not tried again at once"
    clock.advance(RETRY_ROTATION_SECONDS)
    append(file, b"eeee\n")
    assert contents(folder)[1:] == [b"eeee\n"]
    assert file.trouble is None


def test_a_rotation_that_failed_is_tried_again_whatever_the_date_is(
    folder: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    date = clock_at()
    file = RotatingFile(
        folder, Rotation(prefix="log", max_size_bytes=10), date.seconds, clock.seconds
    )
    append(file, b"aaaa\n")
    with monkeypatch.context() as patched:
        patched.setattr(file, "_begin", refuse)
        append(file, b"bbbbbbbb\n")
    date.rightNow -= 300
    clock.advance(RETRY_ROTATION_SECONDS)
    append(file, b"cccc\n")
    assert contents(folder)[1:] == [b"cccc\n"]


def refuse() -> None:
    raise PermissionError(13, "Permission denied")


def test_nobody_makes_us_write_through_a_link(folder: Path, clock: Clock, tmp_path: Path) -> None:
    folder.mkdir()
    target = tmp_path / "precious"
    target.write_bytes(b"")
    (folder / "log.2026-11-24T07-50-00.000Z").symlink_to(target)
    append(series(folder, clock), b"one\n")
    assert target.read_bytes() == b""
    assert (folder / "log.2026-11-24T07-50-00.001Z").read_bytes() == b"one\n"

# SPDX-License-Identifier: Apache-2.0
"""
Appends whole lines to a series of log files in one folder, and rotates by time and size.

A file or folder that vanished (an operator's ``rm``, logrotate, an unmounted disk) is noticed at
the next write and made again.  If the next file cannot be made, the current one is continued, and
`RotatingFile.trouble` has the reason.

Twisted's `logfile` and the rotating handlers of `logging` do less: they tear or lose lines on a
full disk, keep writing to a file that was deleted, and rename files while ``GET /logs`` reads them.
So this room has its own, in four parts: `log_file` (one file), `rotation` (names and periods,
pure), this module, and `patient_writer` (waits and tries again).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from edge_twisted.logs.log_file import LogFile, WriteCall, make_folder
from edge_twisted.logs.rotation import Rotation

#: Between two attempts of a rotation that failed.
RETRY_ROTATION_SECONDS: Final = 5.0


class RotatingFile:
    """
    The files of one `Rotation` in `folder`; the newest is open for appending.

    :param now: the wall clock in seconds since 1970, for names and periods of files.
    :param monotonic: a monotonic clock in seconds, for retries.
    """

    def __init__(
        self,
        folder: Path,
        rotation: Rotation,
        now: Callable[[], float],
        monotonic: Callable[[], float],
        *,
        write: WriteCall = os.write,
    ) -> None:
        self.folder = folder
        #: Why the last rotation failed or could not delete surplus files; None after success.
        self.trouble: OSError | None = None
        self._rotation = rotation
        self._now = now
        self._monotonic = monotonic
        self._write = write
        self._current: LogFile | None = None
        self._period = 0.0
        self._rotate_not_before = float("-inf")

    def open(self) -> None:
        """
        Open the newest file if it may still grow, else begin one; make the folder if need be.

        A restart within a period continues the file of that period, so that a server that keeps
        restarting does not push older files out.

        :raises OSError: folder or file cannot be made or opened; call again to try again.
        """
        make_folder(self.folder)
        names = self._rotation.ours(os.listdir(self.folder))
        if names and self._may_go_on(names[-1]):
            # If another user owns the file, opening may fail: then the next one is begun.
            with suppress(OSError):
                self._use(LogFile(self.folder / names[-1], self._write))
                if not self._is_full():
                    self._delete_surplus(names)
                    return
        self._begin()

    def append(self, lines: memoryview) -> int:
        """
        Append as many whole lines as the current file takes; rotate first if it is time.

        Returns the number of bytes written; the caller calls again with the rest of `lines`.

        :raises OSError: nothing of `lines` was written; keep them and try again later.
        """
        if self._current is None or not self._current.is_there():
            self.open()
        if self._period != self._rotation.period(self._now()) or not self._fitting(lines):
            self._rotate()
        assert self._current is not None
        # After a failed rotation, the file takes more than its limit.
        return self._current.append(lines[: self._fitting(lines) or len(lines)])

    def close(self) -> None:
        """
        Close the current file, if any; `append` would open it again.

        :raises OSError: written lines may be lost, as in `LogFile.close`.
        """
        current, self._current = self._current, None
        if current is not None:
            current.close()

    def files(self) -> list[Path]:
        """Return the paths of the series, the oldest first; none if the folder is unreadable."""
        try:
            return [self.folder / name for name in self._rotation.ours(os.listdir(self.folder))]
        except OSError:
            return []

    # -- inner

    def _may_go_on(self, name: str) -> bool:
        began = self._rotation.began(name)
        now = self._rotation.period(self._now())
        return began is not None and self._rotation.period(began) == now

    def _is_full(self) -> bool:
        limit = self._rotation.max_size_bytes
        return limit is not None and self._current is not None and self._current.size >= limit

    def _rotate(self) -> None:
        if self._monotonic() < self._rotate_not_before:
            return
        try:
            self._begin()
        except OSError as error:
            self.trouble = error
            self._rotate_not_before = self._monotonic() + RETRY_ROTATION_SECONDS

    def _begin(self) -> None:
        names = self._rotation.ours(os.listdir(self.folder))
        name = self._rotation.next_name(self._now(), names[-1] if names else None)
        self._use(LogFile(self.folder / name, self._write))
        self._delete_surplus([*names, name])

    def _delete_surplus(self, names: Sequence[str]) -> None:
        self.trouble = None
        for old in self._rotation.surplus(names):
            try:
                (self.folder / old).unlink(missing_ok=True)
            except OSError as error:
                self.trouble = error

    def _use(self, file: LogFile) -> None:
        old, self._current = self._current, file
        # The period of now, not of the name: a clock that goes back ends a file just once.
        self._period = self._rotation.period(self._now())
        if old is not None:
            old.close()

    def _fitting(self, lines: memoryview) -> int:
        """Return how many bytes of whole lines fit; a line above the limit gets its own file."""
        limit = self._rotation.max_size_bytes
        size = self._current.size if self._current else 0
        if limit is None or size + len(lines) <= limit:
            return len(lines)
        fitting = bytes(lines[: max(0, limit - size)]).rfind(b"\n") + 1
        if fitting or size:
            return fitting
        return bytes(lines).find(b"\n") + 1

# SPDX-License-Identifier: Apache-2.0
"""
Writes lines to files that may fail for a while: lines wait and are tried again.

A full disk or a vanished folder is logged at once and then at most every minute.  Lines wait in
memory up to a bound; beyond it the oldest are dropped, and their number is logged when writing
works again.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from edge_twisted.logs.rotating_file import RotatingFile

log = Logger()

RETRY_SECONDS: Final = 1.0
#: Between two error lines about the same lasting failure.
REPEAT_SECONDS: Final = 60.0


class PatientWriter:
    """
    Writes lines to a `RotatingFile` as soon as that is possible.  For the reactor thread.

    Lines from before `open` are kept until then, because twistd logs before services start.
    """

    def __init__(self, name: str, clock: IReactorTime, *, max_backlog_bytes: int) -> None:
        self.name = name
        self._clock = clock
        self._max_backlog_bytes = max_backlog_bytes
        self._file: RotatingFile | None = None
        self._backlog: deque[bytes] = deque()
        self._backlog_bytes = 0
        self._lost = 0
        self._failing = False
        self._retry: IDelayedCall | None = None
        self._told = float("-inf")

    def open(self, file: RotatingFile) -> None:
        """
        Open `file` and write the waiting lines.

        :raises OSError: `file` cannot be opened; the server must not start.
        """
        file.open()
        self._file = file
        self._drain(file)

    def write(self, lines: bytes) -> None:
        """
        Write the bytes of whole lines, or keep them for later.

        Never raises `OSError`: it is logged, and writing is tried again.  Beyond the limit of the
        backlog, the oldest lines are given up and counted.
        """
        self._backlog.append(lines)
        self._backlog_bytes += len(lines)
        while self._backlog_bytes > self._max_backlog_bytes:
            given_up = self._backlog.popleft()
            self._backlog_bytes -= len(given_up)
            self._lost += given_up.count(b"\n")
        if self._file is not None and self._retry is None:
            self._drain(self._file)

    def close(self) -> None:
        """
        Write the waiting lines if that is possible now, and close the file.

        Never raises `OSError`: lines that were lost are counted in the log.
        """
        file, self._file = self._file, None
        if file is None:
            return
        self._drain(file)
        self._cancel_retry()
        lost = self._lost + sum(lines.count(b"\n") for lines in self._backlog)
        if lost:
            log.error("{log} stopped with {lost} lines unwritten", log=self.name, lost=lost)
        try:
            file.close()
        except OSError as error:
            log.error(
                "{log} was not closed cleanly: {reason}", log=self.name, reason=error.strerror
            )

    # -- inner

    def _drain(self, file: RotatingFile) -> None:
        self._cancel_retry()
        while self._backlog:
            lines = self._backlog[0]
            try:
                written = file.append(memoryview(lines))
            except OSError as error:
                self._failed(error)
                return
            self._backlog_bytes -= written
            if written == len(lines):
                self._backlog.popleft()
            else:
                self._backlog[0] = lines[written:]
        self._worked(file)

    def _failed(self, error: OSError) -> None:
        self._failing = True
        self._retry = self._clock.callLater(RETRY_SECONDS, self._try_again)
        if self._may_tell():
            log.error(
                "{log} cannot be written: {reason}; lines wait in memory ({waiting_bytes} bytes)",
                log=self.name,
                reason=reason_of(error),
                waiting_bytes=self._backlog_bytes,
                lost=self._lost,
            )

    def _try_again(self) -> None:
        self._retry = None
        if self._file is not None:
            self._drain(self._file)

    def _cancel_retry(self) -> None:
        retry, self._retry = self._retry, None
        if retry is not None:
            retry.cancel()

    def _worked(self, file: RotatingFile) -> None:
        if self._failing:
            self._failing = False
            self._told = float("-inf")
            log.warn(
                "{log} is written again; {lost} lines were lost", log=self.name, lost=self._lost
            )
            self._lost = 0
        if file.trouble is not None and self._may_tell():
            reason = reason_of(file.trouble)
            log.error("{log} cannot be rotated: {reason}", log=self.name, reason=reason)

    def _may_tell(self) -> bool:
        now = self._clock.seconds()
        if now - self._told < REPEAT_SECONDS:
            return False
        self._told = now
        return True


def reason_of(error: OSError) -> str:
    """Return the operating system's message, with the path if the error has one."""
    reason = error.strerror or str(error)
    return f"{reason}: {error.filename}" if error.filename is not None else reason

# SPDX-License-Identifier: Apache-2.0
"""
Writes lines to standard output or error, without ever waiting for the reader.

A stopped terminal, a paused ``docker logs`` or a dead supervisor would block a plain ``write``, and
the whole server with it.  Here lines wait in memory up to a bound; beyond it the oldest are lost.
A stream takes parts of lines and reports no errors of a disk, so little is shared with
`patient_writer`, which does the same for files.
"""

from __future__ import annotations

import os
import select
from collections import deque
from typing import Final, Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

log = Logger()

RETRY_SECONDS: Final = 0.05
MAX_WAITING_BYTES: Final = 1024 * 1024
#: Between two warnings about lost lines.
REPEAT_SECONDS: Final = 60.0


class OutputStream(Protocol):
    """Stream that a console writes to."""

    def is_terminal(self) -> bool:
        """Tell whether the stream is a terminal."""

    def write(self, data: memoryview) -> int:
        """
        Write some of the bytes in `data` without blocking; return how many.

        Returns 0 if the stream would block: try again later.

        :raises OSError: the stream has no reader any more, and the data is lost.
        """


class DescriptorStream:
    """A file descriptor, left in blocking mode because other processes may share it."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLOUT)

    def is_terminal(self) -> bool:
        """Tell whether the stream is a terminal."""
        return os.isatty(self._descriptor)

    def write(self, data: memoryview) -> int:
        """Write some of `data`; see `OutputStream.write`."""
        # If poll reports it as writable, it takes PIPE_BUF bytes without blocking (pipe(7)).
        if not self._poll.poll(0):
            return 0
        return os.write(self._descriptor, data[: select.PIPE_BUF])


class Console:
    """Writes lines to a stream in order, each line whole or not at all."""

    def __init__(self, name: str, stream: OutputStream, clock: IReactorTime) -> None:
        self.name = name
        self._stream = stream
        self._clock = clock
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        #: Bytes of the first waiting line that are written already.
        self._begun = 0
        self._retry: IDelayedCall | None = None
        self._lost = 0
        self._told = float("-inf")

    def write(self, line: bytes) -> None:
        """
        Write the bytes of one line, or keep them until the stream takes them.

        Beyond `MAX_WAITING_BYTES` the oldest waiting lines are given up.
        """
        self._waiting.append(line)
        self._waiting_bytes += len(line)
        if self._retry is None:
            self._drain()
        while self._waiting_bytes > MAX_WAITING_BYTES and len(self._waiting) > 1:
            self._give_up_one()

    def stop(self) -> None:
        """Write as much as possible now, and set no timer any more; `write` still works."""
        self._cancel_retry()
        self._drain()
        self._cancel_retry()

    # -- inner

    def _drain(self) -> None:
        while self._waiting:
            line = self._waiting[0]
            try:
                written = self._stream.write(memoryview(line)[self._begun :])
            except OSError:
                self._lost += len(self._waiting)
                self._waiting.clear()
                self._waiting_bytes = self._begun = 0
                return
            if not written:
                self._retry = self._clock.callLater(RETRY_SECONDS, self._try_again)
                return
            self._begun += written
            if self._begun == len(line):
                self._waiting.popleft()
                self._waiting_bytes -= len(line)
                self._begun = 0
        self._tell_of_lost()

    def _try_again(self) -> None:
        self._retry = None
        self._drain()

    def _cancel_retry(self) -> None:
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None

    def _give_up_one(self) -> None:
        # A first line that is half written stays; the second one is dropped.
        index = 1 if self._begun else 0
        self._waiting_bytes -= len(self._waiting[index])
        del self._waiting[index]
        self._lost += 1

    def _tell_of_lost(self) -> None:
        now = self._clock.seconds()
        if not self._lost or now - self._told < REPEAT_SECONDS:
            return
        self._told, lost, self._lost = now, self._lost, 0
        log.warn(
            "{lost} lines for {console} were lost: nobody read it", lost=lost, console=self.name
        )

# SPDX-License-Identifier: Apache-2.0
"""
The console: lines to standard output or error, without ever waiting for whoever reads them.

A stopped terminal, a paused ``docker logs``, a supervisor that died: each would block a plain
``write`` and the whole server with it.  Here lines wait, up to a bound, and then the oldest go.
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
#: Between two lines about lines that were lost.
REPEAT_SECONDS: Final = 60.0


class OutputStream(Protocol):
    """Where a console writes to."""

    def is_terminal(self) -> bool:
        """Tell whether a person looks at it."""

    def write(self, data: memoryview) -> int:
        """
        Write some of `data` without waiting; return how many bytes, 0 when it would have to wait.

        :raises OSError: nobody can read it.
        """


class DescriptorStream:
    """A file descriptor that other processes may share, and which is therefore left blocking."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLOUT)

    def is_terminal(self) -> bool:
        """Tell whether a person looks at it."""
        return os.isatty(self._descriptor)

    def write(self, data: memoryview) -> int:
        """Write some of `data`; see `OutputStream.write`."""
        # What poll calls writable takes PIPE_BUF bytes without blocking (pipe(7)).
        if not self._poll.poll(0):
            return 0
        return os.write(self._descriptor, data[: select.PIPE_BUF])


class Console:
    """Writes lines to a stream, in order, each whole or not at all."""

    def __init__(self, name: str, stream: OutputStream, clock: IReactorTime) -> None:
        self.name = name
        self._stream = stream
        self._clock = clock
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        #: How much of the first waiting line is written already.
        self._begun = 0
        self._retry: IDelayedCall | None = None
        self._lost = 0
        self._told = float("-inf")

    def write(self, line: bytes) -> None:
        """Take one line."""
        self._waiting.append(line)
        self._waiting_bytes += len(line)
        if self._retry is None:
            self._drain()
        while self._waiting_bytes > MAX_WAITING_BYTES and len(self._waiting) > 1:
            self._give_up_one()

    def stop(self) -> None:
        """Write what can be written, and try no more by itself; lines may still come."""
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
        # The first may be half written: it stays, and the second goes.
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

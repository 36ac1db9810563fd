# SPDX-License-Identifier: Apache-2.0
"""
How the streams of a link share it, and the peer's window.

A stream that has something to send gets a turn: it reads one batch, and keeps the turn until the
batch is sent.  Turns go round; few are out at a time, so that memory holds few batches; and batches
are sent in the order in which they were read, so that a large one does not wait for ever.
"""

from __future__ import annotations

from collections import deque
from typing import Final, Protocol

#: One batch waits for the window while the next is read.
MAX_TURNS: Final = 2


class WindowTaker(Protocol):
    """A stream, as turns see it."""

    @property
    def wants_turn(self) -> bool:
        """Whether there is something to read, now."""

    def read(self) -> None:
        """Begin to read a batch; `SendWindow.hold` or `SendWindow.release` follows."""

    @property
    def held_bytes(self) -> int | None:
        """The size of the next message that waits to be sent, None without any."""

    def send_held(self) -> None:
        """Send that message."""


class SendWindow:
    """See the head of this module.  `limit_bytes` is the window that the peer named."""

    def __init__(self) -> None:
        self.limit_bytes = 0
        self._in_flight = 0
        self._queue: deque[WindowTaker] = deque()
        self._out: list[WindowTaker] = []
        #: Those of `_out` that have read, in that order.
        self._holding: deque[WindowTaker] = deque()

    def request(self, stream: WindowTaker) -> None:
        """Give a stream a turn as soon as it is its, if it wants one by then."""
        if stream not in self._queue and stream not in self._out:
            self._queue.append(stream)
        self.run()

    def hold(self, stream: WindowTaker) -> None:
        """The stream has read what it will send."""
        if stream in self._out:
            self._holding.append(stream)
        self.run()

    def release(self, stream: WindowTaker) -> None:
        """The stream has nothing to send, or is no more: the next one's turn."""
        if stream in self._out:
            self._out.remove(stream)
        if stream in self._holding:
            self._holding.remove(stream)
        if stream in self._queue:
            self._queue.remove(stream)
        self.run()

    def took(self, size: int) -> None:
        """Count bytes that were sent; negative: that were acknowledged."""
        self._in_flight += size
        assert self._in_flight >= 0
        if size < 0:
            self.run()

    @property
    def is_idle(self) -> bool:
        """Whether no stream has, or waits for, a turn."""
        return not self._out and not self._queue

    def run(self) -> None:
        """Send what fits, and give out turns."""
        while self._holding and self.fits(self._holding[0].held_bytes or 0):
            self._send(self._holding[0])
        while self._queue and len(self._out) < MAX_TURNS:
            stream = self._queue.popleft()
            if stream.wants_turn:
                self._out.append(stream)
                stream.read()

    def fits(self, size: int) -> bool:
        """Tell whether the peer takes so much: up to its window, or one alone that is larger."""
        return not self._in_flight or self._in_flight + size <= self.limit_bytes

    def _send(self, stream: WindowTaker) -> None:
        stream.send_held()
        if stream.held_bytes is not None:
            return
        self._holding.popleft()
        self._out.remove(stream)
        if stream.wants_turn:
            self._queue.append(stream)

# SPDX-License-Identifier: Apache-2.0
"""
The peer's window, and how the streams of a link share it.

A stream that has something to send gets a turn: it reads one batch, and keeps the turn until the
batch is sent.  Streams get turns in the order of their requests.  At most `MAX_TURNS` are given out
at a time, so memory holds few batches.  Batches are sent in the order in which they were read, so a
large batch does not wait for ever behind small ones.
"""

from __future__ import annotations

from collections import deque
from typing import Final, Protocol

#: Turns at a time: one batch waits for the window while the next is read.
MAX_TURNS: Final = 2


class WindowTaker(Protocol):
    """A stream, as the window sees it."""

    @property
    def wants_turn(self) -> bool:
        """Whether the stream has something to read now."""

    def read(self) -> None:
        """Begin to read a batch; call `SendWindow.hold` or `SendWindow.release` afterwards."""

    @property
    def held_bytes(self) -> int | None:
        """The size of the message that is to be sent next; None if no message waits."""

    def send_held(self) -> None:
        """Send the message that is to be sent next."""


class SendWindow:
    """
    Gives out turns and counts bytes that are not acknowledged.

    :ivar limit_bytes: the window that the peer named in HELLO.
    """

    def __init__(self) -> None:
        self.limit_bytes = 0
        self._in_flight = 0
        #: In order; a link may have a thousand streams, and each asks again and again.
        self._queue: dict[WindowTaker, None] = {}
        self._out: list[WindowTaker] = []
        #: Streams of `_out` that have read, in the order in which they did.
        self._holding: deque[WindowTaker] = deque()

    def request(self, stream: WindowTaker) -> None:
        """Queue a stream for a turn; when its turn comes, it gets one if it still wants one."""
        if stream not in self._out:
            self._queue.setdefault(stream)
        self.run()

    def hold(self, stream: WindowTaker) -> None:
        """Note that a stream has read what it will send, and send it when it fits."""
        if stream in self._out:
            self._holding.append(stream)
        self.run()

    def release(self, stream: WindowTaker) -> None:
        """Take back the turn of a stream that has nothing to send or has stopped."""
        if stream in self._out:
            self._out.remove(stream)
        if stream in self._holding:
            self._holding.remove(stream)
        self._queue.pop(stream, None)
        self.run()

    def took(self, size: int) -> None:
        """Count bytes that were sent; if `size` is negative, bytes that were acknowledged."""
        self._in_flight += size
        assert self._in_flight >= 0
        if size < 0:
            self.run()

    @property
    def is_idle(self) -> bool:
        """Whether no stream has a turn or waits for one."""
        return not self._out and not self._queue

    def run(self) -> None:
        """Send what fits into the window, and give out turns."""
        while self._holding and self.fits(self._holding[0].held_bytes or 0):
            self._send(self._holding[0])
        while self._queue and len(self._out) < MAX_TURNS:
            stream = next(iter(self._queue))
            del self._queue[stream]
            if stream.wants_turn:
                self._out.append(stream)
                stream.read()

    def fits(self, size: int) -> bool:
        """Return whether a message of `size` bytes may be sent now.

        A message larger than the window may go when nothing else is on its way.
        """
        return not self._in_flight or self._in_flight + size <= self.limit_bytes

    def _send(self, stream: WindowTaker) -> None:
        stream.send_held()
        if stream.held_bytes is not None:
            return
        self._holding.popleft()
        self._out.remove(stream)
        if stream.wants_turn:
            self._queue.setdefault(stream)

# SPDX-License-Identifier: Apache-2.0
"""The least speed at which a client must send a body or read a response."""

from __future__ import annotations

from typing import Final

#: The window in which a rate is measured: longer than the usual pauses of a mobile connection.
WINDOW_SECONDS: Final = 30.0
#: Bytes that a transport buffers before it pauses its producer; it resumes once they are sent.
ROOM_BYTES: Final = 65536


class Pace:
    """
    The least rate of one request body, in bytes per second over each window.

    `due` is the end of the current window, by the same clock as `begin`.
    """

    __slots__ = ("_bytes_per_second", "_missing", "due")

    def __init__(self, bytes_per_second: int, begin: float) -> None:
        self._bytes_per_second = bytes_per_second
        self.due = begin
        self._missing = 0
        self.begin_window(begin)

    def begin_window(self, now: float) -> None:
        """Begin the next window at `now`, in seconds."""
        self.due = now + WINDOW_SECONDS
        self._missing = int(self._bytes_per_second * WINDOW_SECONDS)

    def take(self, size: int) -> None:
        """Count `size` bytes that arrived."""
        self._missing -= size

    @property
    def is_kept(self) -> bool:
        """Whether enough bytes have arrived in the current window."""
        return self._missing <= 0


def stall_seconds(bytes_per_second: int) -> float:
    """Return how many seconds a client may stop reading if it must read at this rate.

    That is the time in which the client would take `ROOM_BYTES`, and at least one window.
    """
    return max(WINDOW_SECONDS, ROOM_BYTES / bytes_per_second)

# SPDX-License-Identifier: Apache-2.0
"""The least speed at which a client must send a body or read a response."""

from __future__ import annotations

from typing import Final

#: The window in which a rate is measured: long enough for a pause of a mobile line.
WINDOW_SECONDS: Final = 30.0
#: Bytes that a transport buffers before it pauses us: it resumes when the client has read them all.
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
        """Begin the next window."""
        self.due = now + WINDOW_SECONDS
        self._missing = int(self._bytes_per_second * WINDOW_SECONDS)

    def take(self, size: int) -> None:
        """Count bytes that came."""
        self._missing -= size

    @property
    def is_kept(self) -> bool:
        """Whether the window under way has what it needs."""
        return self._missing <= 0


def stall_seconds(bytes_per_second: int) -> float:
    """Return how long a client may take to make room for more of its answer, at a rate."""
    return max(WINDOW_SECONDS, ROOM_BYTES / bytes_per_second)

# SPDX-License-Identifier: Apache-2.0
"""
The hybrid logical clock: timestamps that follow the wall clock and never go back.

After Kulkarni, Demirbas, Madappa, Avva and Leone, "Logical Physical Clocks" (2014), in 64 bits: 48
of milliseconds since 1970, 16 of a counter, so that timestamps compare as integers.
"""

from __future__ import annotations

from typing import ClassVar, Final, NewType

from edge_twisted.errors import EdgeError

#: 48 bits of milliseconds since 1970 UTC, 16 bits of counter.
Timestamp = NewType("Timestamp", int)

COUNTER_BITS: Final = 16
#: Below every timestamp of a write: when INITIAL documents are written.
BEGINNING: Final = Timestamp(0)
#: A remote timestamp further ahead than this is not believed.
MAX_AHEAD_MS: Final = 10 * 60 * 1000


class ClockSkew(EdgeError):
    """A peer's timestamp is too far ahead of our clock: one of the two clocks is wrong."""

    code: ClassVar[str] = "clock_skew"

    def __init__(self, ahead_ms: int) -> None:
        super().__init__(ahead_ms)
        self.ahead_ms = ahead_ms

    def __str__(self) -> str:
        return f"a remote timestamp is {self.ahead_ms / 1000:.0f} s ahead of this clock"


def timestamp(milliseconds: int, counter: int = 0) -> Timestamp:
    """Return the timestamp of a moment, in ms since 1970."""
    return Timestamp((milliseconds << COUNTER_BITS) | counter)


def milliseconds(moment: Timestamp) -> int:
    """Return the wall-clock part of a timestamp, in ms since 1970."""
    return moment >> COUNTER_BITS


class HybridClock:
    """
    Gives timestamps, each above all that it gave or saw before.

    The time comes in with each call; `last` is what must be persisted to stay monotonic over a
    restart.
    """

    def __init__(self, last: Timestamp = BEGINNING) -> None:
        self.last = last

    def tick(self, now_ms: int) -> Timestamp:
        """Return a new timestamp; a counter that is full runs over into the milliseconds."""
        # Comparing takes half of what `max` does, and there is a tick for every write.
        wall, last = now_ms << COUNTER_BITS, self.last
        self.last = Timestamp(wall if wall > last else last + 1)
        return self.last

    def see(self, remote: Timestamp, now_ms: int) -> None:
        """
        Move past a timestamp of another clock.

        :raises ClockSkew: it is more than `MAX_AHEAD_MS` ahead; the clock did not move.
        """
        ahead = milliseconds(remote) - now_ms
        if ahead > MAX_AHEAD_MS:
            raise ClockSkew(ahead)
        self.last = max(self.last, remote)

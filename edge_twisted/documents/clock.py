# SPDX-License-Identifier: Apache-2.0
"""
The hybrid logical clock (HLC): timestamps that follow the wall clock and never go back.

After Kulkarni, Demirbas, Madappa, Avva and Leone, "Logical Physical Clocks" (2014), in 64 bits: 48
of milliseconds since 1970 and 16 of a counter, so that timestamps compare as integers.

Example, as (ms, counter): a clock at (1000, 0) ticks at wall time 1005 and returns (1005, 0); it
ticks again in the same millisecond and returns (1005, 1); it sees the remote timestamp (1009, 3)
and, at wall time 1006, ticks to (1009, 4).  What is written after a remote write was seen is thus
later than that write, even where the local clock lags.
"""

from __future__ import annotations

from typing import ClassVar, Final, NewType

from edge_twisted.errors import EdgeError

#: 48 bits of milliseconds since 1970 UTC, 16 bits of counter.
Timestamp = NewType("Timestamp", int)

COUNTER_BITS: Final = 16
#: The timestamp of INSERT INITIAL, below that of any other write.
BEGINNING: Final = Timestamp(0)
#: Milliseconds by which a remote timestamp may be ahead; one further ahead is refused.
MAX_AHEAD_MS: Final = 10 * 60 * 1000


class ClockSkew(EdgeError):
    """A peer's timestamp is too far ahead: correct the clock of the peer or of this server."""

    code: ClassVar[str] = "clock_skew"

    def __init__(self, ahead_ms: int) -> None:
        super().__init__(ahead_ms)
        self.ahead_ms = ahead_ms

    def __str__(self) -> str:
        return f"a remote timestamp is {self.ahead_ms / 1000:.0f} s ahead of this clock"


def timestamp(milliseconds: int, counter: int = 0) -> Timestamp:
    """Return the timestamp of a time in milliseconds since 1970."""
    return Timestamp((milliseconds << COUNTER_BITS) | counter)


def milliseconds(moment: Timestamp) -> int:
    """Return the wall-clock part of a timestamp, in milliseconds since 1970."""
    return moment >> COUNTER_BITS


class HybridClock:
    """
    A source of timestamps, each greater than all that the clock has given or seen before.

    Callers pass the wall time in milliseconds.  Persist `last` and pass it to the constructor to
    keep timestamps monotonic over a restart.
    """

    def __init__(self, last: Timestamp = BEGINNING) -> None:
        self.last = last

    def tick(self, now_ms: int) -> Timestamp:
        """Return a new timestamp; a full counter carries into the milliseconds."""
        # A comparison takes half the time of `max`, and every write ticks.
        wall, last = now_ms << COUNTER_BITS, self.last
        self.last = Timestamp(wall if wall > last else last + 1)
        return self.last

    def see(self, remote: Timestamp, now_ms: int) -> None:
        """
        Advance the clock past a timestamp of another clock.

        :raises ClockSkew: `remote` is more than `MAX_AHEAD_MS` ahead; the clock is unchanged.
        """
        ahead = milliseconds(remote) - now_ms
        if ahead > MAX_AHEAD_MS:
            raise ClockSkew(ahead)
        self.last = max(self.last, remote)

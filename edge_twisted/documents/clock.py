# SPDX-License-Identifier: Apache-2.0
"""
The hybrid logical clock (HLC): timestamps that follow the wall clock and never go back.

After Kulkarni, Demirbas, Madappa, Avva and Leone, "Logical Physical Clocks" (2014), in 64 bits: 48
of milliseconds since 1970 and 16 of a counter, so that timestamps compare as integers.

Example, as (ms, counter): a clock at (1000, 0) ticks at wall time 1005 and returns (1005, 0); it
ticks again in the same millisecond and returns (1005, 1); it sees the remote timestamp (1009, 3)
and, at wall time 1006, ticks to (1009, 4).  What is written after a remote write was seen is thus
later than that write, even where the local clock lags.

A hybrid clock is *ahead* while its last timestamp is above the wall clock: the wall clock was wrong
and was set back, or timestamps were seen of a server to which that happened.  It then goes on with
the counter, which carries into the milliseconds after 65,536 ticks.  Below 65 million ticks a
second, the wall clock catches up.  Others take such timestamps only from a peer whose wall clock is
right and that *declared* how far its hybrid clock is; else one wrong clock would spread unnoticed.
"""

from __future__ import annotations

from typing import ClassVar, Final, NewType

from edge_twisted.errors import Culprit, EdgeError

#: 48 bits of milliseconds since 1970 UTC, 16 bits of counter.
Timestamp = NewType("Timestamp", int)

COUNTER_BITS: Final = 16
#: The timestamp of INSERT INITIAL, below that of any other write.
BEGINNING: Final = Timestamp(0)
#: Milliseconds by which a remote timestamp may be ahead; one further ahead is refused, unless it
#: was declared.
MAX_AHEAD_MS: Final = 10 * 60 * 1000
#: Milliseconds by which a declared timestamp may be ahead: a date of which somebody mistyped the
#: year, a leap year included.  A hybrid clock that follows is ahead for as long, so that of two
#: writes that have not seen each other the one on a server that has not heard of it loses; without
#: a bound, one broken server could make that so for ever.
MAX_DECLARED_AHEAD_MS: Final = 366 * 24 * 60 * 60 * 1000


class ClockSkew(EdgeError):
    """
    A peer's timestamp is too far ahead: correct the clock of the peer or of this server.

    :ivar was_declared: the peer had said so, and it is more than `MAX_DECLARED_AHEAD_MS`: what it
        wrote is taken once the time has come closer.
    """

    code: ClassVar[str] = "clock_skew"
    culprit = Culprit.OPERATOR

    def __init__(self, ahead_ms: int, *, was_declared: bool = False) -> None:
        super().__init__(ahead_ms)
        self.ahead_ms = ahead_ms
        self.was_declared = was_declared

    def __str__(self) -> str:
        most = MAX_DECLARED_AHEAD_MS // 86_400_000
        bound = f", and no more than {most} days are taken" if self.was_declared else ""
        return f"a remote timestamp is {self.ahead_ms / 1000:.0f} s ahead of this clock{bound}"


def timestamp(milliseconds: int, counter: int = 0) -> Timestamp:
    """Return the timestamp of a time in milliseconds since 1970 UTC and a counter of 16 bits."""
    return Timestamp((milliseconds << COUNTER_BITS) | counter)


def milliseconds(moment: Timestamp) -> int:
    """Return the wall-clock part of a timestamp, in milliseconds since 1970 UTC."""
    return moment >> COUNTER_BITS


def ahead_ms(moment: Timestamp, now_ms: int) -> int:
    """
    Return by how many milliseconds a timestamp is ahead of the wall clock; 0 if it is not.

    :param now_ms: the wall clock, in milliseconds since 1970 UTC.
    """
    return max(0, milliseconds(moment) - now_ms)


class HybridClock:
    """
    A source of timestamps, each greater than all that the clock has given or seen before.

    Callers pass the wall time in milliseconds.  Persist `last` and pass it to the constructor to
    keep timestamps monotonic over a restart.
    """

    def __init__(self, last: Timestamp = BEGINNING) -> None:
        self.last = last

    def tick(self, now_ms: int) -> Timestamp:
        """
        Advance the clock and return its new timestamp, which is greater than all before.

        The timestamp is that of the wall clock, or, while this clock is ahead of it, the last
        timestamp plus 1; a full counter carries into the milliseconds.

        :param now_ms: the wall clock, in milliseconds since 1970 UTC.
        """
        # A comparison takes half the time of `max`, and every write ticks.
        wall, last = now_ms << COUNTER_BITS, self.last
        self.last = Timestamp(wall if wall > last else last + 1)
        return self.last

    def see(self, remote: Timestamp, now_ms: int, declared: Timestamp = BEGINNING) -> None:
        """
        Advance the clock to a timestamp of another clock, if that is later than its own.

        A timestamp that this clock has passed is never refused.

        :param now_ms: the wall clock, in milliseconds since 1970 UTC.
        :param declared: the hybrid clock that the sender of `remote` declared.
        :raises ClockSkew: `remote` is more than `MAX_AHEAD_MS` ahead and above `declared`, or more
            than `MAX_DECLARED_AHEAD_MS` ahead; the clock is unchanged, and the write must not be
            applied.
        """
        if remote <= self.last:
            return
        ahead, was_declared = milliseconds(remote) - now_ms, remote <= declared
        if ahead > (MAX_DECLARED_AHEAD_MS if was_declared else MAX_AHEAD_MS):
            raise ClockSkew(ahead, was_declared=was_declared)
        self.last = remote

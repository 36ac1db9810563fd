# SPDX-License-Identifier: Apache-2.0
"""
What counters add up: shares of replicas since the last restart.

Each replica adds to a share of its own, so shares never conflict: of two states of one share the
one with the later write counts.  A replica that evicted some of what it added, and has not seen it
again, begins another one (`version_exceptions`), for the later state of the first would lack that.
The last restart wins as a register does, and with it begin new shares; increments by those who had
not seen it belong to an earlier count and are gone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from attrs import field, frozen

from edge_twisted.documents.clock import BEGINNING
from edge_twisted.documents.entries import Stamp
from edge_twisted.documents.values import INTEGER_MAX, INTEGER_MIN
from edge_twisted.documents.versions import NO_VERSION, Dot, Replica, VersionVector
from edge_twisted.errors import EdgeError


class CounterOverflow(EdgeError):
    """A counter would leave the range of 64 bits; RESTART it."""

    code: ClassVar[str] = "counter_overflow"

    def __init__(self, total: int) -> None:
        super().__init__(total)
        self.total = total

    def __str__(self) -> str:
        return f"the counter would become {self.total}, which is beyond 64 bits"


@frozen
class Share:
    """What one replica added: the sum of its increments, from where it began to `sequence`."""

    sequence: int
    total: int


@frozen
class CounterState:
    """
    A count: where it began, None being 0 at the beginning of time, and the shares since.

    :ivar shares: by replica and where they began: 0, or the write that began another one.
    """

    restart: Stamp | None = None
    start: int = 0
    shares: Mapping[Dot, Share] = field(factory=dict)

    @property
    def value(self) -> int | float:
        """The number that is shown; a float where 64 bits do not suffice."""
        total = self.start + sum(share.total for share in self.shares.values())
        return total if INTEGER_MIN <= total <= INTEGER_MAX else float(total)

    def add(self, amount: int, dot: Dot) -> CounterState:
        """
        Return the count after an increment.

        :raises CounterOverflow: this replica's increments add up to more than 64 bits.
        """
        key = self.newest_share(dot.replica)
        old = self.shares.get(key)
        total = amount + (old.total if old else 0)
        if not INTEGER_MIN <= total <= INTEGER_MAX:
            raise CounterOverflow(total)
        share = Share(dot.sequence, total)
        return CounterState(self.restart, self.start, {**self.shares, key: share})

    def newest_share(self, replica: Replica) -> Dot:
        """Return the key of the share that a replica added to last, of the first if to none."""
        found = Dot(replica, 0)
        sequence = 0
        for key, share in self.shares.items():
            if share.sequence > sequence and key.replica == replica:
                found, sequence = key, share.sequence
        return found

    def merge(
        self, other: CounterState, seen: VersionVector, other_seen: VersionVector
    ) -> CounterState:
        """
        Return the count that has seen both.

        What one side has seen and does not have, it forgot: it is gone, as with entries.

        :param seen: all that this side has seen.
        :param other_seen: all that the other one has.
        """
        if self.restart != other.restart:
            mine, theirs = (self, seen), (other, other_seen)
            newer, older = sorted((mine, theirs), key=_restart_rank, reverse=True)
            return older[0] if _has_forgotten(older, newer) else newer[0]
        shares: dict[Dot, Share] = {}
        for key in {**self.shares, **other.shares}:
            share = _later(self.shares.get(key), other.shares.get(key))
            dot = Dot(key.replica, share.sequence)
            has_mine, has_theirs = key in self.shares, key in other.shares
            if (has_mine or not seen.covers(dot)) and (has_theirs or not other_seen.covers(dot)):
                shares[key] = share
        return CounterState(self.restart, self.start, shares)

    def forgets(self, other: CounterState, seen: VersionVector, other_seen: VersionVector) -> bool:
        """Return whether `merge` drops something because one side has forgotten it."""
        kept = self.merge(other, NO_VERSION, NO_VERSION)
        return self.merge(other, seen, other_seen) != kept

    def dots(self) -> list[Dot]:
        """Return the writes that the count is made of, of each share the last."""
        found = [Dot(key.replica, share.sequence) for key, share in self.shares.items()]
        return [*found, self.restart.dot] if self.restart else found


#: A count and what its side has seen.
_Seen = tuple[CounterState, VersionVector]


def _restart_rank(side: _Seen) -> tuple[int, int, tuple[()] | Stamp]:
    restart, start = side[0].restart, side[0].start
    if restart is None:
        return -1, 0, ()
    # Of two INITIAL ones the greater number wins, as with any field.
    tie = start if restart.timestamp == BEGINNING else 0
    return restart.timestamp, tie, restart


def _has_forgotten(older: _Seen, newer: _Seen) -> bool:
    """Return whether the side with the older restart has seen the newer one, and lost it."""
    (mine, seen), (theirs, their_seen) = older, newer
    if theirs.restart is None or not seen.covers(theirs.restart.dot):
        return False
    return mine.restart is None or not their_seen.covers(mine.restart.dot)


def _later(mine: Share | None, theirs: Share | None) -> Share:
    found = [share for share in (mine, theirs) if share is not None]
    return max(found, key=lambda share: share.sequence)


def restart_counter(stamp: Stamp, start: int) -> CounterState:
    """Return a new count that begins with a number."""
    return CounterState(stamp, start)

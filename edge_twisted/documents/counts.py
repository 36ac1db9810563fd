# SPDX-License-Identifier: Apache-2.0
"""
What counters add up: shares of replicas since the last restart.

Each replica adds to a share of its own, so shares never conflict: of two states of one share the
one with the later write counts.  The last restart wins as a register does, and with it begin new
shares; increments by those who had not seen it belong to an earlier count and are gone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from attrs import field, frozen

from edge_twisted.documents.clock import BEGINNING
from edge_twisted.documents.entries import Stamp
from edge_twisted.documents.values import INTEGER_MAX, INTEGER_MIN
from edge_twisted.documents.versions import Dot, Replica
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
    """What one replica added: the sum of its increments up to one of its writes."""

    sequence: int
    total: int


@frozen
class Count:
    """A count: where it began, None being 0 at the beginning of time, and the shares since."""

    restart: Stamp | None = None
    start: int = 0
    shares: Mapping[Replica, Share] = field(factory=dict)

    @property
    def value(self) -> int | float:
        """The number that is shown; a float where 64 bits do not suffice."""
        total = self.start + sum(share.total for share in self.shares.values())
        return total if INTEGER_MIN <= total <= INTEGER_MAX else float(total)

    def added(self, amount: int, dot: Dot) -> Count:
        """
        Return the count after an increment.

        :raises CounterOverflow: this replica's increments add up to more than 64 bits.
        """
        old = self.shares.get(dot.replica)
        total = amount + (old.total if old else 0)
        if not INTEGER_MIN <= total <= INTEGER_MAX:
            raise CounterOverflow(total)
        share = Share(dot.sequence, total)
        return Count(self.restart, self.start, {**self.shares, dot.replica: share})

    def merged(self, other: Count) -> Count:
        """Return the count that has seen both."""
        if self.restart != other.restart:
            if self.restart is None:
                return other
            if other.restart is None:
                return self
            return max(self, other, key=_restart_rank)
        shares = dict(self.shares)
        for replica, share in other.shares.items():
            mine = shares.get(replica)
            if mine is None or mine.sequence < share.sequence:
                shares[replica] = share
        return Count(self.restart, self.start, shares)

    def dots(self) -> list[Dot]:
        """Return the writes that the count is made of, of each replica the last."""
        found = [Dot(replica, share.sequence) for replica, share in self.shares.items()]
        return [*found, self.restart.dot] if self.restart else found


def _restart_rank(count: Count) -> tuple[int, int, Stamp]:
    assert count.restart is not None
    # Of two INITIAL ones the greater number wins, as with any field.
    tie = count.start if count.restart.timestamp == BEGINNING else 0
    return count.restart.timestamp, tie, count.restart


def restarted(stamp: Stamp, start: int) -> Count:
    """Return a new count that begins with a number."""
    return Count(stamp, start)

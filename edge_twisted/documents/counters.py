# SPDX-License-Identifier: Apache-2.0
"""
Counters: the sum of one share for each replica, since the last restart.

A state-based CRDT counter with a reset.  A *share* is the sum of one replica's
increments and the sequence of the latest of them.  A replica adds only to its own share, so two
states of one share never conflict: the one with the greater sequence is the later and wins.

Example: A adds 2 and then 5, B adds 1, without having seen each other.  A holds ``{A: 7}``, B holds
``{B: 1}``, the merge ``{A: 7, B: 1}``, which shows 8.

A *restart* sets a start value, is a last-writer-wins register, and begins new shares.  Increments
by a replica that had not seen the restart belong to the count before it, and are dropped.

A replica that evicted some of its own increments, and has not received them again, begins a second
share (`edge_twisted.documents.version_exceptions`): a later state of the first share would lack
what was evicted and yet win over the copies that still have it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from attrs import field, frozen

from edge_twisted.documents.clock import BEGINNING
from edge_twisted.documents.entries import Stamp
from edge_twisted.documents.values import INTEGER_MAX, INTEGER_MIN
from edge_twisted.documents.versions import NO_VERSION, Dot, Replica, VersionVector
from edge_twisted.errors import Culprit, EdgeError


class CounterOverflow(EdgeError):
    """An increment would take a share out of the range of 64 bits; RESTART the counter."""

    code: ClassVar[str] = "counter_overflow"
    culprit = Culprit.CALLER

    def __init__(self, total: int) -> None:
        super().__init__(total)
        self.total = total

    def __str__(self) -> str:
        return f"the counter would become {self.total}, which is beyond 64 bits"


@frozen
class Share:
    """The sum of one replica's increments, up to the one with the number `sequence`."""

    sequence: int
    total: int


@frozen
class CounterState:
    """
    A counter: its last restart (None: never restarted), its start value, and its shares.

    :ivar shares: by the dot that began the share; sequence 0 stands for a replica's first share.
    """

    restart: Stamp | None = None
    start: int = 0
    shares: Mapping[Dot, Share] = field(factory=dict)

    @property
    def value(self) -> int | float:
        """The number that a document shows: start plus shares; a float beyond 64 bits."""
        total = self.start + sum(share.total for share in self.shares.values())
        return total if INTEGER_MIN <= total <= INTEGER_MAX else float(total)

    def add(self, amount: int, dot: Dot) -> CounterState:
        """
        Return the counter after an increment by `amount`; `dot` is the dot of that write.

        :raises CounterOverflow: the share of the writing replica would exceed 64 bits; refuse the
            write.
        """
        key = self.newest_share(dot.replica)
        old = self.shares.get(key)
        total = amount + (old.total if old else 0)
        if not INTEGER_MIN <= total <= INTEGER_MAX:
            raise CounterOverflow(total)
        share = Share(dot.sequence, total)
        return CounterState(self.restart, self.start, {**self.shares, key: share})

    def newest_share(self, replica: Replica) -> Dot:
        """
        Return the key in `shares` of a replica's latest share.

        For a replica without a share, return the key of its first share, which has the sequence 0.
        """
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
        Return the merge of two states of a counter.

        A share, or restart, that one side has seen but does not hold was forgotten there and is
        dropped, as `nodes.Side.forgot` explains for entries.

        :param seen: the causal context (version vector) of this side.
        :param other_seen: the causal context of the other side.
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
        """Return whether `merge` drops a share or a restart that one side has forgotten."""
        kept = self.merge(other, NO_VERSION, NO_VERSION)
        return self.merge(other, seen, other_seen) != kept

    def dots(self) -> list[Dot]:
        """Return the dots of the last write of each share, then that of the restart, if any."""
        found = [Dot(key.replica, share.sequence) for key, share in self.shares.items()]
        return [*found, self.restart.dot] if self.restart else found


#: A counter and the causal context of its side.
_Seen = tuple[CounterState, VersionVector]


def _restart_rank(side: _Seen) -> tuple[int, int, tuple[()] | Stamp]:
    restart, start = side[0].restart, side[0].start
    if restart is None:
        return -1, 0, ()
    # Of two INITIAL restarts the greater start wins, as with the value of any field.
    tie = start if restart.timestamp == BEGINNING else 0
    return restart.timestamp, tie, restart


def _has_forgotten(older: _Seen, newer: _Seen) -> bool:
    """Return whether the side with the older restart has seen the newer one and forgotten it."""
    (mine, seen), (theirs, their_seen) = older, newer
    if theirs.restart is None or not seen.covers(theirs.restart.dot):
        return False
    return mine.restart is None or not their_seen.covers(mine.restart.dot)


def _later(mine: Share | None, theirs: Share | None) -> Share:
    found = [share for share in (mine, theirs) if share is not None]
    return max(found, key=lambda share: share.sequence)


def restart_counter(stamp: Stamp, start: int) -> CounterState:
    """Return the counter after a restart at the number `start`, by the write with this stamp."""
    return CounterState(stamp, start)

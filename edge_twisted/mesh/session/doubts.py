# SPDX-License-Identifier: Apache-2.0
"""
When to repair because documents of a sender were not taken.

A document is doubtful if it may have been deleted here long ago, and the sender has not said that
it knows of all deletes that may concern it (`edge_twisted.replication.reaped`).  In a repair the
sender says what it knows, before its documents come.  Documents that are doubtful all the same stay
away for now: the repair is made again, ever more rarely, because the sender may know more then.

The same doubt the other way round: the sender cannot tell of a document that only this server has
whether it was deleted there.  What the sender knows may then cover the delete, and must not be
taken for known here.
"""

from __future__ import annotations

from typing import Final

from attrs import define

#: Seconds from one repair to the next one for doubts: the least, and the most after several.
SHORTEST_PAUSE_SECONDS: Final = 30.0
LONGEST_PAUSE_SECONDS: Final = 3600.0


@define
class Doubts:
    """The doubts that one stream has of its sender's documents."""

    _are_there: bool = False
    _pause_seconds: float = SHORTEST_PAUSE_SECONDS
    _not_before: float = float("-inf")

    def found(self) -> None:
        """Note that documents of the sender were not taken, for they may have been deleted here."""
        self._are_there = True

    def wants_repair(self, now: float) -> bool:
        """Return whether a repair is due at `now`, in monotonic seconds."""
        return self._are_there and now >= self._not_before

    def repair_begins(self, now: float) -> None:
        """Note that a repair begins, which takes whatever is not doubtful any more."""
        self._are_there = False
        self._not_before = now + self._pause_seconds
        self._pause_seconds = min(2 * self._pause_seconds, LONGEST_PAUSE_SECONDS)

    def repair_ends(self) -> bool:
        """Note that a repair has brought all it could; return whether it left doubts."""
        if not self._are_there:
            self._pause_seconds, self._not_before = SHORTEST_PAUSE_SECONDS, float("-inf")
        return self._are_there

# SPDX-License-Identifier: Apache-2.0
"""
How much a read may do on the reactor thread before it must go to a thread of its own.

A cheap read costs less than handing it over; whether it is cheap only shows while it runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from edge_twisted.dql.plan.nodes import CollectionScan, IdScan, IndexScan, UnionScan
from edge_twisted.dql.plan.query import QueryPlan
from edge_twisted.store.errors import ReadTooLong
from edge_twisted.store.interface import Snapshot
from edge_twisted.store.rows import Most

#: Rows of the store; a text is the last column.
Batch = Sequence[tuple[Any, ...]]

#: Rows, the bytes of their bodies, and steps within expressions: each about 2 ms at worst, so that
#: together they stay under the 10 ms that the reactor may be held.
INLINE_ROWS: Final = 128
INLINE_BYTES: Final = 256 * 1024
INLINE_STEPS: Final = 2_000
#: The same for an answer that comes at once.
INLINE_MOST: Final = Most(INLINE_ROWS, INLINE_BYTES)
#: After it went beyond the bounds, a plan goes to a thread at once this many times.
RESPITE: Final = 50


_INDEXED: Final = (IdScan, IndexScan, UnionScan)


class BeyondBounds(Exception):
    """The read does too much; whoever set the bounds runs it again without."""


class Bounds:
    """Counts what a read does."""

    __slots__ = ("_bytes", "_rows", "_steps")

    def __init__(self) -> None:
        self._rows = INLINE_ROWS
        self._bytes = INLINE_BYTES
        self._steps = INLINE_STEPS

    def batches(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """Yield lists of rows; :raises BeyondBounds: they are too many, or too large."""
        for batch in batches:
            self._rows -= len(batch)
            if self._rows < 0:
                raise BeyondBounds
            self._bytes -= sum([len(row[-1]) for row in batch])
            if self._bytes < 0:
                raise BeyondBounds
            yield batch

    def ids(self, ids: Iterable[bytes]) -> Iterator[bytes]:
        """Yield ids; :raises BeyondBounds: there are too many."""
        for id_ in ids:
            self._rows -= 1
            if self._rows < 0:
                raise BeyondBounds
            yield id_

    def spend(self, steps: int) -> None:
        """Count steps within an expression; :raises BeyondBounds: there are too many."""
        self._steps -= steps
        if self._steps < 0:
            raise BeyondBounds


#: Counts nothing.
UNBOUNDED: Final = Bounds()


def spare(plan: QueryPlan, error: BeyondBounds | ReadTooLong) -> None:
    """Have a plan that turned out to be no cheap read go to a thread for a while."""
    if isinstance(error, ReadTooLong):
        # Perhaps something else had the processor: more than once only if it happens again.
        plan.respite = plan.late = min(2 * plan.late or 1, RESPITE)
    else:
        plan.respite = RESPITE


def may_run_inline(plan: QueryPlan, snapshot: Snapshot) -> bool:
    """Return whether it is worth trying a plan on the reactor thread, within `Bounds`."""
    choice = plan.choice
    if choice is None:
        return True
    if plan.joins and any(join.lookup is None for join in plan.joins):
        return False
    source = plan.statement.source
    if source is not None and source.collection.namespace == "system":
        return source.collection.name == "dual"
    access = choice.access
    if isinstance(access, _INDEXED):
        if plan.respite:
            plan.respite -= 1
            return False
        return True
    if not isinstance(access, CollectionScan) or plan.joins:
        return False
    if plan.counts_all is not None:
        return True
    # A filter of the store would look at rows that nobody counts.
    known = snapshot.collection(access.collection)
    return known is None or known.count <= INLINE_ROWS

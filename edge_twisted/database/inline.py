# SPDX-License-Identifier: Apache-2.0
"""
How much a read may do on the reactor thread before it must go to a thread of its own.

A cheap read costs less than handing it over; whether it is cheap only shows while it runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from edge_twisted.documents.values import Value
from edge_twisted.dql.plan.nodes import CollectionScan, IdScan, IndexScan, UnionScan
from edge_twisted.dql.plan.query import QueryPlan
from edge_twisted.store.errors import ReadTooLong
from edge_twisted.store.interface import Snapshot
from edge_twisted.store.rows import ReadLimit

#: Rows of the store; a text is the last column.
StoreRows = Sequence[tuple[Any, ...]]

#: Rows, the bytes of their bodies, and steps within expressions: each about 2 ms at worst, so that
#: together they stay under the 10 ms that the reactor may be held.
INLINE_ROWS: Final = 128
INLINE_BYTES: Final = 256 * 1024
INLINE_STEPS: Final = 2_000
#: The same for an answer that comes at once.
INLINE_MOST: Final = ReadLimit(INLINE_ROWS, INLINE_BYTES)
#: After it went beyond the bounds, a plan goes to a thread at once this many times.
RESPITE: Final = 50


_INDEXED: Final = (IdScan, IndexScan, UnionScan)


#: Elements of an argument, or of what is in it, and characters: what is made of larger ones before
#: the first row is read would hold the reactor.
INLINE_ELEMENTS: Final = 128
INLINE_CHARACTERS: Final = 16_384


class BeyondBounds(Exception):
    """The read does too much; whoever set the bounds runs it again without."""


class ReadBudget:
    """Counts what a read does."""

    __slots__ = ("_bytes", "_rows", "_steps")

    def __init__(self) -> None:
        self._rows = INLINE_ROWS
        self._bytes = INLINE_BYTES
        self._steps = INLINE_STEPS

    def batches(self, batches: Iterable[StoreRows]) -> Iterator[StoreRows]:
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


def are_small(arguments: Mapping[str, Value]) -> bool:
    """Return whether arguments are so small that the reactor's thread may work with them."""
    for value in arguments.values():
        kind = type(value)
        if kind is str:
            if len(value) > INLINE_CHARACTERS:  # type: ignore[arg-type]
                return False
        elif (kind is dict or kind is list) and not _is_small(value):
            return False
    return True


def _is_small(value: Value) -> bool:
    """Return whether an array or object has few elements, and those in it together as well."""
    left = INLINE_ELEMENTS
    stack = [value]
    while stack:
        each = stack.pop()
        if isinstance(each, list | dict):
            left -= len(each)
            if left < 0:
                return False
            stack.extend(each.values() if isinstance(each, dict) else each)
        elif isinstance(each, str | bytes) and len(each) > INLINE_CHARACTERS:
            return False
    return True


#: Counts nothing.
UNBOUNDED: Final = ReadBudget()


def spare(plan: QueryPlan, error: BeyondBounds | ReadTooLong) -> None:
    """Have a plan that turned out to be no cheap read go to a thread for a while."""
    if isinstance(error, ReadTooLong):
        # Perhaps something else had the processor: more than once only if it happens again.
        plan.respite = plan.late = min(2 * plan.late or 1, RESPITE)
    else:
        plan.respite = RESPITE


def may_run_inline(plan: QueryPlan, snapshot: Snapshot) -> bool:
    """Return whether it is worth trying a plan on the reactor thread, within `ReadBudget`."""
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

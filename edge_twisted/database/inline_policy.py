# SPDX-License-Identifier: Apache-2.0
"""
Which SELECTs run on the reactor thread, and how much a read may do there.

A cheap read costs less than handing it to a reader thread, but whether it is cheap shows only while
it runs.  So the reactor thread tries a plan with bounded access within a `ReadBudget`; a read that
exceeds it starts again on a reader thread, and so do the next reads of that plan.  `InlinePolicy`
makes this decision and keeps what it learnt, one for each prepared statement.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from attrs import define, frozen

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
#: Rows and bytes of an answer that the store gives in one call.
INLINE_MOST: Final = ReadLimit(INLINE_ROWS, INLINE_BYTES)
#: Elements and characters of an argument, nested ones included: preparing larger arguments would
#: hold the reactor before the first row is read.
INLINE_ELEMENTS: Final = 128
INLINE_CHARACTERS: Final = 16_384
#: Runs of a plan that go straight to a reader thread after one that exceeded the limits.
RESPITE: Final = 50
#: Plans of one statement whose respite is remembered; as many as a statement keeps plans.
MOST_RESPITES: Final = 32

_INDEXED: Final = (IdScan, IndexScan, UnionScan)


class BeyondBounds(Exception):
    """A read exceeded its `ReadBudget`; the caller runs it again on a thread, without a budget."""


class ReadBudget:
    """Counts the rows, bytes and steps of one read."""

    __slots__ = ("_bytes", "_rows", "_steps")

    def __init__(self) -> None:
        self._rows = INLINE_ROWS
        self._bytes = INLINE_BYTES
        self._steps = INLINE_STEPS

    def batches(self, batches: Iterable[StoreRows]) -> Iterator[StoreRows]:
        """
        Yield lists of rows as they come, and count rows and bytes of texts.

        :param batches: lists of rows as tuples, whose last column is the text.
        :raises BeyondBounds: the rows are too many, or too large: read on a thread.
        """
        for batch in batches:
            self._rows -= len(batch)
            if self._rows < 0:
                raise BeyondBounds
            self._bytes -= sum([len(row[-1]) for row in batch])
            if self._bytes < 0:
                raise BeyondBounds
            yield batch

    def ids(self, ids: Iterable[bytes]) -> Iterator[bytes]:
        """
        Yield id keys as they come, each counted as a row.

        :raises BeyondBounds: there are too many: read on a thread.
        """
        for id_ in ids:
            self._rows -= 1
            if self._rows < 0:
                raise BeyondBounds
            yield id_

    def spend(self, steps: int) -> None:
        """
        Count steps within an expression.

        :raises BeyondBounds: there are too many: evaluate it on a thread.
        """
        self._steps -= steps
        if self._steps < 0:
            raise BeyondBounds


def are_small(arguments: Mapping[str, Value]) -> bool:
    """Return whether arguments are so small that the reactor thread may prepare them."""
    for value in arguments.values():
        kind = type(value)
        if kind is str:
            if len(value) > INLINE_CHARACTERS:  # type: ignore[arg-type]
                return False
        elif (kind is dict or kind is list) and not _is_small(value):
            return False
    return True


def _is_small(value: Value) -> bool:
    """Return whether an array or object, nested ones included, has few elements and short texts."""
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


#: Stands for no budget; compared by identity, never counted down.
UNBOUNDED: Final = ReadBudget()


@frozen
class KnownPlan:
    """The plan of an earlier inline SELECT of a caller who may do everything, and its validity."""

    plan: QueryPlan
    #: Valid while the indexes are those of this version.
    catalog_version: int
    #: Valid while these are the system parameters, compared by identity.
    parameters: object


@define
class Respite:
    """The next `runs` of a plan go to a reader thread; `late` times for taking too long."""

    runs: int
    late: int = 0


class InlinePolicy:
    """
    Decides whether the SELECTs of one prepared statement run on the reactor thread.

    Predicates change nothing; what is learnt comes through `remember` and the `note_` methods.
    For the reactor thread only.
    """

    __slots__ = ("_known", "respites")

    def __init__(self) -> None:
        self._known: KnownPlan | None = None
        #: Plans that exceeded the limits lately.  Mostly empty: callers test that before a call.
        self.respites: dict[QueryPlan, Respite] = {}

    def known_plan(
        self, parameters: object, arguments: Mapping[str, Value], *, is_full: bool
    ) -> KnownPlan | None:
        """
        Return the plan by which to answer this statement without opening it; None: open it.

        :param parameters: the system parameters now; the plan must have been made under these.
        :param is_full: whether the caller may do everything.
        """
        known = self._known
        if known is None or known.parameters is not parameters or not is_full:
            return None
        if (self.respites and self._is_spared(known.plan)) or not are_small(arguments):
            return None
        return known

    def allows(self, plan: QueryPlan, snapshot: Snapshot) -> bool:
        """Return whether a plan is worth trying on the reactor thread, within a `ReadBudget`."""
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
            return not self.respites or not self._is_spared(plan)
        if not isinstance(access, CollectionScan) or plan.joins:
            return False
        if plan.counts_all is not None:
            return True
        # The filter of the store would read rows that the budget does not count.
        known = snapshot.collection(access.collection)
        return known is None or known.count <= INLINE_ROWS

    def remember(self, known: KnownPlan) -> None:
        """Answer by this plan from now on, where `known_plan` returns it."""
        self._known = known

    def note_inline(self, plan: QueryPlan) -> None:
        """Record that a plan ran on the reactor thread within the limits."""
        self.respites.pop(plan, None)

    def note_exceeded(self, plan: QueryPlan, error: BeyondBounds | ReadTooLong) -> None:
        """
        Record that a plan exceeded the limits: it goes to a thread, and so do its next runs.

        A read that took too long may have waited for the processor, so the first time only one
        further run is spared, then twice as many each time.
        """
        late = 0
        before = self.respites.pop(plan, None)
        if isinstance(error, ReadTooLong):
            late = min(2 * before.late if before and before.late else 1, RESPITE)
        elif before:
            late = before.late
        # One more: the run that exceeded the limits goes to a thread as well, and is noted there.
        runs = (late if isinstance(error, ReadTooLong) else RESPITE) + 1
        self.respites[plan] = Respite(runs, late)
        if len(self.respites) > MOST_RESPITES:
            del self.respites[next(iter(self.respites))]

    def note_threaded(self, plan: QueryPlan) -> None:
        """Record that a plan that might have run on the reactor thread goes to a reader thread."""
        respite = self.respites.get(plan)
        if respite is not None and respite.runs > 0:
            respite.runs -= 1

    def _is_spared(self, plan: QueryPlan) -> bool:
        respite = self.respites.get(plan)
        return respite is not None and respite.runs > 0

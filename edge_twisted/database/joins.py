# SPDX-License-Identifier: Apache-2.0
"""The rows of FROM and JOIN: which way each further term is read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any, Protocol

from attrs import frozen

from edge_twisted.database.access_paths import look_up
from edge_twisted.database.inline_policy import UNBOUNDED, ReadBudget
from edge_twisted.dql import syntax
from edge_twisted.dql.compiler import CompiledExpression, Environment
from edge_twisted.dql.execution.interruption import Interruption
from edge_twisted.dql.execution.joins import (
    Document,
    Equality,
    hash_join,
    loop_join,
    right_hash_join,
)
from edge_twisted.dql.execution.step_meters import StepObserver
from edge_twisted.dql.plan.joins import JoinPlan
from edge_twisted.dql.plan.lookups import Lookup
from edge_twisted.dql.plan.query import QueryPlan
from edge_twisted.store.interface import Snapshot


class TermReader(Protocol):
    """What gives the documents of terms: one execution of a plan."""

    snapshot: Snapshot
    env: Environment
    interruption: Interruption
    bounds: ReadBudget
    meter: StepObserver

    def read_first(self, plan: QueryPlan) -> Iterator[Document]:
        """Yield the documents of the first term, at least those that the condition can want."""

    def read_documents(self, term: syntax.Term) -> Iterator[Document]:
        """Yield all documents of a term that the caller may see."""

    def decode_visible(self, texts: Iterable[bytes], term: str) -> Iterator[Document]:
        """Yield the documents of stored texts that the caller may see."""


@frozen
class TermJoiner:
    """Puts the terms of one execution together."""

    _reader: TermReader

    def rows(self, plan: QueryPlan) -> Iterator[Any]:
        """Yield rows of one document, or None, for each term."""
        step = self._reader.meter.step
        first, *rest = plan.joins
        left = self._reader.read_first(plan)
        if first.kind is syntax.JoinKind.RIGHT:
            rows = self._right(left, first)
        else:
            rows = self._join(((document,) for document in left), first, 1)
        rows = step("join 1", rows)
        for width, join in enumerate(rest, 2):
            rows = step(f"join {width}", self._join(rows, join, width))
        return rows

    def _join(self, rows: Iterator[Any], join: JoinPlan, width: int) -> Iterator[Any]:
        reader = self._reader
        keep = join.kind is syntax.JoinKind.LEFT
        condition = self._call(join.condition)
        if join.lookup is not None:
            look_up = partial(self._look_up, join.lookup, join.term.name)
            return loop_join(rows, look_up, condition, keep)
        documents = reader.read_documents(join.term)
        if join.equalities:
            watch = reader.interruption.watch
            return hash_join(rows, documents, self._equalities(join), condition, keep, width, watch)
        kept = list(documents)
        # Pairs that do not match yield no row, and must be interruptible all the same.
        return loop_join(rows, lambda _: reader.interruption.watch(kept), condition, keep)

    def _look_up(self, lookup: Lookup, term: str, row: Any) -> Iterator[Any]:
        """Yield the documents that may match one row."""
        reader = self._reader
        found = look_up(reader.snapshot, lookup, row, reader.env)
        if reader.bounds is not UNBOUNDED:
            found = reader.bounds.batches(found)
        texts = reader.interruption.watch(text[-1] for batch in found for text in batch)
        return reader.decode_visible(texts, term)

    def _right(self, left: Iterator[Any], join: JoinPlan) -> Iterator[Any]:
        """A LEFT join from the other side, its rows turned round again."""
        reader = self._reader
        condition = self._call(join.condition)
        watch = reader.interruption.watch
        return right_hash_join(
            left, reader.read_documents(join.term), self._equalities(join), condition, watch
        )

    def _equalities(self, join: JoinPlan) -> list[Equality]:
        return [Equality(self._call(a), self._call(b)) for a, b in join.equalities]

    def _call(self, compiled: CompiledExpression) -> Any:
        return partial(_call, compiled, self._reader.env)


def _call(compiled: CompiledExpression, env: Any, row: Any) -> Any:
    return compiled(row, env)

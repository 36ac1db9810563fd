# SPDX-License-Identifier: Apache-2.0
"""
The rows of FROM and JOIN.

The plan of each JOIN says how its term is read: by a look-up for each row, by one read into a hash
table, or by one read and nested loops.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Protocol

from attrs import frozen

from edge_twisted.database.access_paths import look_up
from edge_twisted.database.inline_policy import UNBOUNDED, ReadBudget
from edge_twisted.dql import syntax
from edge_twisted.dql.compiler import Environment, bind
from edge_twisted.dql.execution.interruption import Interruption
from edge_twisted.dql.execution.joins import (
    Equality,
    JoinCondition,
    hash_join,
    loop_join,
    right_hash_join,
)
from edge_twisted.dql.execution.step_meters import StepObserver
from edge_twisted.dql.plan.joins import JoinPlan
from edge_twisted.dql.plan.lookups import Lookup
from edge_twisted.dql.plan.query import QueryPlan
from edge_twisted.dql.rows import Document, JoinRow
from edge_twisted.store.interface import Snapshot


class TermReader(Protocol):
    """Reads the documents of terms; implemented by `PlanReader`."""

    snapshot: Snapshot
    env: Environment
    interruption: Interruption
    bounds: ReadBudget
    meter: StepObserver

    def read_first(self, plan: QueryPlan) -> Iterator[Document]:
        """
        Yield the documents of the first term, decoded, that the caller may see.

        Those that WHERE rejects may be left out, or not.
        """

    def read_documents(self, term: syntax.Term) -> Iterator[Document]:
        """Yield all documents of a term, decoded, that the caller may see."""

    def decode_visible(self, texts: Iterable[bytes], term: str) -> Iterator[Document]:
        """Decode stored texts of the term `term`; yield the documents that the caller may see."""


@frozen
class TermJoiner:
    """Joins the terms of a plan."""

    _reader: TermReader

    def rows(self, plan: QueryPlan) -> Iterator[JoinRow]:
        """
        Yield the rows of a plan's joins: a tuple with a document of each term, in order.

        None stands where an outer join has no document.
        """
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

    def _join(self, rows: Iterator[JoinRow], join: JoinPlan, width: int) -> Iterator[JoinRow]:
        reader = self._reader
        keep = join.kind is syntax.JoinKind.LEFT
        condition = self._condition(join)
        if join.lookup is not None:
            look_up = partial(self._look_up, join.lookup, join.term.name)
            return loop_join(rows, look_up, condition.test, keep)
        documents = reader.read_documents(join.term)
        watch = reader.interruption.watch
        if join.equalities:
            return hash_join(rows, documents, condition, keep, width, watch)
        kept = list(documents)
        # Watched here, because pairs that do not match yield no row that could be watched.
        return loop_join(rows, lambda _: watch(kept), condition.test, keep)

    def _look_up(self, lookup: Lookup, term: str, row: JoinRow) -> Iterator[Document]:
        """Yield the documents of a term that may match one row."""
        reader = self._reader
        found = look_up(reader.snapshot, lookup, row, reader.env)
        if reader.bounds is not UNBOUNDED:
            found = reader.bounds.batches(found)
        texts = reader.interruption.watch(text[-1] for batch in found for text in batch)
        return reader.decode_visible(texts, term)

    def _right(self, left: Iterator[Document], join: JoinPlan) -> Iterator[JoinRow]:
        """Yield the rows of a RIGHT join."""
        reader = self._reader
        right = reader.read_documents(join.term)
        return right_hash_join(left, right, self._condition(join), reader.interruption.watch)

    def _condition(self, join: JoinPlan) -> JoinCondition:
        env = self._reader.env
        equalities = [Equality(bind(a, env), bind(b, env)) for a, b in join.equalities]
        return JoinCondition(equalities, bind(join.condition, env))

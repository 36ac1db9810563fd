# SPDX-License-Identifier: Apache-2.0
"""The rows of FROM and JOIN: which way each further term is read."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from attrs import frozen

from edge_twisted.dql import syntax
from edge_twisted.dql.compile import Compiled
from edge_twisted.dql.execute.joining import Equality, hash_join, loop_join, right_hash_join
from edge_twisted.dql.plan.joins import JoinPlan
from edge_twisted.dql.plan.query import QueryPlan

if TYPE_CHECKING:
    from edge_twisted.database.select import Reading


@frozen
class Joining:
    """Puts the terms of one execution together."""

    _reading: Reading

    def rows(self, plan: QueryPlan) -> Iterator[Any]:
        """Yield rows of one document, or None, for each term."""
        step = self._reading.measuring.step
        first, *rest = plan.joins
        source = plan.statement.source
        assert source is not None
        left = step("access", self._reading.documents(source))
        if first.kind is syntax.JoinKind.RIGHT:
            rows = self._right(left, first)
        else:
            rows = self._join(((document,) for document in left), first, 1)
        rows = step("join 1", rows)
        for width, join in enumerate(rest, 2):
            rows = step(f"join {width}", self._join(rows, join, width))
        return rows

    def _join(self, rows: Iterator[Any], join: JoinPlan, width: int) -> Iterator[Any]:
        reading = self._reading
        keep = join.kind is syntax.JoinKind.LEFT
        condition = self._call(join.condition)
        documents = reading.documents(join.term)
        if join.equalities:
            watch = reading.interruption.watch
            return hash_join(rows, documents, self._equalities(join), condition, keep, width, watch)
        kept = list(documents)
        # Pairs that do not match yield no row, and must be interruptible all the same.
        return loop_join(rows, lambda _: reading.interruption.watch(kept), condition, keep)

    def _right(self, left: Iterator[Any], join: JoinPlan) -> Iterator[Any]:
        """A LEFT join from the other side, its rows turned round again."""
        reading = self._reading
        condition = self._call(join.condition)
        watch = reading.interruption.watch
        return right_hash_join(
            left, reading.documents(join.term), self._equalities(join), condition, watch
        )

    def _equalities(self, join: JoinPlan) -> list[Equality]:
        return [Equality(self._call(a), self._call(b)) for a, b in join.equalities]

    def _call(self, compiled: Compiled) -> Any:
        return partial(_call, compiled, self._reading.env)


def _call(compiled: Compiled, env: Any, row: Any) -> Any:
    return compiled(row, env)

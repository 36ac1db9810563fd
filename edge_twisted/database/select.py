# SPDX-License-Identifier: Apache-2.0
"""
SELECT: the rows of a plan, read from a snapshot.

Rows flow from the access through joins, filter, grouping, order and limits into the projection.
Where the documents themselves are asked for and the store proved the condition, their stored texts
are the answer and nothing is decoded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

from attrs import frozen

from edge_twisted.database.access import bodies, find, used_keys
from edge_twisted.database.stored import document_of
from edge_twisted.documents.ids import DocumentId
from edge_twisted.documents.json_text import is_literal
from edge_twisted.documents.values import Operand, Value, canonical
from edge_twisted.dql import syntax
from edge_twisted.dql.compile import Compiled, Environment
from edge_twisted.dql.errors import ArgumentError
from edge_twisted.dql.execute.grouping import AggregateTerm, group
from edge_twisted.dql.execute.interruption import Interruption
from edge_twisted.dql.execute.joining import Equality, hash_join, loop_join
from edge_twisted.dql.execute.sorting import SortTerm, cut, distinct, order
from edge_twisted.dql.plan.joins import JoinPlan
from edge_twisted.dql.plan.nodes import CollectionScan
from edge_twisted.dql.plan.query import QueryPlan
from edge_twisted.store.interface import Snapshot

Document = dict[str, Value]
#: Gives the documents of a virtual collection.
Virtual = Callable[[str], Iterable[Document]]
MAX_COUNT = 2**63 - 1


@frozen(kw_only=True)
class Reading:
    """One execution of a plan."""

    snapshot: Snapshot
    env: Environment
    interruption: Interruption
    virtual: Virtual
    #: By the name of a term whose rules are in no condition: whether its caller may see a document.
    visible: Mapping[str, Callable[[Document], bool]] = MappingProxyType({})
    #: By the name of a term: what makes of a stored document what its declared types show.
    views: Mapping[str, Callable[[Document], Document]] = MappingProxyType({})

    # -- whole answers

    def texts(self, plan: QueryPlan) -> list[bytes] | None:
        """
        Return stored texts that are the rows to the letter; None where rows must be made.

        A text that spells a binary value is not, and sends the whole answer the other way.
        """
        if not plan.is_plain or plan.order or plan.choice is None or self._is_virtual(plan):
            return None
        where = plan.statement.selection.where
        found = find(self.snapshot, plan.choice, where, plan.field_of, self.env)
        rows: Iterable[bytes] = (text for _, text in self.interruption.watch(found.rows))
        if not found.exact:
            rows = self._tested(rows, plan)
        limit, offset = self.bounds(plan)
        taken = list(cut(rows, limit, offset))
        return taken if all(map(is_literal, taken)) else None

    def _tested(self, rows: Iterable[bytes], plan: QueryPlan) -> Iterator[bytes]:
        test = plan.where
        for text in rows:
            if test is None or test(document_of(text), self.env) is True:
                yield text

    def rows(self, plan: QueryPlan) -> list[Value]:
        """Return the rows of the result."""
        limit, offset = self.bounds(plan)
        counted = self._count(plan)
        if counted is not None:
            return list(cut(counted, limit, offset))
        return self.shaped(plan, self.source(plan), limit, offset)

    def shaped(
        self, plan: QueryPlan, source: Iterator[Any], limit: int | None = None, offset: int = 0
    ) -> list[Value]:
        """Return what the clauses above FROM, JOIN and WHERE make of rows."""
        rows = self._grouped(plan, source)
        if plan.statement.distinct:
            pairs = ((row, plan.projection(row, self.env)) for row in rows)
            unique = distinct(pairs, lambda pair: canonical(pair[1]))
            ordered = self._ordered(plan, unique, limit, offset, lambda pair: pair[0])
            return [made for _, made in cut(ordered, limit, offset)]
        ordered = self._ordered(plan, rows, limit, offset, lambda row: row)
        return [plan.projection(row, self.env) for row in cut(ordered, limit, offset)]

    def bounds(self, plan: QueryPlan) -> tuple[int | None, int]:
        """
        Return LIMIT and OFFSET.

        :raises ArgumentError: one of them is not a whole number from 0.
        """
        selection = plan.statement.selection
        limit = self._bound(plan.limit, selection.limit, "LIMIT")
        offset = self._bound(plan.offset, selection.offset, "OFFSET")
        return limit, offset or 0

    def _bound(
        self, compiled: Compiled | None, node: syntax.Expression | None, word: str
    ) -> int | None:
        if compiled is None or node is None:
            return None
        value = compiled(None, self.env)
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_COUNT:
            return value
        raise ArgumentError(f"{word} must be a whole number from 0", node.span)

    # -- sources

    def source(self, plan: QueryPlan) -> Iterator[Any]:
        """Yield the rows of FROM, JOIN and WHERE."""
        if plan.choice is None:
            rows: Iterator[Any] = iter([{}])
        elif plan.joins:
            return self._filtered(self._joined(plan), plan.where)
        elif self._is_virtual(plan):
            rows = iter(self._documents(plan.statement.source))
        else:
            where = plan.statement.selection.where
            found = find(self.snapshot, plan.choice, where, plan.field_of, self.env, plan.fidelity)
            watched = self.interruption.watch(found.rows)
            documents = self._seen((document_of(text) for _, text in watched), plan.terms[0])
            return documents if found.exact else self._filtered(documents, plan.where)
        return self._filtered(self.interruption.watch(rows), plan.where)

    def _filtered(self, rows: Iterator[Any], test: Compiled | None) -> Iterator[Any]:
        if test is None:
            return rows
        env = self.env
        return (row for row in rows if test(row, env) is True)

    def _is_virtual(self, plan: QueryPlan) -> bool:
        source = plan.statement.source
        return source is not None and source.collection.namespace == "system"

    def _documents(self, term: syntax.Term | None) -> Iterable[Document]:
        assert term is not None
        name, keys = term.collection.name, used_keys(term, self.env)
        if term.collection.namespace == "system":
            found = self.virtual(name)
            return found if keys is None else _with_ids(found, keys)
        if keys is None:
            texts = (text for batch in self.snapshot.scan(name) for _, text in batch)
        else:
            texts = (text for _, text in bodies(self.snapshot, name, keys))
        return self._seen(map(document_of, self.interruption.watch(texts)), term.name)

    def _seen(self, documents: Iterator[Document], term: str) -> Iterator[Document]:
        """Yield what the caller may see of stored documents, as the statement is to see it."""
        may_see, view = self.visible.get(term), self.views.get(term)
        if may_see is not None:
            documents = filter(may_see, documents)
        return documents if view is None else map(view, documents)

    def _joined(self, plan: QueryPlan) -> Iterator[Any]:
        first, *rest = plan.joins
        if first.kind is syntax.JoinKind.RIGHT:
            rows = self._right_join(plan.statement.source, first)
        else:
            start = ((document,) for document in self._documents(plan.statement.source))
            rows = self._join(start, first, 1)
        for width, join in enumerate(rest, 2):
            rows = self._join(rows, join, width)
        return self.interruption.watch(rows)

    def _join(self, rows: Iterator[Any], join: JoinPlan, width: int) -> Iterator[Any]:
        keep = join.kind is syntax.JoinKind.LEFT
        condition = partial(self._call, join.condition)
        equalities = [
            Equality(partial(self._call, outer), partial(self._call, inner))
            for outer, inner in join.equalities
        ]
        documents = self._documents(join.term)
        if equalities:
            return hash_join(rows, documents, equalities, condition, keep, width)
        kept = list(documents)
        # Pairs that do not match yield no row, and must be interruptible all the same.
        return loop_join(rows, lambda _: self.interruption.watch(kept), condition, keep)

    def _right_join(self, left: syntax.Term | None, join: JoinPlan) -> Iterator[Any]:
        """A LEFT join from the other side, its rows turned round again."""
        kept = list(self._documents(left))
        for document in self._documents(join.term):
            matched = False
            for other in self.interruption.watch(kept):
                if join.condition((other, document), self.env) is True:
                    matched = True
                    yield (other, document)
            if not matched:
                yield (None, document)

    def _call(self, compiled: Compiled, row: Any) -> Operand:
        return compiled(row, self.env)

    # -- above the sources

    def _count(self, plan: QueryPlan) -> list[Value] | None:
        name = plan.counts_all
        if name is None or self._is_virtual(plan) or plan.choice is None or self.visible:
            return None
        if not isinstance(plan.choice.access, CollectionScan):
            return None
        known = self.snapshot.collection(plan.choice.access.collection)
        return [{name: known.count if known else 0}]

    def _grouped(self, plan: QueryPlan, rows: Iterator[Any]) -> Iterator[Any]:
        grouping = plan.grouping
        if grouping is None:
            return rows
        keys = [partial(self._call, key) for key in grouping.keys]
        terms = [
            AggregateTerm(each.begin, partial(self._call, each.value))
            for each in grouping.aggregates
        ]
        return self._filtered(group(rows, keys, terms), plan.having)

    def _ordered(
        self,
        plan: QueryPlan,
        rows: Iterable[Any],
        limit: int | None,
        offset: int,
        row_of: Callable[[Any], Any],
    ) -> Iterable[Any]:
        if not plan.order:
            return rows
        env = self.env
        terms = [
            SortTerm(lambda item, value=each.value: value(row_of(item), env), each.descending)  # type: ignore[misc]
            for each in plan.order
        ]
        return order(rows, terms, None if limit is None else limit + offset)


def _with_ids(documents: Iterable[Document], keys: list[bytes]) -> Iterable[Document]:
    wanted = frozenset(keys)
    return (each for each in documents if DocumentId.of(each["_id"]).key in wanted)

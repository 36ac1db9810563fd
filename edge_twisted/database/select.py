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
from typing import Any, Final, TypeVar

from attrs import define

from edge_twisted.database.access_paths import (
    FoundTexts,
    bodies,
    bounds_of,
    count,
    find,
    index_ids,
    stored_texts,
    used_keys,
)
from edge_twisted.database.inline_policy import UNBOUNDED, ReadBudget
from edge_twisted.database.joins import TermJoiner
from edge_twisted.documents.ids import DocumentId, id_value
from edge_twisted.documents.json_text import are_literal, is_literal
from edge_twisted.documents.values import Value, canonical
from edge_twisted.dql import syntax
from edge_twisted.dql.compiler import Compiled, Environment
from edge_twisted.dql.execution.grouping import AggregateTerm, group
from edge_twisted.dql.execution.interruption import Interruption
from edge_twisted.dql.execution.sorting import SortTerm, cut, distinct, order
from edge_twisted.dql.execution.step_meters import NO_METER, StepObserver
from edge_twisted.dql.plan.covering import Covers
from edge_twisted.dql.plan.nodes import CollectionScan
from edge_twisted.dql.plan.query import QueryPlan
from edge_twisted.dql.result import Rows
from edge_twisted.records.documents import ID, document_of
from edge_twisted.store.fields import Fields
from edge_twisted.store.interface import Snapshot

T = TypeVar("T")
Document = dict[str, Value]
#: Gives the documents of a virtual collection.
Virtual = Callable[[str, Snapshot], Iterable[Document]]
#: A batch of a streamed answer is about this large, or one row.
BATCH_BYTES: Final = 256 * 1024


@define(kw_only=True)
class PlanReader:
    """One execution of a plan."""

    snapshot: Snapshot
    env: Environment
    interruption: Interruption
    virtual: Virtual | None
    bounds: ReadBudget = UNBOUNDED
    #: By the name of a term whose rules are in no condition: whether its caller may see a document.
    visible: Mapping[str, Callable[[Document], bool]] = MappingProxyType({})
    #: By the name of a term: what makes of a stored document what its declared types show.
    views: Mapping[str, Callable[[Document], Document]] = MappingProxyType({})
    measuring: StepObserver = NO_METER
    #: The tests of the other rules, for as long as only documents that pass may be measured.
    counted: Mapping[str, Callable[[Document], bool]] = MappingProxyType({})

    # -- whole answers, and answers by and by

    def whole(self, plan: QueryPlan) -> Rows:
        """
        Return the answer: stored texts that are the rows to the letter, or rows that are made.

        A text that spells a binary value is not, and sends the whole answer the other way.
        """
        if not self._splices(plan):
            return Rows(items=self.rows(plan))
        taken = None
        if self.bounds is not UNBOUNDED:
            taken = stored_texts(plan, self.snapshot, self.env, partial(self._kept, plan))
        if taken is None:
            found = self._found(plan, plan.fields)
            if not found.made and plan.fields is not None:
                return Rows(items=self.rows(plan))
            taken = self._taken(plan, found)
        return self._spliced(plan, taken)

    def _spliced(self, plan: QueryPlan, texts: list[bytes]) -> Rows:
        if are_literal(texts):
            return Rows(texts=texts)
        return Rows(items=[self._row(plan, text) for text in texts])

    def _row(self, plan: QueryPlan, text: bytes) -> Value:
        """Return the row of a stored text: of a document, if it is not literal."""
        row = document_of(text)
        return row if is_literal(text) else plan.projection(row, self.env)

    def _kept(self, plan: QueryPlan, texts: list[bytes]) -> list[bytes]:
        return list(self._tested(self.interruption.watch(texts), plan.where))

    def batches(self, plan: QueryPlan, most: int) -> Iterator[Rows]:
        """Yield the answer in pieces of at most `most` rows; none of them is empty."""
        found = self._found(plan, plan.fields) if self._splices(plan) else None
        if found is None or (not found.made and plan.fields is not None):
            for items in _pieces(self._made(plan), most):
                yield Rows(items=items)
            return
        for texts in _pieces_by_size(self._texts(plan, found), most):
            yield self._spliced(plan, texts)

    def _splices(self, plan: QueryPlan) -> bool:
        if not plan.splices or plan.choice is None or self.visible:
            return False
        return not self._is_virtual(plan) and self.measuring is NO_METER

    def _taken(self, plan: QueryPlan, found: FoundTexts) -> list[bytes]:
        """Return `_texts` at once, where nothing is to be tested or cut without a step per row."""
        if not found.exact or plan.limit is not None or plan.offset is not None:
            return list(self._texts(plan, found))
        taken: list[bytes] = []
        watched = self.bounds is UNBOUNDED
        for batch in self.interruption.watch(found.batches, 1) if watched else found.batches:
            taken += [row[-1] for row in batch]
        return taken

    def _texts(self, plan: QueryPlan, found: FoundTexts) -> Iterator[bytes]:
        batches = found.batches
        if found.exact:
            if self.bounds is UNBOUNDED:
                batches = self.interruption.watch(batches, 1)
            rows: Iterator[bytes] = (row[-1] for batch in batches for row in batch)
        else:
            texts = self.interruption.watch(row[-1] for batch in batches for row in batch)
            rows = self._tested(texts, plan.where)
        if plan.limit is None and plan.offset is None:
            return rows
        limit, offset = bounds_of(plan, self.env)
        return cut(rows, limit, offset)

    def _tested(self, rows: Iterable[bytes], test: Compiled | None) -> Iterator[bytes]:
        env = self.env
        for text in rows:
            if test is None or test(document_of(text), env) is True:
                yield text

    def rows(self, plan: QueryPlan) -> list[Value]:
        """Return the rows of the result."""
        return list(self._made(plan))

    def _made(self, plan: QueryPlan) -> Iterator[Value]:
        limit, offset = bounds_of(plan, self.env)
        counted = self._count(plan)
        if counted is not None:
            return cut(counted, limit, offset)
        return self._shaped(plan, self.source(plan), limit, offset)

    def shaped(self, plan: QueryPlan, source: Iterator[Any]) -> list[Value]:
        """Return what the clauses above FROM, JOIN and WHERE make of rows."""
        return list(self._shaped(plan, source, None, 0))

    def _shaped(
        self, plan: QueryPlan, source: Iterator[Any], limit: int | None, offset: int
    ) -> Iterator[Value]:
        step, env, project = self.measuring.step, self.env, plan.projection
        rows = self._grouped(plan, source)
        if plan.statement.distinct:
            pairs = ((row, project(row, env)) for row in rows)
            unique = step("distinct", distinct(pairs, lambda pair: canonical(pair[1])))
            ordered = self._ordered(plan, unique, limit, offset, lambda pair: pair[0])
            cut_off = step("limit", cut(ordered, limit, offset))
            return step("projection", (made for _, made in cut_off))
        ordered = self._ordered(plan, rows, limit, offset, lambda row: row)
        cut_off = step("limit", cut(ordered, limit, offset))
        if project.is_document:
            return step("projection", cut_off)
        return step("projection", (project(row, env) for row in cut_off))

    # -- sources

    def source(self, plan: QueryPlan) -> Iterator[Any]:
        """Yield the rows of FROM, JOIN and WHERE."""
        step = self.measuring.step
        if plan.choice is None:
            rows: Iterator[Any] = step("access", iter([{}]))
        elif plan.joins:
            rows = self.interruption.watch(TermJoiner(self).rows(plan))
        elif self._is_virtual(plan):
            rows = self.first(plan)
        elif plan.covers is Covers.IDS and (ids := index_ids(self.snapshot, plan, self.env)):
            return step("access", self._only_ids(ids))
        else:
            found = self._found(plan)
            rows = self._documents(found, plan)
            if found.exact:
                return step("filter", rows) if plan.where else rows
        return self._filtered(rows, plan.where, "filter")

    def _only_ids(self, ids: Iterable[bytes]) -> Iterator[Document]:
        watched = ids if self.bounds is UNBOUNDED else self.bounds.ids(ids)
        return ({ID: id_value(key)} for key in self.interruption.watch(watched))

    def first(self, plan: QueryPlan) -> Iterator[Document]:
        """Yield the documents of the first term, at least those that the condition can want."""
        source = plan.statement.source
        assert source is not None
        if self._is_virtual(plan):
            return self.measuring.step("access", self.interruption.watch(self.documents(source)))
        return self._documents(self._found(plan), plan)

    def _documents(self, found: FoundTexts, plan: QueryPlan) -> Iterator[Document]:
        texts = self.interruption.watch(row[-1] for batch in found.batches for row in batch)
        documents = self._seen(map(document_of, texts), plan.terms[0])
        may_count = self.counted.get(plan.terms[0])
        if may_count is not None:
            documents = filter(may_count, documents)
        return self.measuring.step("access", documents)

    def _found(self, plan: QueryPlan, fields: Fields | None = None) -> FoundTexts:
        assert plan.choice is not None
        found = find(self.snapshot, plan, self.env, self.bounds, fields, sees_all=not self.visible)
        if self.bounds is not UNBOUNDED:
            found.batches = self.bounds.batches(found.batches)
        if self.measuring is not NO_METER and not self.measuring.of_visible:
            rows = (row for batch in found.batches for row in batch)
            found.batches = ([row] for row in self.measuring.step("store", rows))
        return found

    def _filtered(self, rows: Iterator[Any], test: Compiled | None, name: str) -> Iterator[Any]:
        if test is None:
            return rows
        env = self.env
        return self.measuring.step(name, (row for row in rows if test(row, env) is True))

    def _is_virtual(self, plan: QueryPlan) -> bool:
        source = plan.statement.source
        return source is not None and source.collection.namespace == "system"

    def documents(self, term: syntax.Term) -> Iterator[Document]:
        """Yield all documents of a term that the caller may see."""
        name, keys = term.collection.name, used_keys(term, self.env)
        if term.collection.namespace == "system":
            assert self.virtual is not None
            found = iter(self.virtual(name, self.snapshot))
            if keys is not None:
                found = _with_ids(found, keys)
            may_see = self.visible.get(term.name)
            return found if may_see is None else filter(may_see, found)
        if keys is None:
            texts = (text for batch in self.snapshot.scan(name) for _, text in batch)
        else:
            batches = bodies(self.snapshot, name, keys)
            texts = (text for batch in batches for _, text in batch)
        return self._seen(map(document_of, self.interruption.watch(texts)), term.name)

    def seen(self, texts: Iterable[bytes], term: str) -> Iterator[Document]:
        """Yield the documents of stored texts that the caller may see."""
        return self._seen(map(document_of, texts), term)

    def _seen(self, documents: Iterator[Document], term: str) -> Iterator[Document]:
        """Yield what the caller may see of stored documents, as the statement is to see it."""
        may_see, view = self.visible.get(term), self.views.get(term)
        if may_see is not None:
            documents = filter(may_see, documents)
        return documents if view is None else map(view, documents)

    # -- above the sources

    def _count(self, plan: QueryPlan) -> list[Value] | None:
        if self._is_virtual(plan) or self.visible:
            return None
        # What is measured reads documents, unless the plan says that it does not.
        by_store = plan.covers is Covers.COUNT or self.measuring is NO_METER
        if plan.counts is not None and by_store:
            number = count(self.snapshot, plan, self.env)
            if number is not None:
                return [{plan.counts: number}]
        name = plan.counts_all
        if name is None or plan.choice is None:
            return None
        if not isinstance(plan.choice.access, CollectionScan):
            return None
        known = self.snapshot.collection(plan.choice.access.collection)
        return [{name: known.count if known else 0}]

    def _grouped(self, plan: QueryPlan, rows: Iterator[Any]) -> Iterator[Any]:
        grouping = plan.grouping
        if grouping is None:
            return rows
        keys = [partial(_call, key, self.env) for key in grouping.keys]
        terms = [
            AggregateTerm(each.begin, partial(_call, each.value, self.env))
            for each in grouping.aggregates
        ]
        groups = self.measuring.step("group", self.interruption.watch(group(rows, keys, terms)))
        return self._filtered(groups, plan.having, "having")

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
        most = None if limit is None else limit + offset
        return self.measuring.step("sort", order(rows, terms, most))


def _call(compiled: Compiled, env: Environment, row: Any) -> Any:
    return compiled(row, env)


def _with_ids(documents: Iterable[Document], keys: list[bytes]) -> Iterator[Document]:
    wanted = frozenset(keys)
    return (each for each in documents if DocumentId.of(each["_id"]).key in wanted)


def _pieces(rows: Iterator[T], most: int) -> Iterator[list[T]]:
    piece: list[T] = []
    for row in rows:
        piece.append(row)
        if len(piece) == most:
            yield piece
            piece = []
    if piece:
        yield piece


def _pieces_by_size(texts: Iterator[bytes], most: int) -> Iterator[list[bytes]]:
    piece: list[bytes] = []
    size = 0
    for text in texts:
        piece.append(text)
        size += len(text)
        if len(piece) == most or size >= BATCH_BYTES:
            yield piece
            piece, size = [], 0
    if piece:
        yield piece

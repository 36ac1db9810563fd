# SPDX-License-Identifier: Apache-2.0
"""
SELECT: the rows of a plan, read from a snapshot.

Rows flow from the access path through joins, filter, grouping, order and limits into the
projection.  Where the rows are documents, or fields that the store can cut out, and the store
proved the condition, stored texts are spliced into the answer and nothing is decoded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import islice
from types import MappingProxyType
from typing import Final, TypeVar, cast

from attrs import define

from edge_twisted.database.access_paths import (
    FoundTexts,
    count_documents,
    find_texts,
    keys_of_use_ids,
    limit_and_offset_of,
    read_bodies,
    read_index_ids,
    read_stored_texts,
)
from edge_twisted.database.inline_policy import UNBOUNDED, ReadBudget
from edge_twisted.database.joins import TermJoiner
from edge_twisted.documents.ids import DocumentId, id_value
from edge_twisted.documents.json_text import are_literal, is_literal
from edge_twisted.documents.values import Value, canonical
from edge_twisted.dql import syntax
from edge_twisted.dql.compiler import CompiledExpression, Environment, bind
from edge_twisted.dql.execution.grouping import group
from edge_twisted.dql.execution.interruption import Interruption
from edge_twisted.dql.execution.sorting import SortKey, cut, distinct, order
from edge_twisted.dql.execution.step_meters import NO_METER, StepObserver
from edge_twisted.dql.plan.covering import Covers
from edge_twisted.dql.plan.nodes import CollectionScan
from edge_twisted.dql.plan.query import QueryPlan, SortColumn
from edge_twisted.dql.result import Rows
from edge_twisted.dql.rows import Document, Row
from edge_twisted.records.documents import ID, document_of
from edge_twisted.store.fields import Fields
from edge_twisted.store.interface import Snapshot

R = TypeVar("R", bound=Row)
T = TypeVar("T")
#: Returns the documents of a virtual collection, by its name without the namespace.
VirtualReader = Callable[[str, Snapshot], Iterable[Document]]
#: Bytes of texts after which a batch of a streamed answer ends.
BATCH_BYTES: Final = 256 * 1024


@define(kw_only=True)
class PlanReader:
    """Reads the rows of a plan in one execution of it."""

    snapshot: Snapshot
    env: Environment
    interruption: Interruption
    virtual: VirtualReader | None
    #: Limits of a read on the reactor thread.
    bounds: ReadBudget = UNBOUNDED
    #: Tests of permission rules that are not in the condition, by term (`Visibility.row_tests`).
    visible: Mapping[str, Callable[[Document], bool]] = MappingProxyType({})
    #: Functions from a stored document to the document with its declared types, by term.
    views: Mapping[str, Callable[[Document], Document]] = MappingProxyType({})
    meter: StepObserver = NO_METER
    #: Tests of the rules in the condition, by term, if the meter may count only visible documents.
    measured_tests: Mapping[str, Callable[[Document], bool]] = MappingProxyType({})

    # -- whole and streamed answers

    def read_all(self, plan: QueryPlan) -> Rows:
        """
        Return the answer: stored texts that are its rows, or rows made from documents.

        If one text is not literal (it spells a binary value), all rows are made from documents.
        """
        if not self._can_splice(plan):
            return Rows(items=self.read_rows(plan))
        texts = None
        if self.bounds is not UNBOUNDED:
            texts = read_stored_texts(
                plan, self.snapshot, self.env, partial(self._filter_all, plan)
            )
        if texts is None:
            found = self._find_texts(plan, plan.fields)
            if not found.are_rows and plan.fields is not None:
                return Rows(items=self.read_rows(plan))
            texts = self._read_texts(plan, found)
        return self._splice(plan, texts)

    def _splice(self, plan: QueryPlan, texts: list[bytes]) -> Rows:
        if are_literal(texts):
            return Rows(texts=texts)
        return Rows(items=[self._row_of(plan, text) for text in texts])

    def _row_of(self, plan: QueryPlan, text: bytes) -> Value:
        """Return the row of a stored text; a text that is not literal is a document."""
        row = document_of(text)
        return row if is_literal(text) else plan.projection(row, self.env)

    def _filter_all(self, plan: QueryPlan, texts: list[bytes]) -> list[bytes]:
        return list(self._filter_texts(self.interruption.watch(texts), plan.where))

    def read_batches(self, plan: QueryPlan, most: int) -> Iterator[Rows]:
        """Yield the answer in batches of 1 to `most` rows: stored texts, or made from documents."""
        found = self._find_texts(plan, plan.fields) if self._can_splice(plan) else None
        if found is None or (not found.are_rows and plan.fields is not None):
            rows = self._iterate_rows(plan)
            for items in iter(lambda: list(islice(rows, most)), []):
                yield Rows(items=items)
            return
        for texts in _split(self._iterate_texts(plan, found), most):
            yield self._splice(plan, texts)

    def _can_splice(self, plan: QueryPlan) -> bool:
        if not plan.splices or plan.choice is None or self.visible:
            return False
        return not self._is_virtual(plan) and self.meter is NO_METER

    def _read_texts(self, plan: QueryPlan, found: FoundTexts) -> list[bytes]:
        """Return the texts that answer a plan, in one pass if nothing is to be tested or cut."""
        if not found.exact or plan.limit is not None or plan.offset is not None:
            return list(self._iterate_texts(plan, found))
        texts: list[bytes] = []
        watched = self.bounds is UNBOUNDED
        for batch in self.interruption.watch(found.batches, 1) if watched else found.batches:
            texts += [row[-1] for row in batch]
        return texts

    def _iterate_texts(self, plan: QueryPlan, found: FoundTexts) -> Iterator[bytes]:
        batches = found.batches
        if found.exact:
            if self.bounds is UNBOUNDED:
                batches = self.interruption.watch(batches, 1)
            rows: Iterator[bytes] = (row[-1] for batch in batches for row in batch)
        else:
            texts = self.interruption.watch(row[-1] for batch in batches for row in batch)
            rows = self._filter_texts(texts, plan.where)
        if plan.limit is None and plan.offset is None:
            return rows
        limit, offset = limit_and_offset_of(plan, self.env)
        return cut(rows, limit, offset)

    def _filter_texts(
        self, rows: Iterable[bytes], test: CompiledExpression | None
    ) -> Iterator[bytes]:
        env = self.env
        for text in rows:
            if test is None or test(document_of(text), env) is True:
                yield text

    def read_rows(self, plan: QueryPlan) -> list[Value]:
        """Return the rows of the answer, all made from documents, in order."""
        return list(self._iterate_rows(plan))

    def _iterate_rows(self, plan: QueryPlan) -> Iterator[Value]:
        limit, offset = limit_and_offset_of(plan, self.env)
        counted = self._count_rows(plan)
        if counted is not None:
            return cut(counted, limit, offset)
        return self._shape(plan, self.read_source(plan), limit, offset)

    def shape(self, plan: QueryPlan, source: Iterator[Row]) -> list[Value]:
        """
        Return rows of the result from rows at hand: applies the clauses above WHERE.

        These are GROUP BY, HAVING, DISTINCT, ORDER BY and the projection; LIMIT and OFFSET are not.
        """
        return list(self._shape(plan, source, None, 0))

    def _shape(
        self, plan: QueryPlan, source: Iterator[Row], limit: int | None, offset: int
    ) -> Iterator[Value]:
        step, env, project = self.meter.step, self.env, plan.projection
        rows = self._group(plan, source)
        if plan.statement.distinct:
            shown = ((row, project(row, env)) for row in rows)
            unique = step("distinct", distinct(shown, lambda pair: canonical(pair[1])))
            pairs = self._order(plan, unique, limit, offset, lambda pair: pair[0])
            cut_pairs = step("limit", cut(pairs, limit, offset))
            return step("projection", (made for _, made in cut_pairs))
        ordered = self._order(plan, rows, limit, offset, lambda row: row)
        cut_off = step("limit", cut(ordered, limit, offset))
        if project.is_document:
            return step("projection", cast(Iterator[Value], cut_off))
        return step("projection", (project(row, env) for row in cut_off))

    # -- sources

    def read_source(self, plan: QueryPlan) -> Iterator[Row]:
        """Yield the rows of FROM, JOIN and WHERE: documents, or with joins tuples of documents."""
        step = self.meter.step
        if plan.choice is None:
            rows: Iterator[Row] = step("access", iter([{}]))
        elif plan.joins:
            rows = self.interruption.watch(TermJoiner(self).rows(plan))
        elif self._is_virtual(plan):
            rows = self.read_first(plan)
        elif plan.covers is Covers.IDS and (ids := read_index_ids(self.snapshot, plan, self.env)):
            return step("access", self._documents_of_ids(ids))
        else:
            found = self._find_texts(plan)
            rows = self._documents(found, plan)
            if found.exact:
                return step("filter", rows) if plan.where else rows
        return self._filter(rows, plan.where, "filter")

    def _documents_of_ids(self, ids: Iterable[bytes]) -> Iterator[Document]:
        watched = ids if self.bounds is UNBOUNDED else self.bounds.ids(ids)
        return ({ID: id_value(key)} for key in self.interruption.watch(watched))

    def read_first(self, plan: QueryPlan) -> Iterator[Document]:
        """
        Yield the documents of the first term, decoded, that the caller may see.

        Those that WHERE rejects may be left out, or not.
        """
        source = plan.statement.source
        assert source is not None
        if self._is_virtual(plan):
            return self.meter.step("access", self.interruption.watch(self.read_documents(source)))
        return self._documents(self._find_texts(plan), plan)

    def _documents(self, found: FoundTexts, plan: QueryPlan) -> Iterator[Document]:
        texts = self.interruption.watch(row[-1] for batch in found.batches for row in batch)
        documents = self._show(map(document_of, texts), plan.terms[0])
        may_count = self.measured_tests.get(plan.terms[0])
        if may_count is not None:
            documents = filter(may_count, documents)
        return self.meter.step("access", documents)

    def _find_texts(self, plan: QueryPlan, fields: Fields | None = None) -> FoundTexts:
        assert plan.choice is not None
        found = find_texts(
            self.snapshot, plan, self.env, self.bounds, fields, sees_all=not self.visible
        )
        if self.bounds is not UNBOUNDED:
            found.batches = self.bounds.batches(found.batches)
        if self.meter is not NO_METER and not self.meter.of_visible:
            rows = (row for batch in found.batches for row in batch)
            found.batches = ([row] for row in self.meter.step("store", rows))
        return found

    def _filter(self, rows: Iterator[R], test: CompiledExpression | None, name: str) -> Iterator[R]:
        if test is None:
            return rows
        env = self.env
        return self.meter.step(name, (row for row in rows if test(row, env) is True))

    def _is_virtual(self, plan: QueryPlan) -> bool:
        source = plan.statement.source
        return source is not None and source.collection.namespace == "system"

    def read_documents(self, term: syntax.Term) -> Iterator[Document]:
        """Yield all documents of a term, decoded, that the caller may see; USE IDS is applied."""
        name, keys = term.collection.name, keys_of_use_ids(term, self.env)
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
            batches = read_bodies(self.snapshot, name, keys)
            texts = (text for batch in batches for _, text in batch)
        return self._show(map(document_of, self.interruption.watch(texts)), term.name)

    def decode_visible(self, texts: Iterable[bytes], term: str) -> Iterator[Document]:
        """Decode stored texts of the term `term`; yield the documents that the caller may see."""
        return self._show(map(document_of, texts), term)

    def _show(self, documents: Iterator[Document], term: str) -> Iterator[Document]:
        """Drop documents that the caller may not see; show the others with their types."""
        may_see, view = self.visible.get(term), self.views.get(term)
        if may_see is not None:
            documents = filter(may_see, documents)
        return documents if view is None else map(view, documents)

    # -- above the sources

    def _count_rows(self, plan: QueryPlan) -> list[Value] | None:
        if self._is_virtual(plan) or self.visible:
            return None
        # PROFILE counts the documents that were read, so the store counts only if EXPLAIN says so.
        by_store = plan.covers is Covers.COUNT or self.meter is NO_METER
        if plan.counts is not None and by_store:
            number = count_documents(self.snapshot, plan, self.env)
            if number is not None:
                return [{plan.counts: number}]
        name = plan.counts_all
        if name is None or plan.choice is None:
            return None
        if not isinstance(plan.choice.access, CollectionScan):
            return None
        known = self.snapshot.collection(plan.choice.access.collection)
        return [{name: known.count if known else 0}]

    def _group(self, plan: QueryPlan, rows: Iterator[Row]) -> Iterator[Row]:
        grouping = plan.grouping
        if grouping is None:
            return rows
        keys = [bind(key, self.env) for key in grouping.keys]
        aggregates = [(each.begin, bind(each.value, self.env)) for each in grouping.aggregates]
        groups = self.meter.step("group", self.interruption.watch(group(rows, keys, aggregates)))
        return self._filter(groups, plan.having, "having")

    def _order(
        self,
        plan: QueryPlan,
        rows: Iterable[T],
        limit: int | None,
        offset: int,
        row_of: Callable[[T], Row],
    ) -> Iterable[T]:
        if not plan.order:
            return rows
        env = self.env

        def key(column: SortColumn) -> SortKey[T]:
            value = column.value
            return lambda item: value(row_of(item), env), column.descending

        most = None if limit is None else limit + offset
        return self.meter.step("sort", order(rows, [key(each) for each in plan.order], most))


def _with_ids(documents: Iterable[Document], keys: list[bytes]) -> Iterator[Document]:
    wanted = frozenset(keys)
    return (each for each in documents if DocumentId.of(each["_id"]).key in wanted)


def _split(texts: Iterator[bytes], most: int) -> Iterator[list[bytes]]:
    """Yield lists of 1 to `most` texts, each ended early at `BATCH_BYTES`."""
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

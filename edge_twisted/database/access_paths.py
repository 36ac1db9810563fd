# SPDX-License-Identifier: Apache-2.0
"""
Reading documents from a snapshot by the access path of a plan.

The planner chose the path (`edge_twisted.dql.plan.nodes`); here its expressions get their values,
and the store is asked: for bodies by id, for ranges of an index, or for a scan with a prefilter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import chain
from typing import Any, Final

from attrs import define

from edge_twisted.database.inline_policy import INLINE_MOST, UNBOUNDED, BeyondBounds, ReadBudget
from edge_twisted.database.prefilters import Translation, translate, translate_loosely
from edge_twisted.documents.ids import DocumentId, InvalidDocumentId
from edge_twisted.documents.values import Operand, sort_key
from edge_twisted.dql import syntax
from edge_twisted.dql.compiler import CompiledExpression, Environment, RowScope, compile_expression
from edge_twisted.dql.errors import ArgumentError
from edge_twisted.dql.plan.access_choice import Fidelity
from edge_twisted.dql.plan.lookups import Lookup
from edge_twisted.dql.plan.nodes import (
    CollectionScan,
    DocumentAccess,
    IdScan,
    IndexScan,
    IntersectScan,
    UnionScan,
)
from edge_twisted.dql.plan.outline import NOTHING_ASKED
from edge_twisted.dql.plan.query import QueryPlan
from edge_twisted.dql.plan.ranges import Evaluate
from edge_twisted.dql.rows import JoinRow
from edge_twisted.records.documents import check_not_damaged
from edge_twisted.store.fields import Fields, row_of
from edge_twisted.store.index_read import IndexRead
from edge_twisted.store.interface import Snapshot
from edge_twisted.store.prefilter import Prefilter
from edge_twisted.store.rows import ByteRange, ScanRow

#: A row of the store; its last column is the stored text.
Row = tuple[Any, ...]
#: Documents that one call of the store reads by id.
_BATCH = 256


@define
class FoundTexts:
    """Batches of stored texts that an access path finds, and what is known of all of them."""

    batches: Iterator[Sequence[Row]]
    #: Whether the plan's condition holds for every text; if not, the caller tests each.
    exact: bool
    #: Whether the texts are rows of the plan's fields, made by the store, and not documents.
    are_rows: bool = False


_TRANSLATIONS: Final = {
    Fidelity.WHOLE: translate,
    Fidelity.MORE: translate_loosely,
    Fidelity.OTHER: lambda asked, evaluate: Translation(None, asked == NOTHING_ASKED),
}


def find_texts(
    snapshot: Snapshot,
    plan: QueryPlan,
    env: Environment,
    bounds: ReadBudget = UNBOUNDED,
    fields: Fields | None = None,
    *,
    sees_all: bool = False,
) -> FoundTexts:
    """
    Return the texts that a plan's access path finds, in the order of the path.

    :param bounds: counts the ids that the indexes of a union find; `BeyondBounds` ends the read.
    :param fields: make rows of these fields, if the store can (`FoundTexts.are_rows`).
    :param sees_all: the plan's condition alone hides documents from the caller.  A read by ids then
        raises `DocumentDamaged` for a document in quarantine; another caller would learn from that
        error of a document that may be hidden.
    :raises UnknownIndex: the index was dropped since the plan was made: plan again.
    """
    choice = plan.choice
    assert choice is not None
    access = choice.access
    evaluate = partial(value_of, env)
    match access:
        case IdScan():
            keys = list(_id_keys(access, evaluate))
            exact = choice.residual is None
            found = read_bodies(snapshot, access.collection, keys)
            if exact and sees_all:
                found = _check_missing(found, snapshot, access.collection, keys)
            return FoundTexts(found, exact)
        case IndexScan():
            return _index_rows(snapshot, plan, access, evaluate, fields)
        case CollectionScan():
            translation = _TRANSLATIONS[plan.fidelity](plan.asked, evaluate)
            fields = fields if translation.exact else None
            rows = snapshot.scan(access.collection, translation.prefilter, fields)
            return FoundTexts(rows, translation.exact, fields is not None)
    ids = _keys(snapshot, access, evaluate, bounds)
    return FoundTexts(read_bodies(snapshot, _collection(access), list(ids)), False)


def read_index_ids(snapshot: Snapshot, plan: QueryPlan, env: Environment) -> Iterator[bytes] | None:
    """Yield the id keys that a plan's index scan finds; None if it finds more than is selected."""
    assert plan.choice is not None
    access = plan.choice.access
    assert isinstance(access, IndexScan)
    spans, complete = _spans_of(access, partial(value_of, env))
    return _index_ids(snapshot, access, spans) if complete else None


def _index_ids(
    snapshot: Snapshot, access: IndexScan, spans: Sequence[ByteRange]
) -> Iterator[bytes]:
    return chain.from_iterable(snapshot.index_ids(index_read_of(access, spans)))


def _spans_of(access: IndexScan, evaluate: Evaluate) -> tuple[list[ByteRange], bool]:
    """Evaluate the key ranges of an index scan; return them, and whether all were applied."""
    intervals, complete = access.ranges.complete(evaluate)
    return [ByteRange(*interval) for interval in intervals], complete


def count_documents(snapshot: Snapshot, plan: QueryPlan, env: Environment) -> int | None:
    """Return how many documents a plan selects, counted by the store; None if it cannot."""
    assert plan.choice is not None
    evaluate = partial(value_of, env)
    match plan.choice.access:
        case IndexScan() as access:
            found = resolve_bounds(plan, access, evaluate)
            if found.exact:
                return snapshot.index_count(index_read_of(access, found.spans, found.prefilter))
        case CollectionScan(collection=collection):
            translation = translate(plan.asked, evaluate)
            if translation.exact and translation.prefilter is not None:
                return snapshot.count(collection, translation.prefilter)
    return None


def look_up(
    snapshot: Snapshot, lookup: Lookup, row: JoinRow, env: Environment
) -> Iterator[Sequence[Row]]:
    """
    Yield batches of rows, the text last, of a joined term's documents that may match `row`.

    :param row: a document of each term before.
    """

    def evaluate(node: syntax.Expression) -> Operand:
        return lookup.value(node, row, env)

    access = lookup.access
    if isinstance(access, IdScan):
        return read_bodies(snapshot, access.collection, list(_id_keys(access, evaluate)))
    spans, _ = _spans_of(access, evaluate)
    if not spans:
        return iter(())
    return snapshot.index_bodies(index_read_of(access, spans))


def value_of(env: Environment, node: syntax.Expression) -> Operand:
    """
    Return the value of an expression that needs no row, with the arguments of `env`.

    :raises DqlError: the expression cannot be evaluated.
    """
    kind = type(node)
    if kind is syntax.Parameter and node.name in env.arguments:  # type: ignore[attr-defined]
        return env.arguments[node.name]  # type: ignore[attr-defined]
    if kind is syntax.Literal:
        return node.value  # type: ignore[attr-defined, no-any-return]
    return compile_expression(node, RowScope(()))(None, env)


def _collection(access: DocumentAccess) -> str:
    if isinstance(access, UnionScan | IntersectScan):
        return access.children[0].collection
    return access.collection


@define
class IndexBounds:
    """What an index scan reads: its expressions evaluated with the arguments of one execution."""

    spans: list[ByteRange]
    prefilter: Prefilter | None
    #: Whether the plan's condition holds for every document within these bounds.
    exact: bool


def resolve_bounds(plan: QueryPlan, access: IndexScan, evaluate: Evaluate) -> IndexBounds:
    """
    Return what a plan's index scan reads: prefilter, and spans of keys in the index's order.

    :param evaluate: gives the value of an expression without rows, with this execution's arguments.
    """
    spans, complete = _spans_of(access, evaluate)
    if plan.asked is NOTHING_ASKED:
        return IndexBounds(spans, None, complete)
    translation = _TRANSLATIONS[plan.fidelity](plan.asked, evaluate)
    return IndexBounds(spans, translation.prefilter, complete and translation.exact)


def index_read_of(
    access: IndexScan,
    spans: Sequence[ByteRange],
    prefilter: Prefilter | None = None,
    fields: Fields | None = None,
) -> IndexRead:
    """Return the request to the store for an index scan over these spans of keys."""
    name = access.ranges.index.name
    return IndexRead(access.collection, name, spans, access.backwards, prefilter, fields)


def _index_rows(
    snapshot: Snapshot,
    plan: QueryPlan,
    access: IndexScan,
    evaluate: Evaluate,
    fields: Fields | None,
) -> FoundTexts:
    found = resolve_bounds(plan, access, evaluate)
    fields = fields if found.exact else None
    if not found.spans:
        return FoundTexts(iter(()), True, True)
    read = index_read_of(access, found.spans, found.prefilter, fields)
    return FoundTexts(snapshot.index_bodies(read), found.exact, fields is not None)


def _keys(
    snapshot: Snapshot, access: DocumentAccess, evaluate: Evaluate, bounds: ReadBudget
) -> Iterable[bytes]:
    """Return the id keys that an access path finds, without duplicates."""
    match access:
        case IdScan():
            return _id_keys(access, evaluate)
        case IndexScan():
            ids = _index_ids(snapshot, access, _spans_of(access, evaluate)[0])
            return ids if bounds is UNBOUNDED else bounds.ids(ids)
        case UnionScan():
            keys = [_keys(snapshot, child, evaluate, bounds) for child in access.children]
            return dict.fromkeys(chain.from_iterable(keys))
        case IntersectScan():
            found = [set(_keys(snapshot, child, evaluate, bounds)) for child in access.children]
            return set.intersection(*found)
    raise AssertionError(access)


def _id_keys(access: IdScan, evaluate: Evaluate) -> Iterable[bytes]:
    values = [evaluate(each) for each in access.ids]
    for each in access.lists:
        listed = evaluate(each)
        if isinstance(listed, list):
            values.extend(listed)
    return dict.fromkeys(key for value in values if (key := id_key_of(value)) is not None)


def keys_of_use_ids(term: syntax.Term, env: Environment) -> list[bytes] | None:
    """Return the id keys of a term's USE IDS clauses, without duplicates; None if it has none."""
    ids = [each for use in term.uses if isinstance(use, syntax.UseIds) for each in use.ids]
    lists = [use.ids for use in term.uses if isinstance(use, syntax.UseIdList)]
    if not ids and not lists:
        return None
    access = IdScan(
        alias=term.name, collection=term.collection.name, ids=tuple(ids), lists=tuple(lists)
    )
    return list(_id_keys(access, partial(value_of, env)))


def id_key_of(value: Operand) -> bytes | None:
    """Return the id key of the document id that equals a value; None if no id equals it."""
    if type(value) is str:
        # Short cut for the usual kind of id: every string is a valid one.
        return sort_key(value)
    # 1.0 equals the id 1, although it cannot be written as an id.
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    try:
        return DocumentId.of(value).key
    except InvalidDocumentId:
        return None


def read_bodies(
    snapshot: Snapshot, collection: str, keys: Sequence[bytes]
) -> Iterator[Sequence[ScanRow]]:
    """Yield batches of (id key, stored text) of the live documents of `keys`, in their order."""
    if len(keys) == 1:
        body = snapshot.body(collection, keys[0])
        return iter(() if body is None else (((keys[0], body),),))
    return chain.from_iterable(
        snapshot.bodies(collection, keys[start : start + _BATCH])
        for start in range(0, len(keys), _BATCH)
    )


def _check_missing(
    batches: Iterator[Sequence[ScanRow]], snapshot: Snapshot, collection: str, keys: Sequence[bytes]
) -> Iterator[Sequence[ScanRow]]:
    """
    Yield the batches, then check the keys for which no document came.

    :raises DocumentDamaged: the document of such a key is in quarantine.
    """
    missing = dict.fromkeys(keys)
    for batch in batches:
        for id_key, _ in batch:
            missing.pop(id_key, None)
        yield batch
    for id_key in missing:
        check_not_damaged(snapshot, collection, id_key)


MAX_COUNT: Final = 2**63 - 1
#: Keeps the texts of the documents for which a plan's condition holds.
TextFilter = Callable[[list[bytes]], list[bytes]]


def read_stored_texts(
    plan: QueryPlan, snapshot: Snapshot, env: Environment, test: TextFilter | None = None
) -> list[bytes] | None:
    """
    Return the stored texts that answer a SELECT by one id or from one index; None: others.

    The short path for reads on the reactor thread.  It is called for a known plan without making an
    `Execution` (`StatementRunner.answer_known`), and for a new one by `PlanReader.read_all`. A text
    that is not literal is a document, whatever the fields of the plan.

    :param test: filters documents where the index serves only a part of the condition; without it,
        such a plan returns None.
    :raises BeyondBounds: the texts are more than the reactor thread may read: read on a thread.
    :raises DocumentDamaged: the document with the id is in quarantine.
    :raises ArgumentError: LIMIT or OFFSET is not a whole number from 0.
    """
    if plan.one_id is not None:
        collection, node = plan.one_id
        key = id_key_of(value_of(env, node))
        body = None if key is None else snapshot.body(collection, key)
        if body is None:
            if key is not None:
                check_not_damaged(snapshot, collection, key)
            return []
        return [body if plan.fields is None else row_of(body, plan.fields)]
    if plan.one_index is not None:
        return _of_index(plan, plan.one_index, snapshot, env, test)
    return None


def _of_index(
    plan: QueryPlan,
    access: IndexScan,
    snapshot: Snapshot,
    env: Environment,
    test: TextFilter | None,
) -> list[bytes] | None:
    found = resolve_bounds(plan, access, partial(value_of, env))
    if not found.exact and (test is None or plan.fields is not None):
        return None
    limit, offset = limit_and_offset_of(plan, env)
    read = index_read_of(access, found.spans, found.prefilter, plan.fields)
    first = limit + offset if found.exact and limit is not None else None
    texts = snapshot.index_texts(read, INLINE_MOST, first)
    if texts is None:
        raise BeyondBounds
    if not found.exact and test is not None:
        texts = test(texts)
    if limit is None:
        return texts[offset:] if offset else texts
    return texts[offset : offset + limit]


def limit_and_offset_of(plan: QueryPlan, env: Environment) -> tuple[int | None, int]:
    """
    Return the values of LIMIT (None without one) and OFFSET (0 without one) of a plan.

    :raises ArgumentError: a value is not a whole number from 0.
    """
    if plan.limit is None and plan.offset is None:
        return None, 0
    selection = plan.statement.selection
    limit = _bound(plan.limit, selection.limit, "LIMIT", env)
    offset = _bound(plan.offset, selection.offset, "OFFSET", env)
    return limit, offset or 0


def _bound(
    compiled: CompiledExpression | None, node: syntax.Expression | None, word: str, env: Environment
) -> int | None:
    if compiled is None or node is None:
        return None
    value = compiled(None, env)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_COUNT:
        return value
    raise ArgumentError(f"{word} must be a whole number from 0", node.span)

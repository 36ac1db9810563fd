# SPDX-License-Identifier: Apache-2.0
"""How the documents that a plan looks at are read from a snapshot."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Final

from attrs import frozen

from edge_twisted.database.prefilters import Translation, loosely, translate
from edge_twisted.documents.ids import DocumentId, InvalidDocumentId
from edge_twisted.documents.values import Operand
from edge_twisted.dql import syntax
from edge_twisted.dql.compile import Environment, RowScope, compile_expression
from edge_twisted.dql.plan.choice import Choice, Fidelity
from edge_twisted.dql.plan.conditions import FieldOf
from edge_twisted.dql.plan.nodes import (
    CollectionScan,
    DocumentAccess,
    IdScan,
    IndexScan,
    IntersectScan,
    UnionScan,
)
from edge_twisted.dql.plan.ranges import Evaluate
from edge_twisted.store.interface import Snapshot
from edge_twisted.store.rows import ByteRange, ScanRow

#: How many documents are read by id at a time.
_BATCH = 256


@frozen
class Found:
    """Documents as stored texts, and whether the whole condition still has to be tested."""

    rows: Iterator[ScanRow]
    #: The condition holds for all of them; else the caller tests it.
    exact: bool


_TRANSLATIONS: Final = {
    Fidelity.WHOLE: translate,
    Fidelity.MORE: loosely,
    Fidelity.OTHER: lambda where, field_of, evaluate: Translation(None, where is None),
}


def find(
    snapshot: Snapshot,
    choice: Choice,
    where: syntax.Expression | None,
    field_of: FieldOf,
    env: Environment,
    fidelity: Fidelity = Fidelity.WHOLE,
) -> Found:
    """Read what an access finds, in its order; `fidelity` says what bodies are to the reader."""

    def evaluate(node: syntax.Expression) -> Operand:
        return compile_expression(node, RowScope(()))(None, env)

    access = choice.access
    match access:
        case CollectionScan():
            translation = _TRANSLATIONS[fidelity](where, field_of, evaluate)
            rows = snapshot.scan(access.collection, translation.prefilter)
            return Found(chain.from_iterable(rows), translation.exact)
        case IndexScan():
            return _index_rows(snapshot, access, choice, evaluate)
    keys = _keys(snapshot, access, evaluate)
    found = bodies(snapshot, _collection(access), keys)
    return Found(found, choice.residual is None and isinstance(access, IdScan))


def _collection(access: DocumentAccess) -> str:
    if isinstance(access, UnionScan | IntersectScan):
        return access.children[0].collection
    return access.collection


def _index_rows(snapshot: Snapshot, access: IndexScan, choice: Choice, evaluate: Evaluate) -> Found:
    intervals, complete = access.ranges.complete(evaluate)
    spans = [ByteRange(*interval) for interval in intervals]
    if not spans:
        return Found(iter(()), True)
    batches = snapshot.index_scan(
        access.collection, access.ranges.index.name, spans, descending=access.backwards
    )
    rows = ((key, body) for batch in batches for _, key, body in batch)
    return Found(rows, complete and choice.residual is None)


def _keys(snapshot: Snapshot, access: DocumentAccess, evaluate: Evaluate) -> Iterable[bytes]:
    """Return the id keys that an access finds, each once."""
    match access:
        case IdScan():
            return _id_keys(access, evaluate)
        case IndexScan():
            intervals, _ = access.ranges.complete(evaluate)
            spans = [ByteRange(*interval) for interval in intervals]
            name = access.ranges.index.name
            return chain.from_iterable(snapshot.index_ids(access.collection, name, spans))
        case UnionScan():
            keys = [_keys(snapshot, child, evaluate) for child in access.children]
            return dict.fromkeys(chain.from_iterable(keys))
        case IntersectScan():
            found = [set(_keys(snapshot, child, evaluate)) for child in access.children]
            return set.intersection(*found)
    raise AssertionError(access)


def _id_keys(access: IdScan, evaluate: Evaluate) -> Iterable[bytes]:
    values = [evaluate(each) for each in access.ids]
    for each in access.lists:
        listed = evaluate(each)
        if isinstance(listed, list):
            values.extend(listed)
    return dict.fromkeys(key for value in values if (key := _id_key(value)) is not None)


def used_keys(term: syntax.Term, env: Environment) -> list[bytes] | None:
    """Return the id keys that the USE IDS clauses of a term name, each once; None without any."""
    ids = [each for use in term.uses if isinstance(use, syntax.UseIds) for each in use.ids]
    lists = [use.ids for use in term.uses if isinstance(use, syntax.UseIdList)]
    if not ids and not lists:
        return None
    access = IdScan(
        alias=term.name, collection=term.collection.name, ids=tuple(ids), lists=tuple(lists)
    )
    return list(_id_keys(access, lambda node: compile_expression(node, RowScope(()))(None, env)))


def bodies(snapshot: Snapshot, collection: str, keys: Iterable[bytes]) -> Iterator[ScanRow]:
    """Yield the live documents of these id keys, in their order."""
    waiting = list(keys)
    if len(waiting) == 1:
        body = snapshot.body(collection, waiting[0])
        if body is not None:
            yield waiting[0], body
        return
    for start in range(0, len(waiting), _BATCH):
        yield from chain.from_iterable(snapshot.bodies(collection, waiting[start : start + _BATCH]))


def _id_key(value: Operand) -> bytes | None:
    # 1.0 equals the id 1, although it cannot be written as an id.
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    try:
        return DocumentId.of(value).key
    except InvalidDocumentId:
        return None

# SPDX-License-Identifier: Apache-2.0
"""
The choice of an access path: ids if the condition names them, else the best index, else a scan.

An OR is served by the union of the accesses of its branches, if each branch has one.  An order is
taken from an index when the condition picks that index anyway, when a LIMIT makes a walk in order
cheaper than a sort, or when ``#prefer_order`` asks for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Final

from attrs import frozen

from edge_twisted.dql import syntax
from edge_twisted.dql.plan.catalog import Index
from edge_twisted.dql.plan.conditions import (
    Constraint,
    FieldOf,
    FieldPath,
    conjunction,
    conjuncts,
    constraint,
)
from edge_twisted.dql.plan.directives import Directives
from edge_twisted.dql.plan.index_choice import IndexRanges, best_ranges
from edge_twisted.dql.plan.nodes import (
    CollectionScan,
    DocumentAccess,
    IdScan,
    IndexScan,
    IntersectScan,
    UnionScan,
)
from edge_twisted.dql.plan.ranges import Absent, ElementOf, LooseRange, Points

ID_PATH: Final = ("_id",)


class Fidelity(Enum):
    """How far stored bodies, from which indexes are made, are the documents that a reader sees."""

    #: Bodies are what the reader sees.
    WHOLE = "whole"
    #: The reader may see less than the bodies: any path but the id may be absent.
    MORE = "more"
    #: Bodies may differ from what the reader sees; only ids are certain.
    OTHER = "other"


@frozen(kw_only=True)
class TermRequest:
    """A request for the documents of one term: a condition, perhaps an order and a limit."""

    term: syntax.Term
    field_of: FieldOf
    where: syntax.Expression | None = None
    order_by: tuple[syntax.SortKey, ...] = ()
    limited: bool = False
    fidelity: Fidelity = Fidelity.WHOLE


@frozen(kw_only=True)
class Choice:
    """The chosen access path, the conditions still to be tested, and whether it keeps the order."""

    access: DocumentAccess
    residual: syntax.Expression | None
    ordered: bool = False


def choose(request: TermRequest, indexes: Sequence[Index], directives: Directives) -> Choice:
    """
    Return the best access path for the documents of one term.

    :param indexes: the indexes of the collection that are complete, oldest first.
    """
    parts = conjuncts(request.where)
    found = {
        position: each
        for position, part in enumerate(parts)
        if (each := _usable(constraint(part, request.field_of), request.fidelity)) is not None
    }
    usable = directives.usable(indexes)
    return (
        _by_constant(request)
        or _used_ids(request, parts)
        or _by_id(request, parts, found)
        or _by_index(request, parts, found, usable, directives)
        or _by_union(request, parts, usable, directives)
        or _by_order(request, usable, directives)
        or Choice(access=_scan(request.term), residual=request.where)
    )


def _usable(found: Constraint | None, fidelity: Fidelity) -> Constraint | None:
    """Return a constraint that holds for stored bodies of this fidelity; None if none does."""
    if found is None or fidelity is Fidelity.WHOLE or found.path[0] == ID_PATH[0]:
        return found
    if fidelity is Fidelity.OTHER or found.range == Absent(syntax.Absence.MISSING):
        return None
    return Constraint(found.path, LooseRange(found.range))


def _scan(term: syntax.Term) -> CollectionScan:
    collection = term.collection
    return CollectionScan(
        alias=term.name, collection=collection.name, namespace=collection.namespace or "default"
    )


def _by_constant(request: TermRequest) -> Choice | None:
    """Return an access that finds nothing, if the condition is a constant that is not TRUE."""
    where = request.where
    if not isinstance(where, syntax.Literal | syntax.MissingLiteral):
        return None
    term = request.term
    return Choice(access=IdScan(alias=term.name, collection=term.collection.name), residual=None)


def _used_ids(request: TermRequest, parts: tuple[syntax.Expression, ...]) -> Choice | None:
    ids: list[syntax.Expression] = []
    lists: list[syntax.Expression] = []
    for use in request.term.uses:
        if isinstance(use, syntax.UseIds):
            ids.extend(use.ids)
        elif isinstance(use, syntax.UseIdList):
            lists.append(use.ids)
    if not ids and not lists:
        return None
    access = IdScan(
        alias=request.term.name,
        collection=request.term.collection.name,
        ids=tuple(ids),
        lists=tuple(lists),
    )
    return Choice(access=access, residual=conjunction(parts))


def _by_id(
    request: TermRequest, parts: tuple[syntax.Expression, ...], found: dict[int, Constraint]
) -> Choice | None:
    for position, each in found.items():
        if each.path != ID_PATH:
            continue
        rest = conjunction(parts[:position] + parts[position + 1 :])
        term = request.term
        match each.range:
            case Points(values=values):
                access = IdScan(alias=term.name, collection=term.collection.name, ids=values)
                return Choice(access=access, residual=rest)
            case ElementOf(array=array):
                access = IdScan(alias=term.name, collection=term.collection.name, lists=(array,))
                return Choice(access=access, residual=rest)
    return None


def _by_index(
    request: TermRequest,
    parts: tuple[syntax.Expression, ...],
    found: dict[int, Constraint],
    indexes: Sequence[Index],
    directives: Directives,
) -> Choice | None:
    best = best_ranges(indexes, found)
    if best is None:
        return None
    served = set(best.served)
    ordered, backwards = _order_of(best, request)
    scans = [_index_scan(request.term, best, backwards)]
    while not ordered and len(scans) <= min(directives.intersects, directives.max_scans - 1):
        left = {position: each for position, each in found.items() if position not in served}
        others = [index for index in indexes if index not in [s.ranges.index for s in scans]]
        further = best_ranges(others, left)
        if further is None:
            break
        scans.append(_index_scan(request.term, further, False))
        served |= further.served
    residual = conjunction(tuple(p for i, p in enumerate(parts) if i not in served))
    access = IntersectScan(children=tuple(scans)) if len(scans) > 1 else scans[0]
    return Choice(access=access, residual=residual, ordered=ordered)


def _index_scan(term: syntax.Term, ranges: IndexRanges, backwards: bool) -> IndexScan:
    return IndexScan(
        alias=term.name, collection=term.collection.name, ranges=ranges, backwards=backwards
    )


def _by_union(
    request: TermRequest,
    parts: tuple[syntax.Expression, ...],
    indexes: Sequence[Index],
    directives: Directives,
) -> Choice | None:
    for part in parts:
        if not isinstance(part, syntax.Or) or len(part.operands) > directives.max_scans:
            continue
        children: list[IndexScan | IdScan] = []
        for branch in part.operands:
            branch_request = TermRequest(
                term=_plain(request.term),
                field_of=request.field_of,
                where=branch,
                fidelity=request.fidelity,
            )
            access = choose(branch_request, indexes, Directives()).access
            if not isinstance(access, IndexScan | IdScan):
                break
            children.append(access)
        else:
            # Branches may overlap or be inexact, so the whole condition is tested again.
            return Choice(access=UnionScan(children=tuple(children)), residual=request.where)
    return None


def _plain(term: syntax.Term) -> syntax.Term:
    return syntax.Term(term.collection, term.alias)


def _by_order(
    request: TermRequest, indexes: Sequence[Index], directives: Directives
) -> Choice | None:
    if not request.order_by or not (request.limited or directives.prefer_order):
        return None
    for index in indexes:
        whole = IndexRanges(index=index, keys=(), served=frozenset())
        ordered, backwards = _order_of(whole, request)
        if ordered:
            access = _index_scan(request.term, whole, backwards)
            return Choice(access=access, residual=request.where, ordered=True)
    return None


def _order_of(ranges: IndexRanges, request: TermRequest) -> tuple[bool, bool]:
    """Return whether these ranges give the requested order, and whether if read backwards."""
    index = ranges.index
    wanted = [(_field(key, request), key.descending) for key in request.order_by]
    if not wanted or not index.include_missing or not index.exact:
        return False, False
    if request.fidelity is not Fidelity.WHOLE:
        return False, False
    pinned = {
        index.keys[position].path
        for position, key in enumerate(ranges.keys)
        if any(isinstance(r, Points) and len(r.values) == 1 for r in key.ranges)
    }
    keys = [part for part in index.keys if part.path not in pinned]
    asked = [(path, down) for path, down in wanted if path not in pinned]
    if len(asked) > len(keys):
        return False, False
    turned = {
        down != part.descending
        for (path, down), part in zip(asked, keys, strict=False)
        if path == part.path
    }
    matched = all(path == part.path for (path, _), part in zip(asked, keys, strict=False))
    return matched and len(turned) <= 1, True in turned


def _field(key: syntax.SortKey, request: TermRequest) -> FieldPath | None:
    expression = key.expression
    return request.field_of(expression) if isinstance(expression, syntax.Path) else None

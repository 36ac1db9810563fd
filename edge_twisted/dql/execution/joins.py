# SPDX-License-Identifier: Apache-2.0
"""
Join operators: hash join where the condition has equalities, else nested-loop join.

A row of a join is a tuple with one document for each term, None where an outer join found none.
Each join adds one document.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence

from attrs import frozen

from edge_twisted.documents.values import MISSING, Operand, canonical
from edge_twisted.dql.rows import Document, JoinRow

#: Yields the documents it is given; raises to end the statement.
Watch = Callable[[Iterable[Document]], Iterable[Document]]


@frozen
class Equality:
    """An equality of an ON condition, between the row so far and the document to be joined."""

    outer: Callable[[JoinRow], Operand]
    inner: Callable[[JoinRow], Operand]


@frozen
class JoinCondition:
    """An ON condition: its equalities narrow the pairs of a hash join, `test` decides."""

    equalities: Sequence[Equality]
    test: Callable[[JoinRow], Operand]


def hash_join(
    outer: Iterable[JoinRow],
    inner: Iterable[Document],
    condition: JoinCondition,
    keep_unmatched: bool,
    width: int,
    watch: Watch,
) -> Iterator[JoinRow]:
    """
    Yield each outer row extended by each matching document, in the order of the rows.

    The inner documents are kept in memory, by the values of the equalities.

    :param keep_unmatched: also yield rows without a match, extended by None (LEFT JOIN).
    :param width: the number of terms so far, which is the position of an inner document in a row.
    :param watch: is given every candidate, because pairs that do not match yield no row.
    """
    table = _table(inner, [each.inner for each in condition.equalities], width)
    outer_values = [each.outer for each in condition.equalities]
    for row in outer:
        mark = _mark(outer_values, row)
        candidates = table.get(mark, ()) if mark is not None else ()
        yield from _match(row, watch(candidates), condition.test, keep_unmatched)


def right_hash_join(
    left: Iterable[Document],
    right: Iterable[Document],
    condition: JoinCondition,
    watch: Watch,
) -> Iterator[JoinRow]:
    """
    Yield a row (left document, right document) for each match of a RIGHT JOIN.

    Right documents come in their order; one without a match has None on its left.  The left
    documents are kept in memory.

    :param watch: is given every candidate, because pairs that do not match yield no row.
    """
    table = _table(left, [each.outer for each in condition.equalities], 0)
    inner_values = [each.inner for each in condition.equalities]
    for document in right:
        mark = _mark(inner_values, (None, document))
        matched = False
        for other in watch(table.get(mark, ()) if mark is not None else ()):
            if condition.test((other, document)) is True:
                matched = True
                yield (other, document)
        if not matched:
            yield (None, document)


def loop_join(
    outer: Iterable[JoinRow],
    inner: Callable[[JoinRow], Iterable[Document]],
    condition: Callable[[JoinRow], Operand],
    keep_unmatched: bool,
) -> Iterator[JoinRow]:
    """
    Yield each outer row extended by each matching document, in the order of the rows.

    :param inner: finds the documents that may match a row.
    :param keep_unmatched: also yield rows without a match, extended by None (LEFT JOIN).
    """
    for row in outer:
        yield from _match(row, inner(row), condition, keep_unmatched)


def _match(
    row: JoinRow,
    candidates: Iterable[Document],
    condition: Callable[[JoinRow], Operand],
    keep_unmatched: bool,
) -> Iterator[JoinRow]:
    matched = False
    for document in candidates:
        joined = (*row, document)
        if condition(joined) is True:
            matched = True
            yield joined
    if keep_unmatched and not matched:
        yield (*row, None)


def _table(
    documents: Iterable[Document], values: Sequence[Callable[[JoinRow], Operand]], width: int
) -> dict[bytes, list[Document]]:
    """Return documents by their hash keys; `width` is their position in a row."""
    table: defaultdict[bytes, list[Document]] = defaultdict(list)
    blank: JoinRow = (None,) * width
    for document in documents:
        mark = _mark(values, (*blank, document))
        if mark is not None:
            table[mark].append(document)
    return table


def _mark(values: Sequence[Callable[[JoinRow], Operand]], row: JoinRow) -> bytes | None:
    """Return the hash key of a row; None if a value is NULL or MISSING, which equals nothing."""
    parts: list[bytes] = []
    for value in values:
        found = value(row)
        if found is None or found is MISSING:
            return None
        parts.append(canonical(found))
    return b"".join(parts)

# SPDX-License-Identifier: Apache-2.0
"""ORDER BY in the total order of the language, DISTINCT, and LIMIT with OFFSET."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from itertools import islice
from sys import maxsize
from typing import Final, TypeVar

from attrs import frozen

from edge_twisted.documents.keys import invert
from edge_twisted.documents.progress import report_each, sort_positions
from edge_twisted.documents.values import Operand, sort_key

Row = TypeVar("Row")

#: More rows than this are not kept in a heap, whose last step is a sort at one go.
_HEAP_ROWS: Final = 8_192


@frozen
class SortTerm:
    """One key of an ORDER BY, computed from a row."""

    value: Callable[[object], Operand]
    descending: bool


def order(rows: Iterable[Row], terms: Sequence[SortTerm], first: int | None = None) -> list[Row]:
    """
    Return the rows in order, equal ones as they came; with ``first`` only so many of them.

    A few of many are kept in a heap: memory for ``first`` rows, whatever their number.  More are
    sorted in steps, between which whoever waits may end it (`edge_twisted.documents.progress`).
    """
    key = _key(terms)
    if first is not None and first <= _HEAP_ROWS:
        return heapq.nsmallest(first, rows, key=key)
    kept = list(rows)
    places = sort_positions([key(row) for row in report_each(kept)])
    return [kept[place] for place in (places if first is None else places[:first])]


def _key(terms: Sequence[SortTerm]) -> Callable[[object], bytes]:
    # Keys are prefix-free, so that one string of bytes compares like the tuple of values.
    parts = [(term.value, term.descending) for term in terms]
    if len(parts) == 1 and not parts[0][1]:
        value = parts[0][0]
        return lambda row: sort_key(value(row))

    def key(row: object) -> bytes:
        return b"".join(
            invert(sort_key(value(row))) if backwards else sort_key(value(row))
            for value, backwards in parts
        )

    return key


def distinct(rows: Iterable[Row], identity: Callable[[Row], Hashable]) -> Iterator[Row]:
    """Yield the first row of each identity; remembers every identity."""
    seen: set[Hashable] = set()
    for row in rows:
        mark = identity(row)
        if mark not in seen:
            seen.add(mark)
            yield row


def cut(rows: Iterable[Row], limit: int | None, offset: int) -> Iterator[Row]:
    """Yield at most ``limit`` rows after the first ``offset``; asks for no row beyond them."""
    # The sum may be more than `islice` takes, and than there can be rows.
    return islice(iter(rows), offset, None if limit is None else min(offset + limit, maxsize))

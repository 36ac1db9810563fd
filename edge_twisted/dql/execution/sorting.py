# SPDX-License-Identifier: Apache-2.0
"""Sorting, DISTINCT, and LIMIT with OFFSET, on rows."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from itertools import islice
from sys import maxsize
from typing import Final, TypeAlias, TypeVar

from edge_twisted.documents.keys import invert
from edge_twisted.documents.progress import report_each, sort_positions
from edge_twisted.documents.values import Operand, sort_key

Row = TypeVar("Row")

#: The most rows kept in a heap, whose final sort cannot be interrupted.
_HEAP_ROWS: Final = 8_192

#: A key of ORDER BY: its value for a row, and whether the order is descending.
SortKey: TypeAlias = tuple[Callable[[Row], Operand], bool]


def order(rows: Iterable[Row], keys: Sequence[SortKey[Row]], first: int | None = None) -> list[Row]:
    """
    Return the rows in the order of ``keys``, stably; with ``first`` only that many of them.

    A small ``first`` needs memory for that many rows only (a heap).  Otherwise rows are sorted in
    interruptible steps (`edge_twisted.documents.progress`).

    :param keys: for each key its value for a row, and whether the order is descending.
    """
    key = _key(keys)
    if first is not None and first <= _HEAP_ROWS:
        return heapq.nsmallest(first, rows, key=key)
    kept = list(rows)
    places = sort_positions([key(row) for row in report_each(kept)])
    return [kept[place] for place in (places if first is None else places[:first])]


def _key(keys: Sequence[SortKey[Row]]) -> Callable[[Row], bytes]:
    # Encoded values are prefix-free, so their concatenation compares like the tuple of values.
    if len(keys) == 1 and not keys[0][1]:
        value = keys[0][0]
        return lambda row: sort_key(value(row))

    def key(row: Row) -> bytes:
        return b"".join(
            invert(sort_key(value(row))) if backwards else sort_key(value(row))
            for value, backwards in keys
        )

    return key


def distinct(rows: Iterable[Row], identity: Callable[[Row], Hashable]) -> Iterator[Row]:
    """
    Yield the first row of each identity, in their order; keeps all identities in memory.

    :param identity: returns for a row what is equal for rows that count as the same.
    """
    seen: set[Hashable] = set()
    for row in rows:
        mark = identity(row)
        if mark not in seen:
            seen.add(mark)
            yield row


def cut(rows: Iterable[Row], limit: int | None, offset: int) -> Iterator[Row]:
    """Yield at most ``limit`` rows after the first ``offset``; takes no row beyond them."""
    # `islice` takes no number above `maxsize`.
    return islice(iter(rows), offset, None if limit is None else min(offset + limit, maxsize))

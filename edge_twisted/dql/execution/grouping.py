# SPDX-License-Identifier: Apache-2.0
"""Grouping: one row for each group, made of its keys and its aggregates."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from edge_twisted.documents.values import Operand, canonical
from edge_twisted.dql.functions.aggregates import Accumulator
from edge_twisted.dql.rows import GroupValues, Row

#: An aggregate of a statement: makes an accumulator; the value that this takes from a row.
Aggregate = tuple[Callable[[], Accumulator], Callable[[Row], Operand]]


def group(
    rows: Iterable[Row],
    keys: Sequence[Callable[[Row], Operand]],
    aggregates: Sequence[Aggregate],
) -> Iterator[GroupValues]:
    """
    Yield a group for each combination of keys, in the order of their first rows.

    NULL and MISSING are two groups; ``1`` and ``1.0`` are one, shown as in its first row.  Without
    keys there is exactly one group, even if there are no rows.

    :param keys: the functions that compute the keys from a row.
    :param aggregates: for each aggregate, what makes its accumulator, and computes from a row the
        value that the accumulator takes.
    """
    groups: dict[bytes, tuple[tuple[Operand, ...], list[Accumulator]]] = {}
    if not keys:
        groups[b""] = ((), [begin() for begin, _ in aggregates])
    for row in rows:
        found = tuple([key(row) for key in keys])
        # Canonical keys are prefix-free, so their concatenation is unambiguous.
        mark = b"".join(map(canonical, found))
        entry = groups.get(mark)
        if entry is None:
            entry = groups[mark] = (found, [begin() for begin, _ in aggregates])
        for accumulator, (_, value) in zip(entry[1], aggregates, strict=True):
            accumulator.add(value(row))
    for found, accumulators in groups.values():
        yield GroupValues(found, tuple(each.result() for each in accumulators))

# SPDX-License-Identifier: Apache-2.0
"""GROUP BY and aggregates: one row for each group, made of its keys and its accumulators."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from attrs import frozen

from edge_twisted.documents.values import Operand, canonical
from edge_twisted.dql.functions.aggregates import Accumulator


@frozen
class AggregateTerm:
    """One aggregate of a statement: how it begins, and what of a row it takes."""

    begin: Callable[[], Accumulator]
    value: Callable[[object], Operand]


@frozen
class GroupValues:
    """What expressions above the grouping see: keys and results, in the order of the statement."""

    keys: tuple[Operand, ...]
    aggregates: tuple[Operand, ...]


def group(
    rows: Iterable[object],
    keys: Sequence[Callable[[object], Operand]],
    aggregates: Sequence[AggregateTerm],
) -> Iterator[GroupValues]:
    """
    Yield a group for each combination of keys, in the order in which they first came.

    NULL and MISSING are two groups, ``1`` and ``1.0`` one, shown as it came first.  Without keys
    there is one group, of no rows as well.
    """
    groups: dict[bytes, tuple[tuple[Operand, ...], list[Accumulator]]] = {}
    if not keys:
        groups[b""] = ((), [term.begin() for term in aggregates])
    values = [term.value for term in aggregates]
    for row in rows:
        found = tuple([key(row) for key in keys])
        # Canonical forms are prefix-free, so joining them is unambiguous.
        mark = b"".join(map(canonical, found))
        entry = groups.get(mark)
        if entry is None:
            entry = groups[mark] = (found, [term.begin() for term in aggregates])
        for accumulator, value in zip(entry[1], values, strict=True):
            accumulator.add(value(row))
    for found, accumulators in groups.values():
        yield GroupValues(found, tuple(each.result() for each in accumulators))

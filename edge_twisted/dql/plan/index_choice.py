# SPDX-License-Identifier: Apache-2.0
"""
The choice of an index for a condition, and the key intervals to read from it.

The choice is by rule, not by statistics: the index with most leading keys pinned to single values
wins, then the one that narrows a further key to a range, then the one with fewer keys, then the
older one.  Example: for ``a = 1 AND b > 2``, an index on (a, b) wins over one on (a), because it
pins ``a`` as well and narrows ``b``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Final

from attrs import frozen

from edge_twisted.documents.keys import after, invert
from edge_twisted.dql.plan.catalog import Index
from edge_twisted.dql.plan.conditions import Constraint, FieldPath
from edge_twisted.dql.plan.intervals import (
    EVERYTHING,
    Interval,
    Intervals,
    invert_interval,
)
from edge_twisted.dql.plan.ranges import Absent, Evaluate, Range, resolve_all

#: The most intervals that are computed one by one; beyond it later keys are left to the filter.
MAX_INTERVALS: Final = 1000


@frozen
class KeyRange:
    """The ranges in which one key of an index must lie, all at once."""

    descending: bool
    ranges: tuple[Range, ...]

    @property
    def points(self) -> bool:
        """Whether this key of the index is pinned to single values."""
        return any(range_.points for range_ in self.ranges)

    def resolve(self, evaluate: Evaluate) -> Intervals:
        """
        Return the intervals of this key's encodings, disjoint and in the order of the index.

        :param evaluate: returns the value of a constant expression in this execution.
        """
        found = resolve_all(self.ranges, evaluate)
        if not self.descending:
            return found
        if self.points:
            # Later keys are appended to the low end, so it must be the encoding of the value.
            keys = [invert(low) for low, _ in reversed(found)]
            return tuple((key, after(key)) for key in keys)
        return tuple(invert_interval(interval) for interval in reversed(found))


@frozen(kw_only=True)
class IndexRanges:
    """How an index is read: the ranges of its leading keys, and the conjuncts that they serve."""

    index: Index
    keys: tuple[KeyRange, ...]
    #: Positions of the constraints that the ranges express exactly, so that no test is left.
    served: frozenset[int]

    @property
    def pinned(self) -> int:
        """The number of leading keys that are pinned to single values."""
        count = 0
        while count < len(self.keys) and self.keys[count].points:
            count += 1
        return count

    def resolve(self, evaluate: Evaluate) -> Intervals:
        """
        Return the intervals of whole index keys, disjoint and in the order of the index.

        Beyond `MAX_INTERVALS`, later keys are left open.  The intervals then contain more than
        matches, and the caller must filter (see `complete`).

        :param evaluate: returns the value of a constant expression in this execution.
        """
        return self._resolve(evaluate)[0]

    def complete(self, evaluate: Evaluate) -> tuple[Intervals, bool]:
        """
        Return the intervals of `resolve`, and whether they contain matches only.

        If not, some keys were left open, and the caller must filter.
        """
        return self._resolve(evaluate)

    def _resolve(self, evaluate: Evaluate) -> tuple[Intervals, bool]:
        if len(self.keys) == 1:
            return self.keys[0].resolve(evaluate), True
        prefixes: list[bytes] = [b""]
        for position, key in enumerate(self.keys):
            intervals = key.resolve(evaluate)
            last = position == len(self.keys) - 1
            if len(prefixes) * len(intervals) > MAX_INTERVALS and position:
                return tuple((prefix, after(prefix)) for prefix in prefixes), False
            if last or not key.points:
                return _concatenate(prefixes, intervals), last
            prefixes = [prefix + low for prefix, (low, _) in product(prefixes, intervals)]
        return EVERYTHING, True


def _concatenate(prefixes: Sequence[bytes], intervals: Intervals) -> Intervals:
    found: list[Interval] = []
    for prefix, (low, high) in product(prefixes, intervals):
        found.append((prefix + low, after(prefix) if high is None else prefix + high))
    return tuple(found)


#: The most conditions on one key that are intersected.  The cost is quadratic, so thousands of
#: them would take longer than reading the keys that they exclude.
MAX_RANGES_OF_KEY: Final = 32


def best_ranges(
    indexes: Sequence[Index], constraints: Mapping[int, Constraint]
) -> IndexRanges | None:
    """
    Return how to read the best index for the constraints; None if no index narrows.

    :param constraints: position of the conjunct -> what it demands of a field.
    """
    candidates = [
        found for index in indexes if (found := _ranges_of(index, constraints)) is not None
    ]
    return max(candidates, key=_merit, default=None)


def _merit(found: IndexRanges) -> tuple[int, int, int]:
    # `max` returns the first of equals, which is the oldest index.
    return found.pinned, len(found.keys), -len(found.index.keys)


def _ranges_of(index: Index, constraints: Mapping[int, Constraint]) -> IndexRanges | None:
    keys: list[KeyRange] = []
    served: set[int] = set()
    for part in index.keys:
        positions = _on(part.path, constraints)
        if not positions:
            break
        ranges = tuple(constraints[position].range for position in positions)
        if not index.include_missing and not keys and any(map(_wants_missing, ranges)):
            return None
        key = KeyRange(part.descending, ranges)
        keys.append(key)
        if index.exact:
            served.update(p for p in positions if constraints[p].range.exact)
        if not key.points:
            break
    if not keys:
        return None
    return IndexRanges(index=index, keys=tuple(keys), served=frozenset(served))


def _on(path: FieldPath, constraints: Mapping[int, Constraint]) -> list[int]:
    found = [position for position, each in constraints.items() if each.path == path]
    # If there are too many to intersect, the narrow ones come first; a filter tests the others.
    if len(found) > MAX_RANGES_OF_KEY:
        found.sort(key=lambda position: not constraints[position].range.points)
    return found[:MAX_RANGES_OF_KEY]


def _wants_missing(range_: Range) -> bool:
    return isinstance(range_, Absent) and range_.absence.value == "MISSING"

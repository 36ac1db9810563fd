# SPDX-License-Identifier: Apache-2.0
"""
Which index serves a condition, and how: intervals of its keys.

The choice is by rule, not by statistics: the index that pins down most leading keys to single
values wins, then one that narrows a further key to a range, then the shorter one, then the older.
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
    descending,
)
from edge_twisted.dql.plan.ranges import Absent, Evaluate, Range, resolve_all

#: More intervals than this are not worked out one by one: the last key is left to the filter.
MAX_INTERVALS: Final = 1000


@frozen
class KeyRange:
    """The ranges that hold, all of them, for one key of an index."""

    descending: bool
    ranges: tuple[Range, ...]

    @property
    def points(self) -> bool:
        """Whether the key is pinned down to single values."""
        return any(range_.points for range_ in self.ranges)

    def resolve(self, evaluate: Evaluate) -> Intervals:
        """Return the intervals of this key's encoding, in the order of the index."""
        found = resolve_all(self.ranges, evaluate)
        if not self.descending:
            return found
        if self.points:
            # The first key of a single value is that value's encoding, and must stay so.
            keys = [invert(low) for low, _ in reversed(found)]
            return tuple((key, after(key)) for key in keys)
        return tuple(descending(interval) for interval in reversed(found))


@frozen(kw_only=True)
class IndexRanges:
    """How an index is read: ranges of its leading keys, and which conjuncts they serve."""

    index: Index
    keys: tuple[KeyRange, ...]
    #: Positions, among the constraints given, of those that the ranges hold exactly.
    served: frozenset[int]

    @property
    def pinned(self) -> int:
        """How many leading keys are single values."""
        count = 0
        while count < len(self.keys) and self.keys[count].points:
            count += 1
        return count

    def resolve(self, evaluate: Evaluate) -> Intervals:
        """
        Return the intervals of whole keys, disjoint and in the order of the index.

        Beyond `MAX_INTERVALS`, later keys are left open, which finds too much, not too little;
        the caller filters then (see `complete`).
        """
        return self._resolve(evaluate)[0]

    def complete(self, evaluate: Evaluate) -> tuple[Intervals, bool]:
        """Return `resolve`, and whether every range took part in it."""
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


#: Conditions on one key that are intersected: each may add an interval, and all are gone through
#: for each, so thousands of them would take longer than reading what they leave out.
MAX_RANGES_OF_KEY: Final = 32


def best_ranges(
    indexes: Sequence[Index], constraints: Mapping[int, Constraint]
) -> IndexRanges | None:
    """Return the best reading of any of ``indexes`` for the constraints; None if none narrows."""
    candidates = [
        found for index in indexes if (found := _ranges_of(index, constraints)) is not None
    ]
    return max(candidates, key=_merit, default=None)


def _merit(found: IndexRanges) -> tuple[int, int, int]:
    # `max` keeps the first of equals, which is the oldest index.
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
    # The narrow ones first, where there are too many to intersect; the others are tested.
    if len(found) > MAX_RANGES_OF_KEY:
        found.sort(key=lambda position: not constraints[position].range.points)
    return found[:MAX_RANGES_OF_KEY]


def _wants_missing(range_: Range) -> bool:
    return isinstance(range_, Absent) and range_.absence.value == "MISSING"

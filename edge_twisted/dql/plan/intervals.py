# SPDX-License-Identifier: Apache-2.0
"""
Intervals of encoded keys.

A key is the memcomparable encoding of a value (`edge_twisted.documents.values.sort_key`):
comparing bytes compares values, and encodings are prefix-free.  An interval is half-open, [low,
high); a high end of None is above all keys.  A set is a tuple of disjoint ascending intervals.

Example: ``a >= 5`` is ``(sort_key(5), sort_key(b""))``, since binary values follow the numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeAlias

from edge_twisted.documents.keys import after, invert
from edge_twisted.documents.values import MISSING, Operand, sort_key

Interval: TypeAlias = tuple[bytes, bytes | None]
Intervals: TypeAlias = tuple[Interval, ...]

EVERYTHING: Final[Intervals] = ((b"", None),)
NOTHING: Final[Intervals] = ()


def point(value: Operand) -> Interval:
    """Return the interval of the key of exactly one value."""
    key = sort_key(value)
    return key, after(key)


_TRUE_END = after(sort_key(True))
assert _TRUE_END is not None
#: The first key of each type in the total order; a type ends where the next one begins.
_FALSE, _NUMBERS, _BINARY, _STRINGS, _ARRAYS, _OBJECTS, _NULL, _MISSING = (
    sort_key(False),
    _TRUE_END,
    sort_key(b""),
    sort_key(""),
    sort_key([]),
    sort_key({}),
    sort_key(None),
    sort_key(MISSING),
)
_SECTIONS: Final[dict[type, Interval]] = {
    bool: (_FALSE, _NUMBERS),
    int: (_NUMBERS, _BINARY),
    float: (_NUMBERS, _BINARY),
    bytes: (_BINARY, _STRINGS),
    str: (_STRINGS, _ARRAYS),
    list: (_ARRAYS, _OBJECTS),
    dict: (_OBJECTS, _NULL),
}
PRESENT: Final[Intervals] = ((b"", _MISSING),)


def section(value: Operand) -> Interval | None:
    """
    Return the interval of the keys of all values that compare with ``value``.

    Returns None for NULL and MISSING, which compare with nothing.
    """
    return _SECTIONS.get(type(value))


def with_all_objects(intervals: Sequence[Interval]) -> Intervals:
    """Return ``intervals``, widened to all objects if they contain the key of an object."""
    objects = _SECTIONS[dict]
    if not intersect(intervals, (objects,)):
        return tuple(intervals)
    return union([*intervals, objects])


def intersect(left: Sequence[Interval], right: Sequence[Interval]) -> Intervals:
    """Return the set of the keys that are in both sets of intervals."""
    found: list[Interval] = []
    i = j = 0
    while i < len(left) and j < len(right):
        low = max(left[i][0], right[j][0])
        high = _earlier(left[i][1], right[j][1])
        if high is None or low < high:
            found.append((low, high))
        # The interval that ends first cannot meet a later one.
        if high == left[i][1]:
            i += 1
        else:
            j += 1
    return tuple(found)


def union(intervals: Sequence[Interval]) -> Intervals:
    """Return the set of the keys that are in any of ``intervals``, which may overlap."""
    found: list[Interval] = []
    for low, high in sorted(intervals, key=lambda interval: interval[0]):
        if found:
            last_low, last_high = found[-1]
            if last_high is None:
                break
            # Neighbours that only touch stay apart: single values must stay single values.
            if low < last_high:
                end = None if high is None else max(high, last_high)
                found[-1] = (last_low, end)
                continue
        found.append((low, high))
    return tuple(found)


def invert_interval(interval: Interval) -> Interval:
    """Return the interval of the inverted keys, for a descending key of an index."""
    low, high = interval
    start = b"" if high is None else (after(invert(high)) or b"")
    return start, after(invert(low)) if low else None


def _earlier(left: bytes | None, right: bytes | None) -> bytes | None:
    if left is None:
        return right
    return left if right is None else min(left, right)

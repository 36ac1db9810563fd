# SPDX-License-Identifier: Apache-2.0
"""
``IN``: whether a value is an element of an array.

TRUE if an element is deeply equal; else NULL if the array holds a NULL; else FALSE.  MISSING on
the left, or no array on the right, gives MISSING, NULL on either side NULL, MISSING first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from attrs import frozen

from edge_twisted.documents.progress import CHUNK, chunks, report_each
from edge_twisted.documents.values import MISSING, Operand, Value, canonical
from edge_twisted.dql.operators.comparison import deep_equal
from edge_twisted.dql.propagation import propagate

#: The types that hash as they compare; not `bool`, since ``hash(True) == hash(1)``.
_HASHED: Final = frozenset({int, float, str, bytes})


def contains_equal(array: Sequence[Value], value: Value) -> bool:
    """Return whether an element of ``array`` is deeply equal to ``value``."""
    if len(array) > CHUNK:
        return any(contains_equal(piece, value) for piece in chunks(array))
    if value not in array:
        return False
    if type(value) is str:
        return True
    # In Python True equals 1; here the two differ.
    return any(deep_equal(value, element) for element in array)


def member(value: Operand, array: Operand) -> Operand:
    """Return ``value IN array``: TRUE, FALSE, or, as the module describes, NULL or MISSING."""
    if type(array) is not list or value is None or value is MISSING:
        return propagate(value, array)
    if contains_equal(array, value):
        return True
    return None if None in array else False


@frozen
class ValueSet:
    """
    The elements of an array, hashed once for repeated membership tests.

    Numbers, strings and binary values are hashed as they are; everything else by its sort key,
    which is equal if and only if values are deeply equal.
    """

    _plain: frozenset[Value]
    _encoded: frozenset[bytes]
    has_null: bool

    @classmethod
    def of(cls, array: Iterable[Value]) -> ValueSet:
        """Return the set of the elements of an array, hashed once for many tests."""
        plain: set[Any] = set()
        encoded: set[bytes] = set()
        has_null = False
        for element in report_each(array):
            if type(element) in _HASHED:
                plain.add(element)
            elif element is None:
                has_null = True
            else:
                encoded.add(canonical(element))
        return cls(frozenset(plain), frozenset(encoded), has_null)

    @property
    def is_empty(self) -> bool:
        """Whether the set has no element, not even NULL."""
        return not (self._plain or self._encoded or self.has_null)

    def has(self, value: Operand) -> bool:
        """Return whether an element is deeply equal to a value, not NULL and not MISSING."""
        if type(value) in _HASHED:
            return value in self._plain
        return bool(self._encoded) and canonical(value) in self._encoded

    def member(self, value: Operand) -> Operand:
        """Return ``value IN array``, as the function `member` does, for the array of this set."""
        if value is None or value is MISSING:
            return value
        if self.has(value):
            return True
        return None if self.has_null else False


def member_of(array: Operand) -> Callable[[Operand], Operand]:
    """Return the function of a value that tests ``value IN array``, for a known array."""
    if type(array) is list:
        return ValueSet.of(array).member
    return lambda value: propagate(value, array)


def contained_in(array: Operand) -> Callable[[Operand], Operand]:
    """Return the function of a value that is ``array_contains(array, value)`` for a known array."""
    if type(array) is not list:
        return lambda value: propagate(array, value)
    listed = ValueSet.of(array)

    def test(value: Operand) -> Operand:
        return value if value is None or value is MISSING else listed.has(value)

    return test

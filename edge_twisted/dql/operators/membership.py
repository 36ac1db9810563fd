# SPDX-License-Identifier: Apache-2.0
"""
``IN``: whether a value is an element of an array.

TRUE if an element is deeply equal; else NULL if the array holds a NULL; else FALSE.  MISSING on
the left, or no array on the right, gives MISSING, NULL on either side NULL, MISSING first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from edge_twisted.documents.values import MISSING, Operand, Value
from edge_twisted.dql.operators.comparison import deep_equal
from edge_twisted.dql.propagation import propagate

#: The types that hash as they compare, `bool` aside: ``hash(True) == hash(1)``.
_HASHED: Final = frozenset({int, float, str, bytes})


def contains_equal(array: Sequence[Value], value: Value) -> bool:
    """Return whether an element of ``array`` is deeply equal to ``value``."""
    if value not in array:
        return False
    if type(value) is str:
        return True
    # Python takes TRUE for 1; here the two differ.
    return any(deep_equal(value, element) for element in array)


def member(value: Operand, array: Operand) -> Operand:
    """``value IN array``."""
    if type(array) is not list or value is None or value is MISSING:
        return propagate(value, array)
    if contains_equal(array, value):
        return True
    return None if None in array else False


def member_of(array: Sequence[Value]) -> Callable[[Operand], Operand]:
    """
    Return ``IN`` for an array that is known beforehand: a set lookup however long the array is.
    """
    hashed = frozenset(element for element in array if type(element) in _HASHED)
    others = [element for element in array if type(element) not in _HASHED and element is not None]
    absent = None if None in array else False

    def test(value: Operand) -> Operand:
        if type(value) in _HASHED:
            return True if value in hashed else absent
        if value is None or value is MISSING:
            return value
        return True if contains_equal(others, value) else absent

    return test

# SPDX-License-Identifier: Apache-2.0
"""
Equality and order between two values.

A comparison is TRUE or FALSE between values of one type; integers and floats are one type, and
compare exactly.  Otherwise it is MISSING if an operand is MISSING, else NULL if one is NULL, else,
the types being different, MISSING.

Inside arrays and objects equality is deep and two-valued: NULL equals NULL, different types are
unequal.  Arrays order element by element, then by length; objects by their sorted keys, then
values; everything in the total order of `edge_twisted.documents.values`.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, Final

from edge_twisted.documents.progress import CHUNK, report_each
from edge_twisted.documents.values import MISSING, Operand, Value, sort_key
from edge_twisted.dql.logic import logical_and, logical_not
from edge_twisted.dql.propagation import propagate

#: The Python types whose ``==`` and ``<`` are those of the language.
_PLAIN: Final = frozenset({bool, int, float, str, bytes})
_NUMBERS: Final = frozenset({int, float})

#: ``<=`` between two values of one plain type.
_at_most: Final[Callable[[Any, Any], bool]] = operator.le

#: An operator of two operands.
Binary = Callable[[Operand, Operand], Operand]


def deep_equal(left: Value, right: Value) -> bool:
    """Return whether two values are deeply equal: NULL equals NULL, ``1`` is ``1.0``, not TRUE."""
    if left != right:
        return False
    # Only booleans and numbers remain, which are equal in Python.
    kind = type(left)
    if kind is not type(right):
        return kind in _NUMBERS and type(right) in _NUMBERS
    if kind in _PLAIN:
        return True
    if type(left) is list and type(right) is list:
        pairs = zip(left, right, strict=True)
        for element, other in pairs if len(left) <= CHUNK else report_each(pairs):
            if not deep_equal(element, other):
                return False
    elif type(left) is dict and type(right) is dict:
        items = left.items()
        for key, element in items if len(left) <= CHUNK else report_each(items):
            if not deep_equal(element, right[key]):
                return False
    return True


def equal(left: Operand, right: Operand) -> Operand:
    """Return ``left = right``: TRUE, FALSE, or, as the module describes, NULL or MISSING."""
    kind = type(left)
    if kind is not type(right):
        if kind in _NUMBERS and type(right) in _NUMBERS:
            return left == right
        return propagate(left, right)
    if kind in _PLAIN:
        return left == right
    if left is None or left is MISSING or right is MISSING:
        return left
    return deep_equal(left, right)


def not_equal(left: Operand, right: Operand) -> Operand:
    """Return ``left != right``: TRUE, FALSE, or, as the module describes, NULL or MISSING."""
    return logical_not(equal(left, right))


def _ordering(operation: Callable[[Any, Any], bool]) -> Binary:
    """Return the four-valued form of an order between values of one plain type."""

    def compare(left: Operand, right: Operand) -> Operand:
        kind = type(left)
        if kind is type(right):
            if kind in _PLAIN:
                return operation(left, right)
            if isinstance(left, list | dict) and isinstance(right, list | dict):
                return operation(sort_key(left), sort_key(right))
        elif kind in _NUMBERS and type(right) in _NUMBERS:
            return operation(left, right)
        return propagate(left, right)

    compare.__doc__ = f"``left {operation.__name__} right``."
    return compare


less: Final = _ordering(operator.lt)
less_or_equal: Final = _ordering(operator.le)
greater: Final = _ordering(operator.gt)
greater_or_equal: Final = _ordering(operator.ge)


def precedes(left: Value, right: Value) -> bool:
    """Return whether ``left`` is before ``right`` in the total order of all values."""
    verdict = less(left, right)
    return verdict if type(verdict) is bool else sort_key(left) < sort_key(right)


def between(value: Operand, low: Operand, high: Operand) -> Operand:
    """Return ``value BETWEEN low AND high``: ``value >= low AND value <= high``."""
    kind = type(value)
    if kind is type(low) and kind is type(high) and kind in _PLAIN:
        return _at_most(low, value) and _at_most(value, high)
    return logical_and(greater_or_equal(value, low), less_or_equal(value, high))

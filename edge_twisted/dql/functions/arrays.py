# SPDX-License-Identifier: Apache-2.0
"""Functions on arrays; of what is no array they return NULL or MISSING (`propagate`)."""

from __future__ import annotations

from edge_twisted.documents.values import MISSING, Operand
from edge_twisted.dql.operators.membership import contains_equal
from edge_twisted.dql.propagation import propagate


def array_contains(array: Operand, value: Operand) -> Operand:
    """Return whether an element is deeply equal to ``value``; NULLs in the array do not matter."""
    if type(array) is list and value is not None and value is not MISSING:
        return contains_equal(array, value)
    return propagate(array, value)


def array_contains_null(array: Operand) -> Operand:
    """Return whether an element of ``array`` is NULL."""
    if type(array) is list:
        return None in array
    return propagate(array)


def array_length(array: Operand) -> Operand:
    """Return the number of elements of ``array``."""
    if type(array) is list:
        return len(array)
    return propagate(array)

# SPDX-License-Identifier: Apache-2.0
"""Functions on numbers; of what is no number they return NULL or MISSING (`propagate`)."""

from __future__ import annotations

import math

from edge_twisted.documents.values import Operand
from edge_twisted.dql.operators.arithmetic import negate
from edge_twisted.dql.propagation import propagate


def absolute(value: Operand) -> Operand:
    """
    Return ``value`` without its sign, as a number of its type.

    The least integer of 64 bits has no positive one, and becomes a float.
    """
    if type(value) is float or (type(value) is int and value >= 0):
        return abs(value)
    return negate(value)


def ceiling(value: Operand) -> Operand:
    """Return the least whole number that is not less than ``value``, as a float."""
    if type(value) is float or type(value) is int:
        return float(math.ceil(value))
    return propagate(value)


def floor(value: Operand) -> Operand:
    """Return the greatest whole number that is not greater than ``value``, as a float."""
    if type(value) is float or type(value) is int:
        return float(math.floor(value))
    return propagate(value)

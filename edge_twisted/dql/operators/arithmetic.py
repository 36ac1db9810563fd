# SPDX-License-Identifier: Apache-2.0
"""
Arithmetic on 64-bit integers and floats.

Integers stay integers; a result beyond 64 bits becomes a float.  Division truncates toward zero
and the remainder has the sign of the dividend, as in C; division by zero is NULL, and so is a
result that no finite float can hold.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from math import fmod, inf
from typing import Final

from edge_twisted.documents.values import Operand
from edge_twisted.dql.propagation import propagate

INTEGER_MIN: Final = -(2**63)
INTEGER_MAX: Final = 2**63 - 1


def _with_floats(
    operation: Callable[[float, float], float], left: Operand, right: Operand
) -> Operand:
    """Apply ``operation`` where one operand is a float, or say why there is no result."""
    if (type(left) is float or type(left) is int) and (type(right) is float or type(right) is int):
        number = operation(left, right)
        return number if -inf < number < inf else None
    return propagate(left, right)


def _quotient(left: float, right: float) -> float:
    return left / right if right else inf


def _remainder(left: float, right: float) -> float:
    return fmod(left, right) if right else inf


def add(left: Operand, right: Operand) -> Operand:
    """Return ``left + right``; NULL beyond floats, NULL or MISSING of what is no number."""
    if type(left) is int and type(right) is int:
        total = left + right
        return total if INTEGER_MIN <= total <= INTEGER_MAX else float(total)
    return _with_floats(operator.add, left, right)


def subtract(left: Operand, right: Operand) -> Operand:
    """Return ``left - right``; NULL beyond floats, NULL or MISSING of what is no number."""
    if type(left) is int and type(right) is int:
        difference = left - right
        return difference if INTEGER_MIN <= difference <= INTEGER_MAX else float(difference)
    return _with_floats(operator.sub, left, right)


def multiply(left: Operand, right: Operand) -> Operand:
    """Return ``left * right``; NULL beyond floats, NULL or MISSING of what is no number."""
    if type(left) is int and type(right) is int:
        product = left * right
        return product if INTEGER_MIN <= product <= INTEGER_MAX else float(product)
    return _with_floats(operator.mul, left, right)


def divide(left: Operand, right: Operand) -> Operand:
    """Return ``left / right``: truncated toward zero between integers, NULL by zero."""
    if type(left) is int and type(right) is int:
        if right == 0:
            return None
        quotient = left // right
        if quotient < 0 and quotient * right != left:
            quotient += 1
        return quotient if quotient <= INTEGER_MAX else float(quotient)
    return _with_floats(_quotient, left, right)


def modulo(left: Operand, right: Operand) -> Operand:
    """
    Return ``left % right``: the remainder of `divide`; NULL by zero.

    The remainder has the sign of ``left``.
    """
    if type(left) is int and type(right) is int:
        if right == 0:
            return None
        remainder = left % right
        if remainder and (left < 0) is not (right < 0):
            remainder -= right
        return remainder
    return _with_floats(_remainder, left, right)


def plus(value: Operand) -> Operand:
    """Return ``+value``, which is the number itself; NULL or MISSING of what is no number."""
    return value if type(value) is int or type(value) is float else propagate(value)


def negate(value: Operand) -> Operand:
    """Return ``-value``; a float for the least integer, NULL or MISSING of what is no number."""
    if type(value) is int:
        return -value if value != INTEGER_MIN else -float(value)
    if type(value) is float:
        return -value
    return propagate(value)

# SPDX-License-Identifier: Apache-2.0
"""
Shifts of 64-bit two's complement integers.

Bits that leave the 64 are lost, ``>>`` keeps the sign, and an amount that is negative or 64 and
more gives NULL.
"""

from __future__ import annotations

from typing import Final

from edge_twisted.documents.values import Operand
from edge_twisted.dql.propagation import propagate

_BITS: Final = 64
_SIGN: Final = 1 << (_BITS - 1)
_MASK: Final = (1 << _BITS) - 1


def shift_left(value: Operand, amount: Operand) -> Operand:
    """Return ``value << amount``; NULL if the amount is negative, or 64 and more."""
    if type(value) is int and type(amount) is int:
        if not 0 <= amount < _BITS:
            return None
        shifted = (value << amount) & _MASK
        return shifted - (_MASK + 1) if shifted & _SIGN else shifted
    return propagate(value, amount)


def shift_right(value: Operand, amount: Operand) -> Operand:
    """Return ``value >> amount``; NULL if the amount is negative, or 64 and more."""
    if type(value) is int and type(amount) is int:
        return value >> amount if 0 <= amount < _BITS else None
    return propagate(value, amount)

# SPDX-License-Identifier: Apache-2.0
"""
Four-valued logic: TRUE, FALSE, NULL (`None`) and `MISSING`.

An operand of another type counts as MISSING.  In AND, FALSE dominates, then MISSING, then NULL; in
OR, TRUE dominates, then NULL, then MISSING.  NOT and XOR propagate NULL and MISSING, MISSING first.
A filter may therefore skip the right operand once the left one is FALSE (AND) or TRUE (OR).
"""

from __future__ import annotations

from edge_twisted.documents.values import MISSING, Operand


def logical_and(left: Operand, right: Operand) -> Operand:
    """Conjunction: TRUE, FALSE, NULL or MISSING, whatever the operands are."""
    if left is False or right is False:
        return False
    if left is True:
        return right if right is True or right is None else MISSING
    if left is None and (right is True or right is None):
        return None
    return MISSING


def logical_or(left: Operand, right: Operand) -> Operand:
    """Disjunction: TRUE, FALSE, NULL or MISSING, whatever the operands are."""
    if left is True or right is True:
        return True
    if left is None or right is None:
        return None
    return False if left is False and right is False else MISSING


def logical_xor(left: Operand, right: Operand) -> Operand:
    """Exclusive disjunction; MISSING if one operand is, else NULL if one is."""
    if left is True or left is False:
        if right is True or right is False:
            return left is not right
        return None if right is None else MISSING
    if left is None and (right is None or right is True or right is False):
        return None
    return MISSING


def logical_not(value: Operand) -> Operand:
    """Negation; NULL and MISSING stay what they are."""
    if value is True:
        return False
    if value is False:
        return True
    return None if value is None else MISSING

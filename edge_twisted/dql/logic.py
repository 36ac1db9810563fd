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
    """
    Return ``left AND right`` in four-valued logic; what is no boolean counts as MISSING.

    FALSE if an operand is FALSE, TRUE if both are TRUE, NULL if one is NULL and the other NULL or
    TRUE; else MISSING.
    """
    if left is False or right is False:
        return False
    if left is True:
        return right if right is True or right is None else MISSING
    if left is None and (right is True or right is None):
        return None
    return MISSING


def logical_or(left: Operand, right: Operand) -> Operand:
    """
    Return ``left OR right`` in four-valued logic; what is no boolean counts as MISSING.

    TRUE if an operand is TRUE, else NULL if one is NULL; FALSE if both are; else MISSING.
    """
    if left is True or right is True:
        return True
    if left is None or right is None:
        return None
    return False if left is False and right is False else MISSING


def logical_xor(left: Operand, right: Operand) -> Operand:
    """
    Return ``left XOR right``: whether one operand alone is TRUE.

    MISSING if an operand is MISSING or no boolean, else NULL if one is NULL.
    """
    if left is True or left is False:
        if right is True or right is False:
            return left is not right
        return None if right is None else MISSING
    if left is None and (right is None or right is True or right is False):
        return None
    return MISSING


def logical_not(value: Operand) -> Operand:
    """Return ``NOT value``; NULL stays NULL, and what is no boolean is MISSING."""
    if value is True:
        return False
    if value is False:
        return True
    return None if value is None else MISSING

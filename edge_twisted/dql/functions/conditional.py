# SPDX-License-Identifier: Apache-2.0
"""
Functions that choose among their arguments, testing for NULL and MISSING.

All arguments are evaluated, chosen or not.  As expressions have no effects, this matters only if
the evaluation of an argument fails.
"""

from __future__ import annotations

from edge_twisted.documents.values import MISSING, Operand
from edge_twisted.dql.operators.comparison import equal


def coalesce(*values: Operand) -> Operand:
    """Return the first value that is neither NULL nor MISSING, or NULL."""
    for value in values:
        if value is not None and value is not MISSING:
            return value
    return None


def nvl(value: Operand, second: Operand, *third: Operand) -> Operand:
    """
    Return ``value``, or ``second`` if ``value`` is absent: NULL or MISSING.

    With three arguments, return ``second`` if ``value`` is present, else the third.
    """
    absent = value is None or value is MISSING
    if third:
        return third[0] if absent else second
    return second if absent else value


def ifmissing(*values: Operand) -> Operand:
    """Return the first value that is not MISSING; it may be NULL."""
    for value in values:
        if value is not MISSING:
            return value
    return MISSING


def ifnull(*values: Operand) -> Operand:
    """Return the first value that is not NULL; it may be MISSING."""
    for value in values:
        if value is not None:
            return value
    return None


def ismissing(value: Operand) -> Operand:
    """Return whether ``value`` is MISSING."""
    return value is MISSING


def isnull(value: Operand) -> Operand:
    """Return whether ``value`` is NULL; MISSING is not."""
    return value is None


def ismissingornull(value: Operand) -> Operand:
    """Return whether ``value`` is NULL or MISSING."""
    return value is None or value is MISSING


def nullif(value: Operand, other: Operand) -> Operand:
    """Return NULL if the two are equal, else ``value``."""
    return None if equal(value, other) is True else value


def missingif(value: Operand, other: Operand) -> Operand:
    """Return MISSING if the two are equal, else ``value``."""
    return MISSING if equal(value, other) is True else value


def decode(value: Operand, *choices: Operand) -> Operand:
    """
    Return the result that follows the first candidate equal to ``value``.

    ``choices`` are pairs of candidate and result, perhaps followed by a default, else NULL, which
    is returned if no candidate is equal.  NULL equals nothing, not even NULL.
    """
    for index in range(0, len(choices) - 1, 2):
        if equal(value, choices[index]) is True:
            return choices[index + 1]
    return choices[-1] if len(choices) % 2 else None

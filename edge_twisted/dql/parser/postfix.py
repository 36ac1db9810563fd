# SPDX-License-Identifier: Apache-2.0
"""
Operators that are more than a symbol between two operands: IS, IN, BETWEEN, LIKE and so on.

Each rule begins at its keyword, or at the NOT before it, with the left operand already read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

from edge_twisted.dql.parser.cursor import Cursor
from edge_twisted.dql.parser.prefix import array
from edge_twisted.dql.syntax import (
    Absence,
    Between,
    Binary,
    BinaryOperator,
    Expression,
    Is,
    Like,
    PatternKind,
    Unary,
    UnaryOperator,
)

#: A cursor, the left operand and its offset, and the precedence that right operands must exceed.
Postfix: TypeAlias = Callable[[Cursor, Expression, int, int], Expression]

_ABSENCES: Final = {
    "NULL": Absence.NULL,
    "UNKNOWN": Absence.NULL,
    "MISSING": Absence.MISSING,
}


def absence_test(cursor: Cursor, operand: Expression, start: int, precedence: int) -> Expression:
    """
    Read ``IS [NOT] NULL|UNKNOWN|MISSING`` after an operand that has been read.

    :param start: the offset at which the operand begins.
    :raises DqlError: the tokens are no such test.
    """
    cursor.expect("IS")
    negated = cursor.accept("NOT")
    absence = _ABSENCES.get(cursor.word)
    if absence is None:
        raise cursor.unexpected_error("NULL, UNKNOWN or MISSING after IS")
    cursor.advance()
    return _negate(cursor, start, negated, Is(operand, absence, span=cursor.since(start)))


def membership(cursor: Cursor, operand: Expression, start: int, precedence: int) -> Expression:
    """
    Read ``[NOT] IN (a, b)`` or ``[NOT] IN array`` after an operand that has been read.

    :param start: the offset at which the operand begins.
    :raises DqlError: the tokens are no such test.
    """
    negated = cursor.accept("NOT")
    cursor.expect("IN")
    elements = array("(", ")", cursor) if cursor.word == "(" else cursor.climb(cursor, precedence)
    node = Binary(BinaryOperator.IN, operand, elements, span=cursor.since(start))
    return _negate(cursor, start, negated, node)


def between(cursor: Cursor, operand: Expression, start: int, precedence: int) -> Expression:
    """
    Read ``[NOT] BETWEEN low AND high`` after an operand that has been read.

    :param start: the offset at which the operand begins.
    :raises DqlError: the tokens are no such test.
    """
    negated = cursor.accept("NOT")
    cursor.expect("BETWEEN")
    low = cursor.climb(cursor, precedence)
    cursor.expect("AND")
    high = cursor.climb(cursor, precedence)
    node = Between(operand, low, high, span=cursor.since(start))
    return _negate(cursor, start, negated, node)


def like(cursor: Cursor, operand: Expression, start: int, precedence: int) -> Expression:
    """
    Read ``[NOT] LIKE|ILIKE|SIMILAR TO pattern [ESCAPE escape]`` after its operand.

    :param start: the offset at which the operand, which has been read, begins.
    :raises DqlError: the tokens are no such test.
    """
    negated = cursor.accept("NOT")
    kind = PatternKind.SIMILAR_TO if cursor.word == "SIMILAR" else PatternKind(cursor.word)
    cursor.advance()
    if kind is PatternKind.SIMILAR_TO:
        cursor.expect("TO")
    pattern = cursor.climb(cursor, precedence)
    escape = cursor.climb(cursor, precedence) if cursor.accept("ESCAPE") else None
    node = Like(kind, operand, pattern, escape, span=cursor.since(start))
    return _negate(cursor, start, negated, node)


def _negate(cursor: Cursor, start: int, negated: bool, node: Expression) -> Expression:
    if not negated:
        return node
    # One construct in the text, two nodes in the tree.
    cursor.operators += 1
    return Unary(UnaryOperator.NOT, node, span=node.span)

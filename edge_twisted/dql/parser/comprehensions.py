# SPDX-License-Identifier: Apache-2.0
"""CASE, and the forms that bind a variable: ANY, EVERY, ARRAY, OBJECT."""

from __future__ import annotations

from edge_twisted.dql.parser.cursor import Cursor
from edge_twisted.dql.syntax import (
    ArrayComprehension,
    Binding,
    Case,
    Expression,
    ObjectComprehension,
    QuantifiedExpression,
    Quantifier,
    When,
)


def case(cursor: Cursor) -> Expression:
    """
    Read ``CASE [operand] WHEN a THEN b ... [ELSE c] END``.

    :raises DqlError: the tokens are no such expression.
    """
    start = cursor.start
    cursor.expect("CASE")
    operand = None if cursor.word == "WHEN" else cursor.climb(cursor, 0)
    branches: list[When] = []
    while not branches or cursor.word == "WHEN":
        branch_start = cursor.start
        cursor.expect("WHEN")
        condition = cursor.climb(cursor, 0)
        cursor.expect("THEN")
        result = cursor.climb(cursor, 0)
        branches.append(When(condition, result, span=cursor.since(branch_start)))
    otherwise = cursor.climb(cursor, 0) if cursor.accept("ELSE") else None
    cursor.expect("END")
    return Case(operand, tuple(branches), otherwise, span=cursor.since(start))


def quantifier(cursor: Cursor) -> Expression:
    """
    Read ``ANY|EVERY|ANY AND EVERY binding SATISFIES condition END``.

    :raises DqlError: the tokens are no such expression.
    """
    start = cursor.start
    quantifier = Quantifier(cursor.word)
    cursor.advance()
    if quantifier is Quantifier.ANY and cursor.accept("AND"):
        cursor.expect("EVERY")
        quantifier = Quantifier.ANY_AND_EVERY
    binding = _binding(cursor)
    cursor.expect("SATISFIES")
    condition = cursor.climb(cursor, 0)
    cursor.expect("END")
    return QuantifiedExpression(quantifier, binding, condition, span=cursor.since(start))


def array_comprehension(cursor: Cursor) -> Expression:
    """
    Read ``ARRAY element FOR binding [WHEN condition] END``.

    :raises DqlError: the tokens are no such expression.
    """
    start = cursor.start
    cursor.expect("ARRAY")
    element = cursor.climb(cursor, 0)
    binding, condition = _range(cursor)
    return ArrayComprehension(element, binding, condition, span=cursor.since(start))


def object_comprehension(cursor: Cursor) -> Expression:
    """
    Read ``OBJECT key : value FOR binding [WHEN condition] END``.

    :raises DqlError: the tokens are no such expression.
    """
    start = cursor.start
    cursor.expect("OBJECT")
    key = cursor.climb(cursor, 0)
    cursor.expect(":")
    value = cursor.climb(cursor, 0)
    binding, condition = _range(cursor)
    return ObjectComprehension(key, value, binding, condition, span=cursor.since(start))


def _range(cursor: Cursor) -> tuple[Binding, Expression | None]:
    cursor.expect("FOR")
    binding = _binding(cursor)
    condition = cursor.climb(cursor, 0) if cursor.accept("WHEN") else None
    cursor.expect("END")
    return binding, condition


def _binding(cursor: Cursor) -> Binding:
    """``[index:]name IN|WITHIN source``."""
    start = cursor.start
    index: str | None = None
    name = cursor.identifier("the name of a variable")
    if cursor.accept(":"):
        index, name = name, cursor.identifier("the name of a variable")
    recursive = cursor.accept("WITHIN")
    if not recursive:
        cursor.expect("IN")
    source = cursor.climb(cursor, 0)
    return Binding(index, name, source, recursive, span=cursor.since(start))

# SPDX-License-Identifier: Apache-2.0
"""
Formatting of expressions.

Each rule returns the text of a node and its precedence; the node is put in parentheses where its
precedence is lower than its position requires.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from edge_twisted.dql.formatter import tokens
from edge_twisted.dql.parser.expressions import INFIXES
from edge_twisted.dql.syntax import (
    And,
    ArrayComprehension,
    ArrayLiteral,
    Between,
    Binary,
    BinaryOperator,
    Binding,
    Call,
    Case,
    Cast,
    Expression,
    Is,
    Like,
    Literal,
    MissingLiteral,
    ObjectComprehension,
    ObjectLiteral,
    Or,
    Parameter,
    Path,
    QuantifiedExpression,
    Unary,
    UnaryOperator,
    spine,
)

#: The precedence of expressions that never need parentheses.
_PRIMARY: Final = 100
_NEGATE: Final = 45
_NOT: Final = 15

_Formatted = tuple[str, int]


def expression(node: Expression, floor: int = 0) -> str:
    """
    Return the text of an expression.

    It is in parentheses if it binds no tighter than the precedence ``floor``.
    """
    text, precedence = _RULES[type(node)](node)
    return text if precedence > floor else f"({text})"


def expressions(nodes: Iterable[Expression]) -> str:
    """Return the texts of expressions with commas between them."""
    return ", ".join(map(expression, nodes))


def _literal(node: Literal) -> _Formatted:
    return tokens.literal(node.value), _PRIMARY


def _missing(node: MissingLiteral) -> _Formatted:
    return "MISSING", _PRIMARY


def _parameter(node: Parameter) -> _Formatted:
    return f":{node.name}", _PRIMARY


def _path(node: Path) -> _Formatted:
    return tokens.path(node.names), _PRIMARY


def _call(node: Call) -> _Formatted:
    arguments = "*" if node.star else expressions(node.arguments)
    distinct = "DISTINCT " if node.distinct else ""
    return f"{tokens.function_name(node.name)}({distinct}{arguments})", _PRIMARY


def _cast(node: Cast) -> _Formatted:
    return f"cast({expression(node.operand)}, {tokens.string(node.type_name)})", _PRIMARY


def _unary(node: Unary) -> _Formatted:
    operand = node.operand
    if node.operator is UnaryOperator.NEGATE:
        # A sign right before a number would be read as a part of it.
        floor = _PRIMARY if isinstance(operand, Literal) else _NEGATE
        return f"-{expression(operand, floor)}", _NEGATE
    if node.operator is UnaryOperator.PLUS:
        return f"+{expression(operand, _NEGATE)}", _NEGATE
    if isinstance(operand, Is):
        return _is(operand, "IS NOT")
    if isinstance(operand, Between):
        return _between(operand, "NOT BETWEEN")
    if isinstance(operand, Like):
        return _like(operand, f"NOT {operand.kind.value}")
    if isinstance(operand, Binary) and operand.operator is BinaryOperator.IN:
        return _binary(operand, "NOT IN")
    return f"NOT {expression(operand, _NOT - 1)}", _NOT


def _format_chain(node: Binary) -> _Formatted:
    """Return a chain of operators, with parentheses where one binds looser than the next."""
    chain = spine(node)
    parts: list[str] = []
    opened = 0
    bound: int | None = None
    for each in chain:
        word = each.operator.value
        precedence = INFIXES[word].precedence
        if bound is None:
            parts.append(expression(each.left, precedence - 1))
        elif bound < precedence:
            opened += 1
            parts.append(")")
        parts.append(f" {word} {expression(each.right, precedence)}")
        bound = precedence
    assert bound is not None
    return "(" * opened + "".join(parts), bound


def _binary(node: Binary, word: str | None = None) -> _Formatted:
    if node.operator is not BinaryOperator.IN:
        return _format_chain(node)
    precedence = INFIXES[node.operator.value].precedence
    left = expression(node.left, precedence - 1)
    right = expression(node.right, precedence)
    return f"{left} {word or node.operator.value} {right}", precedence


def _and(node: And) -> _Formatted:
    return _chain("AND", node.operands)


def _or(node: Or) -> _Formatted:
    return _chain("OR", node.operands)


def _chain(word: str, operands: tuple[Expression, ...]) -> _Formatted:
    precedence = INFIXES[word].precedence
    return f" {word} ".join(expression(each, precedence) for each in operands), precedence


def _between(node: Between, word: str = "BETWEEN") -> _Formatted:
    precedence = INFIXES["BETWEEN"].precedence
    operand = expression(node.operand, precedence - 1)
    low, high = expression(node.low, precedence), expression(node.high, precedence)
    return f"{operand} {word} {low} AND {high}", precedence


def _like(node: Like, word: str | None = None) -> _Formatted:
    precedence = INFIXES["LIKE"].precedence
    operand = expression(node.operand, precedence - 1)
    text = f"{operand} {word or node.kind.value} {expression(node.pattern, precedence)}"
    if node.escape is not None:
        text += f" ESCAPE {expression(node.escape, precedence)}"
    return text, precedence


def _is(node: Is, word: str = "IS") -> _Formatted:
    precedence = INFIXES["IS"].precedence
    return f"{expression(node.operand, precedence - 1)} {word} {node.absence.value}", precedence


def _case(node: Case) -> _Formatted:
    parts = ["CASE"]
    if node.operand is not None:
        parts.append(expression(node.operand))
    parts.extend(
        f"WHEN {expression(branch.condition)} THEN {expression(branch.result)}"
        for branch in node.branches
    )
    if node.otherwise is not None:
        parts.append(f"ELSE {expression(node.otherwise)}")
    return " ".join(parts) + " END", _PRIMARY


def _array(node: ArrayLiteral) -> _Formatted:
    return f"[{expressions(node.elements)}]", _PRIMARY


def _object(node: ObjectLiteral) -> _Formatted:
    pairs = [f"{expression(pair.key)}: {expression(pair.value)}" for pair in node.pairs]
    return "{" + ", ".join(pairs) + "}", _PRIMARY


def _quantifier(node: QuantifiedExpression) -> _Formatted:
    head = f"{node.quantifier.value} {_binding(node.binding)}"
    return f"{head} SATISFIES {expression(node.condition)} END", _PRIMARY


def _array_range(node: ArrayComprehension) -> _Formatted:
    return f"ARRAY {expression(node.element)}{_range(node)}", _PRIMARY


def _object_range(node: ObjectComprehension) -> _Formatted:
    return f"OBJECT {expression(node.key)} : {expression(node.value)}{_range(node)}", _PRIMARY


def _range(node: ArrayComprehension | ObjectComprehension) -> str:
    condition = "" if node.condition is None else f" WHEN {expression(node.condition)}"
    return f" FOR {_binding(node.binding)}{condition} END"


def _binding(node: Binding) -> str:
    index = "" if node.index is None else f"{tokens.name(node.index)}:"
    word = "WITHIN" if node.recursive else "IN"
    return f"{index}{tokens.name(node.name)} {word} {expression(node.source)}"


# Each rule takes its own kind of node, which the type of the table cannot say.
_RULES: Final[dict[type[Expression], Callable[..., _Formatted]]] = {
    And: _and,
    ArrayLiteral: _array,
    ArrayComprehension: _array_range,
    Between: _between,
    Binary: _binary,
    Call: _call,
    Case: _case,
    Cast: _cast,
    Is: _is,
    Like: _like,
    Literal: _literal,
    MissingLiteral: _missing,
    ObjectLiteral: _object,
    ObjectComprehension: _object_range,
    Or: _or,
    Parameter: _parameter,
    Path: _path,
    QuantifiedExpression: _quantifier,
    Unary: _unary,
}

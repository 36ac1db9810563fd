# SPDX-License-Identifier: Apache-2.0
"""
Expressions by precedence climbing.

The usual form of the algorithm recurses for each right operand.  Here, operators that wait for
their right operand are kept in a list, so a level of nesting takes a fixed number of stack frames
and a chain of operators takes none, whatever its length.
"""

from __future__ import annotations

from typing import Final

from attrs import define, frozen

from edge_twisted.dql.parser.cursor import NESTING_LIMIT, Cursor
from edge_twisted.dql.parser.postfix import Postfix, absence_test, between, like, membership
from edge_twisted.dql.parser.prefix import PREFIXES, literal, operand
from edge_twisted.dql.syntax import And, Binary, BinaryOperator, Expression, Or
from edge_twisted.dql.tokens import NUMBER, STRING


@frozen
class Infix:
    """
    An operator that follows an operand; a higher ``precedence`` binds tighter.

    Exactly one of the other fields is set: ``operator`` makes a `Binary` of each pair, ``chain``
    one node of any number of operands, ``postfix`` is a rule of its own.
    """

    precedence: int
    operator: BinaryOperator | None = None
    chain: type[And] | type[Or] | None = None
    postfix: Postfix | None = None


INFIXES: Final[dict[str, Infix]] = {
    "*": Infix(40, BinaryOperator.MULTIPLY),
    "/": Infix(40, BinaryOperator.DIVIDE),
    "%": Infix(40, BinaryOperator.MODULO),
    "+": Infix(30, BinaryOperator.ADD),
    "-": Infix(30, BinaryOperator.SUBTRACT),
    "||": Infix(30, BinaryOperator.CONCATENATE),
    ">>": Infix(22, BinaryOperator.SHIFT_RIGHT),
    "<<": Infix(22, BinaryOperator.SHIFT_LEFT),
    "=": Infix(20, BinaryOperator.EQUAL),
    "==": Infix(20, BinaryOperator.EQUAL),
    "!=": Infix(20, BinaryOperator.NOT_EQUAL),
    "<>": Infix(20, BinaryOperator.NOT_EQUAL),
    "<": Infix(20, BinaryOperator.LESS),
    "<=": Infix(20, BinaryOperator.LESS_OR_EQUAL),
    ">": Infix(20, BinaryOperator.GREATER),
    ">=": Infix(20, BinaryOperator.GREATER_OR_EQUAL),
    "BETWEEN": Infix(20, postfix=between),
    "IN": Infix(20, postfix=membership),
    "LIKE": Infix(19, postfix=like),
    "ILIKE": Infix(19, postfix=like),
    "SIMILAR": Infix(19, postfix=like),
    "IS": Infix(17, postfix=absence_test),
    "AND": Infix(10, chain=And),
    "XOR": Infix(7, BinaryOperator.XOR),
    "OR": Infix(5, chain=Or),
}
#: What NOT may precede when it follows an operand.
_NEGATABLE: Final = frozenset({"BETWEEN", "IN", "LIKE", "ILIKE", "SIMILAR"})

#: A literal before one of these is a whole expression, the shortest way through a long list.
_LITERALS: Final = frozenset({NUMBER, STRING})
_CLOSERS: Final = frozenset({",", ")", "]", "}"})


@define(eq=False)
class _Operands:
    """Operands that no operator has taken yet, and operators whose last operand is being read."""

    nodes: list[Expression]
    starts: list[int]
    #: How often an operator was applied to what stands here: no more than the height of its tree.
    heights: list[int]
    waiting: list[Infix]
    #: How many operands each of these has before its last: more than one only in a chain.
    counts: list[int]


def climb(cursor: Cursor, floor: int = 0) -> Expression:
    """
    Read an expression of the operators with a precedence above ``floor``.

    The algorithm is precedence climbing; 0 reads a whole expression.

    :raises DqlError: there is no expression at the cursor, or it is malformed.
    """
    word = cursor.word
    if word in _LITERALS and cursor.tokens.words[cursor.index + 1] in _CLOSERS:
        return literal(cursor)
    # `Cursor.enter`, written out.
    cursor.nesting += 1
    if cursor.nesting > cursor.deepest:
        cursor.deepen()
    start = cursor.start
    first = PREFIXES.get(word, operand)(cursor)
    word = cursor.word
    infix = INFIXES.get(word) if word != "NOT" else _infix(cursor)
    if infix is None or infix.precedence <= floor:
        cursor.nesting -= 1
        return first
    operands = _Operands([first], [start], [0], [], [])
    while infix is not None and infix.precedence > floor:
        if operands.waiting:
            _apply_before(cursor, infix, operands)
        if infix.postfix is not None:
            _apply_postfix(cursor, infix, infix.postfix, operands)
        else:
            _wait(cursor, infix, operands)
        word = cursor.word
        infix = INFIXES.get(word) if word != "NOT" else _infix(cursor)
    while operands.waiting:
        _apply(cursor, operands)
    cursor.nesting -= 1
    return operands.nodes[0]


def _infix(cursor: Cursor) -> Infix | None:
    """Return the operator at hand; NOT counts as what it negates."""
    word = cursor.word
    if word != "NOT":
        return INFIXES.get(word)
    negated = cursor.peek()
    if negated not in _NEGATABLE:
        cursor.advance()
        raise cursor.unexpected_error("IN, BETWEEN, LIKE, ILIKE or SIMILAR TO after NOT")
    return INFIXES[negated]


def _apply_before(cursor: Cursor, infix: Infix, operands: _Operands) -> None:
    """Apply the waiting operators that take the operand before ``infix``."""
    waiting, precedence = operands.waiting, infix.precedence
    while waiting:
        last = waiting[-1]
        if last.precedence < precedence or (last is infix and infix.chain is not None):
            return
        _apply(cursor, operands)


def _wait(cursor: Cursor, infix: Infix, operands: _Operands) -> None:
    """Let an operator wait, or count it if it goes on with the chain; read its operand."""
    waiting = operands.waiting
    if waiting and waiting[-1] is infix:
        operands.counts[-1] += 1
    else:
        waiting.append(infix)
        operands.counts.append(1)
    cursor.go(cursor.index + 1)
    operands.starts.append(cursor.start)
    operands.heights.append(0)
    operands.nodes.append(PREFIXES.get(cursor.word, operand)(cursor))


def _apply(cursor: Cursor, operands: _Operands) -> None:
    """Replace the last operands by a node of the last operator."""
    infix, count = operands.waiting.pop(), operands.counts.pop()
    nodes, starts, heights = operands.nodes, operands.starts, operands.heights
    if infix.operator is not None:
        right = nodes.pop()
        left = nodes[-1]
        del starts[-1]
        # A chain that goes on becomes no higher.
        goes_on = isinstance(left, Binary) and left.operator is not BinaryOperator.IN
        right_height = heights.pop()
        heights[-1] = max(heights[-1] - goes_on, right_height)
        nodes[-1] = Binary(infix.operator, left, right, span=(starts[-1], cursor.end))
    else:
        assert infix.chain is not None
        first = len(nodes) - count - 1
        span = starts[first], cursor.end
        nodes[first:] = [infix.chain(_flat(infix.chain, nodes[first:]), span=span)]
        del starts[first + 1 :], heights[first + 1 :]
    _grow(cursor, operands)


def _apply_postfix(cursor: Cursor, infix: Infix, rule: Postfix, operands: _Operands) -> None:
    """Replace the last operand by the node that a postfix rule makes of it."""
    left, start = operands.nodes[-1], operands.starts[-1]
    operands.nodes[-1] = rule(cursor, left, start, infix.precedence)
    _grow(cursor, operands)


def _grow(cursor: Cursor, operands: _Operands) -> None:
    """Count an operator that was applied to the last operand."""
    cursor.operators += 1
    operands.heights[-1] += 1
    if operands.heights[-1] > NESTING_LIMIT:
        raise cursor.too_deep()


def _flat(chain: type[And] | type[Or], operands: list[Expression]) -> tuple[Expression, ...]:
    """Return ``operands`` with those of a parenthesised chain of the same kind in its place."""
    flat: list[Expression] = []
    for each in operands:
        if isinstance(each, chain):
            flat.extend(each.operands)
        else:
            flat.append(each)
    return tuple(flat)

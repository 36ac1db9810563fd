# SPDX-License-Identifier: Apache-2.0
"""The beginnings of expressions: literals, parameters, parentheses, signs, names."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final, TypeAlias

from edge_twisted.dql.literals import negate
from edge_twisted.dql.parser.calls import SPECIAL_CALLS, call
from edge_twisted.dql.parser.comprehensions import (
    array_comprehension,
    case,
    object_comprehension,
    quantifier,
)
from edge_twisted.dql.parser.cursor import PARAMETER_LIMIT, Cursor
from edge_twisted.dql.syntax import (
    ArrayLiteral,
    Expression,
    Literal,
    MissingLiteral,
    ObjectLiteral,
    ObjectPair,
    Parameter,
    Path,
    Unary,
    UnaryOperator,
)
from edge_twisted.dql.tokens import NAME, NUMBER, RESERVED, STRING

Prefix: TypeAlias = Callable[[Cursor], Expression]

#: What the operators within the operand of NOT must exceed: one less than NOT's own precedence.
_BELOW_NOT: Final = 14
#: A sign binds tighter than any operator between operands.
_ABOVE_ALL: Final = 45


def literal(cursor: Cursor) -> Expression:
    """Read a number or a string, which the current token must be."""
    index = cursor.index
    start = cursor.start
    cursor.go(index + 1)
    return Literal(cursor.tokens.values[index], span=(start, cursor.end))


def _keyword(value: bool | None) -> Prefix:
    def read(cursor: Cursor) -> Expression:
        node = Literal(value, span=cursor.span)
        cursor.advance()
        return node

    return read


def _missing(cursor: Cursor) -> Expression:
    node = MissingLiteral(span=cursor.span)
    cursor.advance()
    return node


def parameter(cursor: Cursor) -> Parameter:
    """
    Read ``:name``, where the name may be any word.

    :raises ParseError: no word follows the colon.
    """
    start = cursor.start
    cursor.expect(":")
    if not cursor.word.isidentifier():
        raise cursor.unexpected_error("the name of a parameter")
    index = cursor.index
    name = str(cursor.tokens.values[index])
    cursor.go(index + 1)
    span = start, cursor.end
    if name not in cursor.parameters:
        if len(cursor.parameters) == PARAMETER_LIMIT:
            raise cursor.error(f"more than {PARAMETER_LIMIT} parameters", span)
        cursor.parameters[name] = span
    return Parameter(name, span=span)


def _parentheses(cursor: Cursor) -> Expression:
    cursor.expect("(")
    inner = cursor.climb(cursor, 0)
    cursor.expect(")")
    return inner


def _not(cursor: Cursor) -> Expression:
    start = cursor.start
    cursor.expect("NOT")
    operand = cursor.climb(cursor, _BELOW_NOT)
    return Unary(UnaryOperator.NOT, operand, span=cursor.since(start))


def _minus(cursor: Cursor) -> Expression:
    """A sign; right before a number it is part of the number."""
    start = cursor.start
    cursor.expect("-")
    if cursor.word == NUMBER:
        assert not isinstance(cursor.value, str)
        value = negate(cursor.value, cursor.text)
        cursor.advance()
        return Literal(value, span=cursor.since(start))
    operand = cursor.climb(cursor, _ABOVE_ALL)
    return Unary(UnaryOperator.NEGATE, operand, span=cursor.since(start))


def _plus(cursor: Cursor) -> Expression:
    """A sign that changes no number; of anything else there is no positive."""
    start = cursor.start
    cursor.expect("+")
    operand = cursor.climb(cursor, _ABOVE_ALL)
    return Unary(UnaryOperator.PLUS, operand, span=cursor.since(start))


def array(opening: str, closing: str, cursor: Cursor) -> Expression:
    """
    Read an array literal: ``[a, b]``, or ``(a, b)`` after IN.

    :raises DqlError: the tokens are no such literal.
    """
    start = cursor.start
    cursor.expect(opening)
    elements: list[Expression] = []
    if cursor.word != closing:
        elements.append(cursor.climb(cursor, 0))
        while cursor.accept(","):
            elements.append(cursor.climb(cursor, 0))
    cursor.expect(closing)
    return ArrayLiteral(tuple(elements), span=cursor.since(start))


def _object(cursor: Cursor) -> Expression:
    start = cursor.start
    cursor.expect("{")
    pairs: list[ObjectPair] = []
    while cursor.word != "}" or pairs:
        pair_start = cursor.start
        key = cursor.climb(cursor, 0)
        cursor.expect(":")
        value = cursor.climb(cursor, 0)
        pairs.append(ObjectPair(key, value, span=cursor.since(pair_start)))
        if not cursor.accept(","):
            break
    cursor.expect("}")
    return ObjectLiteral(tuple(pairs), span=cursor.since(start))


def _subquery(cursor: Cursor) -> Expression:
    raise cursor.unsupported_error("a subquery is")


def operand(cursor: Cursor) -> Expression:
    """
    Read a path, or the call of a function: what begins with none of `PREFIXES`.

    :raises DqlError: the tokens are neither.
    """
    if cursor.tokens.words[cursor.index + 1] != "(":
        return path(cursor, "expression")
    if not cursor.at_identifier:
        raise cursor.unexpected_error("expression")
    return SPECIAL_CALLS.get(cursor.word, call)(cursor)


def path(cursor: Cursor, what: str = "identifier") -> Path:
    """
    Read a path ``name.name``; after a dot too, reserved words need backticks.

    :param what: what messages call the path.
    :raises ParseError: there is no name at the cursor, or after a dot.
    """
    start, index = cursor.start, cursor.index
    words, values = cursor.tokens.words, cursor.tokens.values
    names: list[str] = []
    while True:
        # `Cursor.identifier`, written out: most of what a statement holds are names.
        word = words[index]
        if word != NAME and (word in RESERVED or not word.isidentifier()):
            if names:
                cursor.go(index)
            raise cursor.unexpected_error("identifier" if names else what)
        names.append(str(values[index]))
        index += 1
        if words[index] != ".":
            break
        index += 1
    cursor.go(index)
    if cursor.word == "[":
        raise cursor.unsupported_error("an element of an array in a path is")
    return Path(tuple(names), span=(start, cursor.end))


#: By the word that an expression begins with.
PREFIXES: Final[dict[str, Prefix]] = {
    "(": _parentheses,
    "[": partial(array, "[", "]"),
    "{": _object,
    ":": parameter,
    "-": _minus,
    "+": _plus,
    "NOT": _not,
    "TRUE": _keyword(True),
    "FALSE": _keyword(False),
    "NULL": _keyword(None),
    "MISSING": _missing,
    "CASE": case,
    "ANY": quantifier,
    "EVERY": quantifier,
    "ARRAY": array_comprehension,
    "OBJECT": object_comprehension,
    "SELECT": _subquery,
    NUMBER: literal,
    STRING: literal,
}

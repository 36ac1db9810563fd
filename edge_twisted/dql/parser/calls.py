# SPDX-License-Identifier: Apache-2.0
"""Function calls, and the three functions with a syntax of their own: CAST, TRIM, POSITION."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from edge_twisted.dql.parser.cursor import Cursor
from edge_twisted.dql.syntax import Call, Cast, Expression

#: What the operators of an operand that stands before IN must exceed.
_ABOVE_IN: Final = 20

#: The function that TRIM with a side is.
_TRIMS: Final = {"BOTH": "trim", "LEADING": "ltrim", "TRAILING": "rtrim"}
#: After one of these words TRIM's side is a field with an unlucky name.
_NO_SIDE: Final = frozenset({")", ",", ".", "("})


def call(cursor: Cursor) -> Expression:
    """
    Read the call of a function, ``name([DISTINCT] a, b)`` or ``name(*)``.

    :raises DqlError: the tokens are no such call.
    """
    start = cursor.start
    name = cursor.identifier().lower()
    cursor.expect("(")
    arguments: list[Expression] = []
    distinct = cursor.accept("DISTINCT")
    star = cursor.word == "*"
    if star:
        cursor.advance()
    elif cursor.word != ")" or distinct:
        arguments.append(cursor.climb(cursor, 0))
        while cursor.accept(","):
            arguments.append(cursor.climb(cursor, 0))
    cursor.expect(")")
    _refuse_window(cursor)
    return Call(name, tuple(arguments), distinct, star, span=cursor.since(start))


def _refuse_window(cursor: Cursor) -> None:
    if cursor.word == "OVER":
        raise cursor.unsupported_error("a window function is")
    if cursor.word == "FILTER" and cursor.peek() == "(":
        raise cursor.unsupported_error("FILTER of an aggregate is")


def _cast(cursor: Cursor) -> Expression:
    """``CAST(expression AS type)`` or ``CAST(expression, 'type')``."""
    start = cursor.start
    cursor.advance()
    cursor.expect("(")
    operand = cursor.climb(cursor, 0)
    if cursor.accept(","):
        type_name = cursor.string("the name of a type as a string")
    else:
        cursor.expect("AS")
        if not cursor.word.isidentifier():
            raise cursor.unexpected_error("the name of a type")
        type_name = str(cursor.value)
        cursor.advance()
    cursor.expect(")")
    return Cast(operand, type_name.lower(), span=cursor.since(start))


def _trim(cursor: Cursor) -> Expression:
    """``TRIM([BOTH|LEADING|TRAILING] [characters] FROM text)``, or a plain call."""
    if cursor.peek(2) == ")":
        return call(cursor)
    start = cursor.start
    cursor.advance()
    cursor.expect("(")
    name = _TRIMS.get(cursor.word) if cursor.peek() not in _NO_SIDE else None
    if name is not None:
        cursor.advance()
    characters = None if name and cursor.word == "FROM" else cursor.climb(cursor, 0)
    if name is None and characters is not None and cursor.word != "FROM":
        return _plain(cursor, "trim", characters, start)
    cursor.expect("FROM")
    text = cursor.climb(cursor, 0)
    cursor.expect(")")
    arguments = (text,) if characters is None else (text, characters)
    return Call(name or "trim", arguments, span=cursor.since(start))


def _position(cursor: Cursor) -> Expression:
    """``POSITION(part IN text)``."""
    start = cursor.start
    cursor.advance()
    cursor.expect("(")
    part = cursor.climb(cursor, _ABOVE_IN)
    if cursor.word != "IN":
        return _plain(cursor, "position", part, start)
    cursor.advance()
    text = cursor.climb(cursor, 0)
    cursor.expect(")")
    return Call("pos", (text, part), span=cursor.since(start))


def _plain(cursor: Cursor, name: str, first: Expression, start: int) -> Expression:
    """Read the rest of a call whose first argument turned out to be an ordinary one."""
    arguments = [first]
    while cursor.accept(","):
        arguments.append(cursor.climb(cursor, 0))
    cursor.expect(")")
    return Call(name, tuple(arguments), span=cursor.since(start))


#: By the bare name of the function.
SPECIAL_CALLS: Final[dict[str, Callable[[Cursor], Expression]]] = {
    "CAST": _cast,
    "TRIM": _trim,
    "POSITION": _position,
}

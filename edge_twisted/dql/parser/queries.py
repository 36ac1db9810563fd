# SPDX-License-Identifier: Apache-2.0
"""SELECT, and the clauses that it shares with mutations."""

from __future__ import annotations

from typing import Final

from edge_twisted.dql.parser.cursor import Cursor
from edge_twisted.dql.parser.prefix import parameter, path
from edge_twisted.dql.parser.terms import directives, joins, term
from edge_twisted.dql.syntax import (
    Expression,
    Literal,
    Omission,
    Projection,
    ResultExpression,
    Select,
    Selection,
    SortKey,
    UseDirectives,
    Wildcard,
)
from edge_twisted.dql.tokens import NAME, NEVER_A_BARE_ALIAS, NUMBER, RESERVED, STRING

_UNSUPPORTED_CLAUSES: Final = frozenset(
    {"UNION", "EXCEPT", "INTERSECT", "LET", "LETTING", "WINDOW", "QUALIFY", "UNNEST", "NEST"}
)

#: What asks for values instead of rows in other dialects, if an operand follows.
_VALUES: Final = frozenset({"VALUE", "RAW", "ELEMENT"})
_OPERANDS: Final = frozenset(
    {NAME, NUMBER, STRING, "{", "[", ":", "CASE", "ANY", "EVERY", "ARRAY", "OBJECT"}
    | {"TRUE", "FALSE", "NULL", "MISSING"}
)


def select(cursor: Cursor, outer: tuple[UseDirectives, ...]) -> Select:
    """
    Read a whole SELECT.

    :param outer: the directives that stand before the statement.
    :raises DqlError: the tokens are no such statement.
    """
    start = cursor.start
    cursor.expect("SELECT")
    given = outer + directives(cursor)
    distinct = cursor.accept("DISTINCT")
    projections = projection_list(cursor)
    source = term(cursor) if cursor.accept("FROM") else None
    joined = joins(cursor) if source is not None else ()
    tail_start = cursor.start
    where = _where(cursor)
    group_by = _group_by(cursor)
    having = cursor.climb(cursor, 0) if cursor.accept("HAVING") else None
    selection = _selection(cursor, where, tail_start)
    return Select(
        distinct=distinct,
        projections=projections,
        source=source,
        joins=joined,
        group_by=group_by,
        having=having,
        selection=selection,
        directives=given,
        span=cursor.since(start),
    )


def projection_list(cursor: Cursor) -> tuple[Projection, ...]:
    """
    Read the list after SELECT or RETURNING.

    :raises DqlError: the tokens are no such list.
    """
    _refuse_value(cursor)
    return tuple(cursor.read_list(_projection))


def _refuse_value(cursor: Cursor) -> None:
    """Refuse ``SELECT VALUE a``, which would be the field ``VALUE`` under the name ``a``."""
    if cursor.word not in _VALUES:
        return
    following = cursor.peek()
    is_name = following.isidentifier() and following not in NEVER_A_BARE_ALIAS
    if is_name or following in _OPERANDS:
        raise cursor.unsupported_error(
            f"SELECT {cursor.word} (leave {cursor.text} out for rows with a field each; "
            f"the field of that name is {cursor.text} AS name) is"
        )


def _projection(cursor: Cursor) -> Projection:
    start = cursor.start
    if cursor.accept("*"):
        return Wildcard(span=cursor.since(start))
    words, index = cursor.tokens.words, cursor.index
    if words[index + 1] == "." and words[index + 2] == "*" and cursor.at_identifier:
        name = cursor.identifier()
        cursor.expect_all(".", "*")
        return Wildcard(name, span=cursor.since(start))
    if cursor.word == "MISSING" and _names_follow(cursor):
        cursor.advance()
        return Omission(path(cursor), span=cursor.since(start))
    expression = cursor.climb(cursor, 0)
    return ResultExpression(expression, cursor.alias(), span=cursor.since(start))


def _names_follow(cursor: Cursor) -> bool:
    """Return whether the MISSING at hand is followed by the path to leave out."""
    word = cursor.peek()
    return word == NAME or (word.isidentifier() and word not in RESERVED)


def selection(cursor: Cursor) -> Selection:
    """
    Read ``[WHERE] [ORDER BY] [LIMIT] [OFFSET]``, the last three in any order.

    :raises DqlError: a clause is malformed, or comes twice.
    """
    start = cursor.start
    return _selection(cursor, _where(cursor), start)


def _where(cursor: Cursor) -> Expression | None:
    return cursor.climb(cursor, 0) if cursor.accept("WHERE") else None


def _group_by(cursor: Cursor) -> tuple[Expression, ...]:
    if not cursor.accept("GROUP"):
        return ()
    cursor.expect("BY")
    return tuple(cursor.read_expressions())


def _selection(cursor: Cursor, where: Expression | None, start: int) -> Selection:
    order_by: tuple[SortKey, ...] = ()
    limit: Expression | None = None
    offset: Expression | None = None
    while True:
        if cursor.word == "ORDER" and not order_by:
            order_by = _order_by(cursor)
        elif cursor.word == "LIMIT" and limit is None:
            limit = _bound(cursor, "LIMIT")
        elif cursor.word == "OFFSET" and offset is None:
            offset = _bound(cursor, "OFFSET")
        else:
            break
    if cursor.word in _UNSUPPORTED_CLAUSES:
        raise cursor.unsupported_error(f"{cursor.word} is")
    # Without a clause it stands at the end of what is before it, not at the next token.
    span = min(start, cursor.end), cursor.end
    return Selection(where, order_by, limit, offset, span=span)


def _order_by(cursor: Cursor) -> tuple[SortKey, ...]:
    cursor.expect_all("ORDER", "BY")
    return tuple(cursor.read_list(_sort_key))


def _sort_key(cursor: Cursor) -> SortKey:
    start = cursor.start
    expression = cursor.climb(cursor, 0)
    descending = cursor.accept("DESC")
    if not descending:
        cursor.accept("ASC")
    if cursor.word == "NULLS":
        raise cursor.unsupported_error("NULLS FIRST or LAST is")
    return SortKey(expression, descending, span=cursor.since(start))


def _bound(cursor: Cursor, clause: str) -> Expression:
    """The operand of LIMIT or OFFSET."""
    cursor.expect(clause)
    if cursor.word == ":":
        return parameter(cursor)
    if type(cursor.value) is not int:
        what = f"a non-negative 64-bit integer or a parameter after {clause}"
        raise cursor.unexpected_error(what)
    node = Literal(cursor.value, span=cursor.span)
    cursor.advance()
    return node

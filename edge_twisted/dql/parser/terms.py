# SPDX-License-Identifier: Apache-2.0
"""Terms of a statement: collections with their declarations, aliases, USE clauses and joins."""

from __future__ import annotations

from typing import Final

import orjson

from edge_twisted.dql.parser.cursor import NESTING_LIMIT, Cursor
from edge_twisted.dql.parser.prefix import path
from edge_twisted.dql.source import Span
from edge_twisted.dql.syntax import (
    CollectionRef,
    FieldDeclaration,
    FieldType,
    Join,
    JoinKind,
    Term,
    Use,
    UseDirectives,
    UseIdList,
    UseIds,
    UseIndex,
)

_JOIN_KINDS: Final = {
    "JOIN": JoinKind.INNER,
    "INNER": JoinKind.INNER,
    "LEFT": JoinKind.LEFT,
    "RIGHT": JoinKind.RIGHT,
}
_OPENERS: Final = frozenset("([{")
_CLOSERS: Final = frozenset(")]}")
_FIELD_TYPES: Final = {each.value: each for each in FieldType}


def collection(cursor: Cursor) -> CollectionRef:
    """
    Read ``[COLLECTION] [namespace:]name [(declarations)]``.

    :raises DqlError: the tokens are no such reference.
    """
    start = cursor.start
    keyword = cursor.accept("COLLECTION")
    namespace: str | None = None
    name = cursor.read_name("identifier")
    if cursor.accept(":"):
        namespace, name = name, cursor.read_name("identifier")
    declared = declarations(cursor) if keyword and cursor.word == "(" else ()
    return CollectionRef(namespace, name, declared, span=cursor.since(start))


def declarations(cursor: Cursor) -> tuple[FieldDeclaration, ...]:
    """
    Read ``(path TYPE, ...)``, where a MAP may have such a list of its own.

    :raises DqlError: the tokens are no such list.
    """
    cursor.enter()
    cursor.expect("(")
    found = [_declaration(cursor)]
    while cursor.accept(","):
        found.append(_declaration(cursor))
    cursor.expect(")")
    cursor.nesting -= 1
    return tuple(found)


def _declaration(cursor: Cursor) -> FieldDeclaration:
    start = cursor.start
    field = path(cursor)
    kind = _FIELD_TYPES.get(cursor.word)
    if kind is None:
        raise cursor.unexpected_error("a type: " + ", ".join(_FIELD_TYPES))
    cursor.advance()
    nested = declarations(cursor) if kind is FieldType.MAP and cursor.word == "(" else ()
    return FieldDeclaration(field, kind, nested, span=cursor.since(start))


def term(cursor: Cursor) -> Term:
    """
    Read a collection, its alias, and directives and USE clauses in any order after it.

    :raises DqlError: the tokens are no such term, or it is a subquery.
    """
    start = cursor.start
    if cursor.word == "(":
        raise cursor.unsupported_error(
            "a subquery is" if cursor.peek() == "SELECT" else "this source is"
        )
    reference = collection(cursor)
    uses: list[Use] = [*directives(cursor)]
    alias = cursor.alias()
    uses += directives(cursor)
    while cursor.word == "USE":
        uses.append(_use(cursor))
    return Term(reference, alias, tuple(uses), span=cursor.since(start))


def joins(cursor: Cursor) -> tuple[Join, ...]:
    """
    Read any number of joins: ``[INNER|LEFT|RIGHT] JOIN term ON condition``.

    OUTER may follow LEFT or RIGHT.

    :raises DqlError: a join is malformed, or of a kind that is not supported.
    """
    found: list[Join] = []
    while True:
        _refuse_joins(cursor)
        kind = _JOIN_KINDS.get(cursor.word)
        if kind is None:
            return tuple(found)
        start = cursor.start
        if cursor.word != "JOIN":
            cursor.advance()
            if kind is not JoinKind.INNER:
                cursor.accept("OUTER")
        cursor.expect("JOIN")
        joined = term(cursor)
        if cursor.word == "USING":
            raise cursor.unsupported_error("USING is")
        cursor.expect("ON")
        condition = cursor.climb(cursor, 0)
        found.append(Join(kind, joined, condition, span=cursor.since(start)))


def _refuse_joins(cursor: Cursor) -> None:
    if cursor.word in {"FULL", "CROSS", "NATURAL"}:
        raise cursor.unsupported_error(f"{cursor.word} JOIN is")
    if cursor.word == ",":
        raise cursor.unsupported_error("a list of collections (write JOIN ... ON) is")
    if cursor.word in {"UNNEST", "NEST", "LET", "WINDOW", "QUALIFY"}:
        raise cursor.unsupported_error(f"{cursor.word} is")


def _use(cursor: Cursor) -> Use:
    start = cursor.start
    cursor.expect("USE")
    if cursor.accept("IDS"):
        return _use_ids(cursor, start)
    if cursor.accept("INDEX"):
        name = cursor.string("the name of an index as a string")
        return UseIndex(name, span=cursor.since(start))
    if not cursor.accept("DIRECTIVES"):
        raise cursor.unexpected_error("IDS, INDEX or DIRECTIVES")
    text_span = cursor.span
    text = cursor.string("a JSON object as a string")
    return _directives(cursor, text, text_span, cursor.since(start))


def _use_ids(cursor: Cursor, start: int) -> Use:
    if cursor.accept("LIST"):
        return UseIdList(cursor.climb(cursor, 0), span=cursor.since(start))
    _refuse_parenthesised_ids(cursor)
    return UseIds(tuple(cursor.read_expressions()), span=cursor.since(start))


def _refuse_parenthesised_ids(cursor: Cursor) -> None:
    """Find ``('a', 'b')`` after USE IDS, which users of other languages write."""
    if cursor.word != "(":
        return
    depth = 0
    listed = False
    for index in range(cursor.index, len(cursor.tokens.ends)):
        word = cursor.tokens.words[index]
        depth += (word in _OPENERS) - (word in _CLOSERS)
        listed = listed or (depth == 1 and word == ",")
        if depth == 0:
            break
    if listed:
        span = cursor.start, cursor.tokens.ends[index]
        raise cursor.error(f"{cursor.source.text[slice(*span)]} is not supported", span)


def directives(cursor: Cursor) -> tuple[UseDirectives, ...]:
    """
    Return the directives in the comments right before the current token, which stays.

    :raises DqlError: a comment holds no valid directives.
    """
    if not cursor.tokens.directives:
        return ()
    return tuple(
        _directives(cursor, comment.text, comment.span, comment.span)
        for comment in cursor.directives()
    )


def _directives(cursor: Cursor, text: str, text_span: Span, span: Span) -> UseDirectives:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        value = None
    if not isinstance(value, dict):
        raise cursor.error("directives are not a JSON object", text_span)
    try:
        canonical = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError:
        message = f"directives are nested more than {NESTING_LIMIT} levels deep"
        raise cursor.error(message, text_span) from None
    return UseDirectives(canonical.decode(), span=span)

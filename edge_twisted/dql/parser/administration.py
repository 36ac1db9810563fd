# SPDX-License-Identifier: Apache-2.0
"""Statements about the database itself: indexes and system parameters."""

from __future__ import annotations

from edge_twisted.dql.parser.cursor import Cursor
from edge_twisted.dql.syntax import (
    CollectionRef,
    CreateIndex,
    DropIndex,
    IndexKeyClause,
    Path,
    ResetParameter,
    SetParameter,
    ShowAll,
    ShowParameter,
    Statement,
)


def create(cursor: Cursor) -> Statement:
    """
    Read ``CREATE INDEX [IF NOT EXISTS] name ON collection (keys)``.

    The end may also be ``collection.name (keys)``.

    :raises DqlError: the tokens are no such statement, or CREATE is of something else.
    """
    start = cursor.start
    cursor.expect("CREATE")
    if cursor.word in {"COLLECTION", "TABLE"}:
        raise cursor.unsupported_error(
            "CREATE COLLECTION (a collection exists once a document does) is"
        )
    cursor.expect("INDEX")
    if_not_exists = cursor.word == "IF" and cursor.peek() == "NOT"
    if if_not_exists:
        cursor.expect_all("IF", "NOT", "EXISTS")
    name_start = cursor.start
    name = cursor.read_name("identifier")
    if cursor.accept("."):
        reference = CollectionRef(None, name, span=cursor.since(name_start))
        name = cursor.read_name("identifier")
    else:
        cursor.expect("ON")
        reference = _collection(cursor)
    cursor.expect("(")
    keys = cursor.read_list(_key)
    cursor.expect(")")
    if cursor.word == "WHERE":
        raise cursor.unsupported_error("a partial index is")
    return CreateIndex(
        name=name,
        collection=reference,
        keys=tuple(keys),
        if_not_exists=if_not_exists,
        span=cursor.since(start),
    )


def _key(cursor: Cursor) -> IndexKeyClause:
    start = cursor.start
    field = cursor.climb(cursor, 0)
    if not isinstance(field, Path):
        shown = cursor.source.text[slice(*field.span)]
        raise cursor.unsupported_error(
            f"an index on an expression, {shown}, (name a field) is", field.span
        )
    descending = cursor.accept("DESC")
    if not descending:
        cursor.accept("ASC")
    return IndexKeyClause(field, descending, span=cursor.since(start))


def _collection(cursor: Cursor) -> CollectionRef:
    """``[namespace:]name``."""
    start = cursor.start
    namespace: str | None = None
    name = cursor.read_name("identifier")
    if cursor.accept(":"):
        namespace, name = name, cursor.read_name("identifier")
    return CollectionRef(namespace, name, span=cursor.since(start))


def drop(cursor: Cursor) -> Statement:
    """
    Read ``DROP INDEX [IF EXISTS] name ON collection``.

    :raises DqlError: the tokens are no such statement, or DROP is of something else.
    """
    start = cursor.start
    cursor.expect("DROP")
    if cursor.word in {"COLLECTION", "TABLE"}:
        raise cursor.unsupported_error("DROP COLLECTION (DELETE its documents) is")
    cursor.expect("INDEX")
    if_exists = cursor.word == "IF" and cursor.peek() == "EXISTS"
    if if_exists:
        cursor.expect_all("IF", "EXISTS")
    name = cursor.read_name("identifier")
    cursor.expect("ON")
    reference = _collection(cursor)
    return DropIndex(name=name, collection=reference, if_exists=if_exists, span=cursor.since(start))


def alter_system(cursor: Cursor) -> Statement:
    """
    Read ``ALTER SYSTEM SET name =|TO value|DEFAULT`` or ``ALTER SYSTEM RESET name|ALL``.

    :raises DqlError: the tokens are no such statement.
    """
    start = cursor.start
    cursor.expect_all("ALTER", "SYSTEM")
    if cursor.accept("RESET"):
        reset = None if cursor.accept("ALL") else _parameter_name(cursor)
        return ResetParameter(reset, span=cursor.since(start))
    if not cursor.accept("SET"):
        raise cursor.unexpected_error("SET or RESET")
    name = _parameter_name(cursor)
    if not cursor.accept("=") and not cursor.accept("TO"):
        raise cursor.unexpected_error("= or TO")
    value = None if cursor.accept("DEFAULT") else cursor.climb(cursor, 0)
    return SetParameter(name, value, span=cursor.since(start))


def show(cursor: Cursor) -> Statement:
    """
    Read ``SHOW name`` or ``SHOW ALL [LIKE|ILIKE pattern [ESCAPE escape]]``.

    :raises DqlError: the tokens are no such statement.
    """
    start = cursor.start
    cursor.expect("SHOW")
    if not cursor.accept("ALL"):
        return ShowParameter(_parameter_name(cursor), span=cursor.since(start))
    ignore_case = cursor.accept("ILIKE")
    if not ignore_case and not cursor.accept("LIKE"):
        return ShowAll(span=cursor.since(start))
    pattern = cursor.string("a pattern as a string")
    escape = cursor.string("a string of one character") if cursor.accept("ESCAPE") else None
    return ShowAll(pattern, escape, ignore_case, span=cursor.since(start))


def _parameter_name(cursor: Cursor) -> str:
    return cursor.read_name("the name of a system parameter").lower()

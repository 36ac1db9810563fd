# SPDX-License-Identifier: Apache-2.0
"""Dispatch on the first word of a statement; EXPLAIN, PROFILE and ADVISE."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from edge_twisted.dql.parser.administration import alter_system, create, drop, show
from edge_twisted.dql.parser.cursor import Cursor
from edge_twisted.dql.parser.mutations import delete, evict, insert, update
from edge_twisted.dql.parser.queries import select
from edge_twisted.dql.parser.terms import directives
from edge_twisted.dql.syntax import Advise, Explain, Profile, Statement, UseDirectives

#: Statements that read or change documents, and may have directives before them.
_PLANNED: Final[dict[str, Callable[[Cursor, tuple[UseDirectives, ...]], Statement]]] = {
    "SELECT": select,
    "INSERT": insert,
    "UPDATE": update,
    "DELETE": delete,
    "TOMBSTONE": delete,
    "EVICT": evict,
}
_OTHERS: Final[dict[str, Callable[[Cursor], Statement]]] = {
    "CREATE": create,
    "DROP": drop,
    "ALTER": alter_system,
    "SHOW": show,
}
#: What other languages begin with, and what to do here.
_FOREIGN: Final = {
    "WITH": "WITH is",
    "MERGE": "MERGE (INSERT ... ON ID CONFLICT DO UPDATE does it) is",
    "UPSERT": "UPSERT (INSERT ... ON ID CONFLICT DO UPDATE does it) is",
    "REPLACE": "REPLACE (INSERT ... ON ID CONFLICT DO UPDATE does it) is",
    "BEGIN": "BEGIN (send the statements as one transaction) is",
    "START": "START TRANSACTION (send the statements as one transaction) is",
    "COMMIT": "COMMIT (send the statements as one transaction) is",
    "ROLLBACK": "ROLLBACK (send the statements as one transaction) is",
    "TRUNCATE": "TRUNCATE (DELETE without WHERE does it) is",
}


def statement(cursor: Cursor) -> Statement:
    """
    Read any statement, without the semicolon that may end it.

    :raises DqlError: the tokens begin no statement, or a malformed one.
    """
    outer = directives(cursor)
    start = cursor.start
    if cursor.word == "EXPLAIN":
        cursor.advance()
        return Explain(_inner_statement(cursor, outer), span=cursor.since(start))
    if cursor.word == "PROFILE":
        cursor.advance()
        return Profile(_inner_statement(cursor, outer), span=cursor.since(start))
    if cursor.word == "ADVISE":
        cursor.advance()
        provision = cursor.accept("AND")
        if provision:
            cursor.expect("PROVISION")
        inner = _inner_statement(cursor, outer)
        return Advise(inner, provision, span=cursor.since(start))
    if cursor.word in _PLANNED:
        return _PLANNED[cursor.word](cursor, outer)
    if cursor.word in _OTHERS:
        return _OTHERS[cursor.word](cursor)
    if cursor.word in _FOREIGN:
        raise cursor.unsupported_error(_FOREIGN[cursor.word])
    raise cursor.unexpected_error("a statement")


def _inner_statement(cursor: Cursor, outer: tuple[UseDirectives, ...]) -> Statement:
    """The statement that EXPLAIN and its like are about."""
    given = outer + directives(cursor)
    rule = _PLANNED.get(cursor.word)
    if rule is None:
        raise cursor.unexpected_error("SELECT, INSERT, UPDATE, DELETE or EVICT")
    return rule(cursor, given)

# SPDX-License-Identifier: Apache-2.0
"""The summary of a statement that failed (kind, verb, collections) and its error response."""

from __future__ import annotations

from attrs import frozen

from edge_twisted.api.errors import ErrorWithDetails
from edge_twisted.api.rendering import NO_RESULT
from edge_twisted.dql import syntax
from edge_twisted.dql.errors import DqlError
from edge_twisted.dql.lexer import first_word_of
from edge_twisted.dql.parser import parse
from edge_twisted.errors import EdgeError


@frozen(kw_only=True)
class StatementSummary:
    """Kind, verb and collections of a statement, from its text alone."""

    query_type: str = "unknown"
    verb: str | None = None
    collections: tuple[str, ...] = ()


#: Longer texts are not parsed a second time here, because that would hold up the reactor.
_LONG_TEXT = 2_048
#: Kinds of statements that the first word identifies.
_VERBS = frozenset(
    {"select", "insert", "update", "delete", "evict", "explain", "profile", "advise"}
)


def summarize(statement: str, error: Exception | None = None) -> StatementSummary:
    """Describe a statement that ended with `error`, if any; `unknown` if it does not parse.

    A long text was parsed on another thread, and is not parsed again on the reactor's thread.  For
    a long text the description comes from `error`, else from the first word of the text.
    """
    if len(statement) > _LONG_TEXT:
        about = error.about if isinstance(error, EdgeError) else None
        if about is not None:
            return StatementSummary(query_type=about[0], verb=about[0], collections=about[1])
        return StatementSummary() if isinstance(error, DqlError) else _by_first_word(statement)
    try:
        tree = parse(statement).statement
    except DqlError:
        return StatementSummary()
    names = (_name(node) for node in tree.walk() if isinstance(node, syntax.CollectionRef))
    return StatementSummary(
        query_type=tree.query_type, verb=tree.query_type, collections=tuple(dict.fromkeys(names))
    )


def failed_statement(error: Exception, about: StatementSummary) -> ErrorWithDetails:
    """Return an error of ``/execute`` whose JSON has the members of an empty result too."""
    return ErrorWithDetails(error, beside={**NO_RESULT, "queryType": about.query_type})


def _by_first_word(statement: str) -> StatementSummary:
    word = first_word_of(statement).lower()
    return StatementSummary(query_type=word, verb=word) if word in _VERBS else StatementSummary()


def _name(collection: syntax.CollectionRef) -> str:
    if collection.namespace in (None, "default"):
        return collection.name
    return f"{collection.namespace}:{collection.name}"

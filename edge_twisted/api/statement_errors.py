# SPDX-License-Identifier: Apache-2.0
"""What is said of a statement that failed: its kind, its verb and collections, and the error."""

from __future__ import annotations

from attrs import frozen

from edge_twisted.api.errors import Accompanied
from edge_twisted.api.rendering import NO_RESULT
from edge_twisted.dql import syntax
from edge_twisted.dql.errors import DqlError
from edge_twisted.dql.parser import parse


@frozen(kw_only=True)
class Described:
    """What the text of a statement tells without running it."""

    query_type: str = "unknown"
    verb: str | None = None
    collections: tuple[str, ...] = ()


#: Parsing a longer text again would hold up the reactor.
_LONG_TEXT = 2_048


def described(statement: str) -> Described:
    """
    Describe a statement; one that does not parse is unknown.

    So is one that is long: it was parsed off the reactor's thread, which is no place to do it again
    only to say what failed.
    """
    if len(statement) > _LONG_TEXT:
        return Described()
    try:
        tree = parse(statement).statement
    except DqlError:
        return Described()
    names = (_name(node) for node in tree.walk() if isinstance(node, syntax.CollectionRef))
    return Described(
        query_type=tree.query_type, verb=tree.query_type, collections=tuple(dict.fromkeys(names))
    )


def failed_statement(error: Exception, about: Described) -> Accompanied:
    """Return the error as `/execute` answers it: beside the members of a result."""
    return Accompanied(error, beside={**NO_RESULT, "queryType": about.query_type})


def _name(collection: syntax.CollectionRef) -> str:
    if collection.namespace in (None, "default"):
        return collection.name
    return f"{collection.namespace}:{collection.name}"

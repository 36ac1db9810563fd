# SPDX-License-Identifier: Apache-2.0
"""
Subscription queries: SELECT * FROM c [WHERE ...], and whether a document matches one.

Whoever shares documents evaluates them one by one as they change, so nothing that looks at more
than one document, or at less than all of it, can be a subscription.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from attrs import frozen

from edge_twisted.documents.values import Value
from edge_twisted.dql import syntax
from edge_twisted.dql.compile import Environment, RowScope, compile_expression
from edge_twisted.dql.errors import ArgumentError, DqlError, UnsupportedError
from edge_twisted.dql.functions.context import FunctionContext
from edge_twisted.dql.parser import parse


@frozen(kw_only=True)
class Subscription:
    """A checked subscription: its collection, and the test of its condition."""

    collection: str
    #: ``system`` collections are accepted, and share nothing.
    is_virtual: bool
    matches: Callable[[dict[str, Value]], bool]


def subscription(
    query: str, arguments: Mapping[str, Value], context: FunctionContext, *, restricted: bool = True
) -> Subscription:
    """
    Return what a query subscribes to.

    `restricted` refuses LIMIT and ORDER BY (``DQL_RESTRICT_SUBSCRIPTIONS``); otherwise they are
    ignored, for they say nothing about a single document.

    :raises DqlError: it is no statement, or none that can be a subscription.
    """
    parsed = parse(query)
    try:
        select = _select(parsed.statement, restricted)
        _check_arguments(parsed.parameters, arguments)
        source = select.source
        assert source is not None
        test = compile_expression(
            select.selection.where or syntax.Literal(True), RowScope((source.name,))
        )
    except DqlError as error:
        raise error.within(parsed.source) from None
    env = Environment(arguments, context)
    return Subscription(
        collection=source.collection.name,
        is_virtual=source.collection.namespace == "system",
        matches=lambda document: test(document, env) is True,
    )


def _select(statement: syntax.Statement, restricted: bool) -> syntax.Select:
    if not isinstance(statement, syntax.Select):
        raise _unsupported(statement, "non-SELECT statement in sync subscription")
    for is_there, feature in _features(statement, restricted):
        if is_there:
            raise _unsupported(statement, feature)
    return statement


def _features(statement: syntax.Select, restricted: bool) -> list[tuple[bool, str]]:
    """Return what may not be there, with the documented names."""
    selection, source = statement.selection, statement.source
    uses = source.uses if source is not None else ()
    limited = bool(selection.order_by) or selection.limit is not None
    return [
        (statement.projections != (syntax.Wildcard(),), "A projection other than wildcard (*)"),
        (source is None, "A query without FROM"),
        (statement.distinct, "DISTINCT"),
        (bool(statement.group_by) or statement.having is not None, "Grouping"),
        (bool(statement.joins), "Joining"),
        (any(isinstance(use, syntax.UseIds | syntax.UseIdList) for use in uses), "USE IDS"),
        (restricted and (limited or selection.offset is not None), "Limit or Order by"),
    ]


def _unsupported(node: syntax.Node, feature: str) -> UnsupportedError:
    return UnsupportedError(f"Unsupported feature: {feature}", node.span)


def _check_arguments(
    parameters: Mapping[str, tuple[int, int]], arguments: Mapping[str, Value]
) -> None:
    for name, span in parameters.items():
        if name not in arguments:
            raise ArgumentError(f"Parameter {name} was not provided", span)
    for name in arguments:
        if name not in parameters:
            raise ArgumentError(f"Argument {name} is not used by the statement")

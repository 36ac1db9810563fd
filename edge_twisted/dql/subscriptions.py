# SPDX-License-Identifier: Apache-2.0
"""
Subscription queries: ``SELECT * FROM c [WHERE ...]``, and whether a document matches one.

A server that shares documents evaluates subscriptions document by document as these change.  So a
query over several documents, or of a part of a document, cannot be a subscription.  Type
declarations, USE and strict mode have no effect: a subscription is about what documents show.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Final, Self

from attrs import evolve, field, frozen

from edge_twisted.documents.values import Value
from edge_twisted.dql import syntax
from edge_twisted.dql.compiler import CompiledExpression, Environment, RowScope, compile_expression
from edge_twisted.dql.errors import ArgumentError, DqlError, EvaluationError, UnsupportedError
from edge_twisted.dql.execution.interruption import Budget
from edge_twisted.dql.formatter import format_statement
from edge_twisted.dql.functions.context import NO_CONTEXT, FunctionContext
from edge_twisted.dql.functions.registry import find_function
from edge_twisted.dql.name_resolution import resolve_names
from edge_twisted.dql.parser import NESTING_LIMIT, parse

#: Steps that one document may cost: elements of arrays and objects that a condition visits.  A step
#: takes about a microsecond, so a document takes less than the reactor may be blocked.
STEPS_PER_DOCUMENT: Final = 10_000
#: Seconds that one document may cost, where a clock is given: steps over long texts take longer.
SECONDS_PER_DOCUMENT: Final = 0.01
_KEY_BYTES: Final = 32


@frozen(kw_only=True)
class Subscription:
    """
    A validated subscription: the collection and the condition of the documents that it shares.

    Subscriptions with equal meaning have equal keys, whatever names their aliases and parameters
    have.  `text` is an equivalent statement without parameters.
    """

    collection: str
    #: Whether this is a ``system`` collection, which is accepted and shares nothing.
    is_virtual: bool
    text: str
    #: The condition on the term, which has the collection's name; None: every document.
    condition: syntax.Expression | None
    _test: CompiledExpression
    _context: FunctionContext | None
    #: 32 bytes, the same in every version of this server.
    key: bytes = field(init=False)

    @key.default
    def _key(self) -> bytes:
        return hashlib.blake2b(self.text.encode(), digest_size=_KEY_BYTES).digest()

    @classmethod
    def of(
        cls,
        query: str,
        arguments: Mapping[str, Value],
        context: FunctionContext | None = None,
        *,
        restricted: bool = True,
    ) -> Self:
        """
        Return the subscription of a query.

        :param context: gives functions such as ``clock()`` their values; without it they are
            refused.
        :param restricted: refuse LIMIT and ORDER BY (``DQL_RESTRICT_SUBSCRIPTIONS``); otherwise
            they are ignored, because they say nothing about a single document.
        :raises DqlError: the query is no statement, or cannot be a subscription.
        """
        parsed = parse(query)
        try:
            select = _select(parsed.statement, restricted)
            parsed.check_arguments(arguments)
            canonical = _canonical_select(select, arguments, has_context=context is not None)
            source, where = canonical.source, canonical.selection.where
            assert source is not None
            test = compile_expression(where or syntax.Literal(True), RowScope((source.name,)))
        except DqlError as error:
            raise error.within(parsed.source) from None
        return cls(
            collection=source.collection.name,
            is_virtual=source.collection.namespace == "system",
            text=format_statement(canonical),
            condition=where,
            test=test,
            context=context,
        )

    def matches(self, document: dict[str, Value], now: Callable[[], float] | None = None) -> bool:
        """
        Return whether a document, its id included, is shared; may be called from any thread.

        A document for which the condition fails to evaluate is not shared.

        :param now: a clock in seconds, to limit the time as well as the steps.
        :raises BudgetExceeded: the condition takes too many steps; end the subscription.
        :raises StatementTimeout: the condition takes too long; end the subscription.
        """
        budget = Budget(STEPS_PER_DOCUMENT, now, SECONDS_PER_DOCUMENT)
        env = Environment({}, self._context or NO_CONTEXT, budget.spend)
        try:
            return self._test(document, env) is True
        except EvaluationError:
            return False


def _select(statement: syntax.Statement, restricted: bool) -> syntax.Select:
    if not isinstance(statement, syntax.Select):
        raise _unsupported_error(statement, "non-SELECT statement in sync subscription")
    for is_present, feature in _features(statement, restricted):
        if is_present:
            raise _unsupported_error(statement, feature)
    return statement


def _features(statement: syntax.Select, restricted: bool) -> list[tuple[bool, str]]:
    """Return for each clause that is not allowed whether it is present, and its published name."""
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


def _unsupported_error(node: syntax.Node, feature: str) -> UnsupportedError:
    return UnsupportedError(f"Unsupported feature: {feature}", node.span)


def _check_steady(where: syntax.Expression) -> None:
    for node in where.walk():
        function = find_function(node.name) if isinstance(node, syntax.Call) else None
        if function is not None and function.needs_context:
            raise _unsupported_error(node, f"{function.name}() in a sync subscription")


# -- the canonical form


def _canonical_select(
    select: syntax.Select, arguments: Mapping[str, Value], *, has_context: bool
) -> syntax.Select:
    """Return the canonical form: without alias, parameters, and clauses that have no effect."""
    term = select.source
    assert term is not None
    collection = term.collection
    namespace = "system" if collection.namespace == "system" else None
    plain = syntax.Term(syntax.CollectionRef(namespace, collection.name), term.alias)
    where = select.selection.where
    if where is not None:
        where = resolve_names(where, (term,))
        where, plain = _without_alias(where, plain)
        where = _with_arguments(where, arguments)
        if not has_context:
            _check_steady(where)
    else:
        plain = evolve(plain, alias=None)
    return syntax.Select(
        projections=(syntax.Wildcard(),), source=plain, selection=syntax.Selection(where)
    )


def _without_alias(
    where: syntax.Expression, term: syntax.Term
) -> tuple[syntax.Expression, syntax.Term]:
    name, collection = term.name, term.collection.name
    variables = {
        variable
        for node in where.walk()
        if isinstance(node, syntax.Binding)
        for variable in (node.name, node.index)
    }
    if name in variables or collection in variables:
        return where, term  # a variable hides the name, so paths alone do not tell its meaning

    def change(node: syntax.Node) -> syntax.Node:
        if not isinstance(node, syntax.Path):
            return node
        if node.names[0] != name:
            # A field with the name of the collection must be written as the collection's field.
            clash = node.names[0] == collection
            return evolve(node, names=(collection, *node.names)) if clash else node
        rest = node.names[1:]
        if not rest or rest[0] in variables or rest[0] == collection:
            return evolve(node, names=(collection, *rest))
        return evolve(node, names=rest)

    return _map_condition(where, change), evolve(term, alias=None)


def _with_arguments(where: syntax.Expression, arguments: Mapping[str, Value]) -> syntax.Expression:
    def change(node: syntax.Node) -> syntax.Node:
        if not isinstance(node, syntax.Parameter):
            return node
        found = syntax.literal_of(arguments[node.name])
        if found is None:
            raise ArgumentError(f"Argument {node.name} of a subscription is binary", node.span)
        return evolve(found, span=node.span)

    bound = _map_condition(where, change)
    if syntax.deeper_than(bound, NESTING_LIMIT) is not None:
        raise ArgumentError(f"the condition is nested deeper than {NESTING_LIMIT}", where.span)
    return bound


def _map_condition(
    node: syntax.Expression, change: Callable[[syntax.Node], syntax.Node]
) -> syntax.Expression:
    found = syntax.map_tree(node, change)
    assert isinstance(found, syntax.Expression)
    return found

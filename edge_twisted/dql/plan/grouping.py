# SPDX-License-Identifier: Apache-2.0
"""The plan of GROUP BY and aggregates of a SELECT."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from attrs import frozen

from edge_twisted.documents.values import Operand
from edge_twisted.dql import syntax
from edge_twisted.dql.compiler import (
    CompiledExpression,
    GroupScope,
    NameScope,
    RowScope,
    compile_expression,
)
from edge_twisted.dql.compiler.environment import Environment, of_group
from edge_twisted.dql.errors import SemanticError
from edge_twisted.dql.functions.aggregates import (
    AGGREGATES,
    Accumulator,
    CountRows,
    new_accumulator,
)
from edge_twisted.dql.name_resolution import qualify
from edge_twisted.dql.rows import Row


@frozen
class Aggregate:
    """An aggregate: its accumulator, and the value that it takes from a row."""

    begin: Callable[[], Accumulator]
    value: CompiledExpression


@frozen(kw_only=True)
class GroupPlan:
    """The compiled group keys and aggregates, and the expressions that they stand for."""

    keys: tuple[CompiledExpression, ...]
    aggregates: tuple[Aggregate, ...]
    expressions: tuple[syntax.Expression, ...]
    #: The name of the only term of the statement, None in a join.
    term: str | None = None

    def scope(self, refusal: Callable[[syntax.Path], SemanticError]) -> GroupScope:
        """
        Return the scope of expressions above the grouping: of its keys and aggregates.

        :param refusal: returns the error for a path that is no part of either.
        """
        count = len(self.keys)
        ready = {
            qualify(node, self.term): _key(at) if at < count else _result(at - count)
            for at, node in reversed(list(enumerate(self.expressions)))
        }
        return GroupScope(ready, refusal, self.term)


def _key(at: int) -> CompiledExpression:
    return of_group(lambda row, env: row.keys[at])


def _result(at: int) -> CompiledExpression:
    return of_group(lambda row, env: row.aggregates[at])


def plan_grouping(
    group_by: Sequence[syntax.Expression], above: Iterable[syntax.Node], scope: RowScope
) -> GroupPlan | None:
    """
    Return the group plan of a statement; None if it has neither keys nor aggregates.

    :param above: all clauses in which aggregates may occur.
    :raises SemanticError: a key or the argument of an aggregate has no meaning in the scope.
    """
    calls: dict[syntax.Expression, syntax.Call] = {}
    for clause in above:
        for node in clause.walk():
            if isinstance(node, syntax.Call) and node.name in AGGREGATES:
                calls.setdefault(qualify(node, scope.only), node)
    if not group_by and not calls:
        return None
    return GroupPlan(
        keys=tuple(compile_expression(each, scope) for each in group_by),
        aggregates=tuple(_aggregate(call, scope) for call in calls.values()),
        expressions=(*group_by, *calls.values()),
        term=scope.only,
    )


def _aggregate(call: syntax.Call, scope: NameScope) -> Aggregate:
    if call.star:
        if call.name != "count":
            raise SemanticError(f"{call.name}(*) means nothing, only count(*) does", call.span)
        return Aggregate(CountRows, _no_value)
    if len(call.arguments) != 1:
        raise SemanticError(f"{call.name} takes one argument", call.span)
    name, distinct = call.name, call.distinct
    return Aggregate(
        lambda: new_accumulator(name, distinct=distinct),
        compile_expression(call.arguments[0], scope),
    )


def _no_value(row: Row, env: Environment) -> Operand:
    return None

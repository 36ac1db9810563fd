# SPDX-License-Identifier: Apache-2.0
"""The environment of compiled expressions: arguments, bound variables, request context."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, cast

from attrs import define, field

from edge_twisted.documents.values import Operand, Value
from edge_twisted.dql.functions.context import FunctionContext
from edge_twisted.dql.rows import Document, GroupValues, JoinRow, Row


def accept_any_steps(steps: int) -> None:
    """Accept any amount of work: for callers that check for interruption between rows."""


@define
class Environment:
    """
    The state of one execution of a statement, for one thread at a time.

    :ivar variables: the values of the variables of ANY, EVERY, ARRAY and OBJECT, by number.
    """

    arguments: Mapping[str, Value]
    context: FunctionContext
    #: Is called with the number of steps that a single row has cost; raises to end the statement.
    spend: Callable[[int], None] = accept_any_steps
    variables: dict[int, Value] = field(factory=dict)
    #: Values that expressions compute once an execution, by private keys of the expressions.
    #: Any: each expression reads only what it has put under its own key.
    cache: dict[object, Any] = field(factory=dict)


#: A compiled expression.  Its rows are of the kind that its scope was made for.
CompiledExpression: TypeAlias = Callable[[Row, Environment], Operand]


# The plan gives an expression only rows of the kind that its scope was made for.  A check for each
# row would be slow, so the three functions below, and they alone, say which kind that is.


def of_document(compiled: Callable[[Document, Environment], Operand]) -> CompiledExpression:
    """Return a compiled expression whose rows are documents."""
    return cast(CompiledExpression, compiled)


def of_join_row(compiled: Callable[[JoinRow, Environment], Operand]) -> CompiledExpression:
    """Return a compiled expression whose rows are those of a join."""
    return cast(CompiledExpression, compiled)


def of_group(compiled: Callable[[GroupValues, Environment], Operand]) -> CompiledExpression:
    """Return a compiled expression whose rows are groups."""
    return cast(CompiledExpression, compiled)


def bind(compiled: CompiledExpression, env: Environment) -> Callable[[Row], Operand]:
    """Return a compiled expression as a function of a row alone, with this environment."""
    return lambda row: compiled(row, env)

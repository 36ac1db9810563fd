# SPDX-License-Identifier: Apache-2.0
"""The environment of compiled expressions: arguments, bound variables, request context."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from attrs import define, field

from edge_twisted.documents.values import Operand, Value
from edge_twisted.dql.functions.context import FunctionContext


def accept_any_steps(steps: int) -> None:
    """Accept any amount of work, for callers that check for interruption between rows."""


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
    variables: dict[int, Any] = field(factory=dict)
    #: Values that expressions compute once an execution, by private keys of the expressions.
    cache: dict[object, Any] = field(factory=dict)


#: A compiled expression.  A row is a document, a tuple of documents in a join, or a `Group`.
CompiledExpression = Callable[[Any, Environment], Operand]


def bind(compiled: CompiledExpression, env: Environment) -> Callable[[Any], Operand]:
    """Return a compiled expression as a function of a row alone."""
    return lambda row: compiled(row, env)

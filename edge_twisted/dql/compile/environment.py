# SPDX-License-Identifier: Apache-2.0
"""What an expression needs beside a row: arguments, bound variables, the request."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from attrs import define, field

from edge_twisted.documents.values import Operand, Value
from edge_twisted.dql.functions.context import FunctionContext


def unlimited(steps: int) -> None:
    """Let work go on for as long as it takes: for what is checked between rows anyway."""


@define
class Environment:
    """
    One execution of one statement.

    `variables` holds the variables of ANY, EVERY, ARRAY and OBJECT while their expressions run, by
    number; so an environment serves one thread at a time.
    """

    arguments: Mapping[str, Value]
    context: FunctionContext
    #: Told of every few steps of work that a single row causes; raises to end it.
    spend: Callable[[int], None] = unlimited
    variables: dict[int, Any] = field(factory=dict)
    #: What expressions made once for the whole execution, by what only they know.
    cache: dict[object, Any] = field(factory=dict)


#: A compiled expression.  A row is a document, a tuple of documents in a join, or a `Group`.
Compiled = Callable[[Any, Environment], Operand]

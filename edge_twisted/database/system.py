# SPDX-License-Identifier: Apache-2.0
"""ALTER SYSTEM and SHOW."""

from __future__ import annotations

from edge_twisted.database.parameters import PARAMETERS, ParameterValues, find
from edge_twisted.documents.json_text import from_text, to_text
from edge_twisted.documents.values import MISSING, Value
from edge_twisted.dql import syntax
from edge_twisted.dql.compile import Environment, RowScope, compile_expression
from edge_twisted.dql.errors import DqlError
from edge_twisted.dql.patterns.like import ilike, like
from edge_twisted.store.interface import Snapshot, UnitOfWork

#: The space of the store's facts in which changed parameters are kept.
_SPACE = "parameters"

Row = dict[str, Value]


def load(snapshot: Snapshot) -> ParameterValues:
    """Return the parameters that a store keeps."""
    kept = snapshot.facts(_SPACE)
    return ParameterValues({key.decode("utf-8"): from_text(value) for key, value in kept})


def alter(
    statement: syntax.SetParameter | syntax.ResetParameter,
    values: ParameterValues,
    env: Environment,
    transaction: UnitOfWork,
) -> tuple[ParameterValues, Row]:
    """
    Return the parameters after ALTER SYSTEM, stored, and the row that shows what changed.

    :raises UnknownParameter, InvalidParameterValue: nothing has changed.
    """
    if isinstance(statement, syntax.ResetParameter):
        names = [find(statement.name).name] if statement.name else list(PARAMETERS)
        changed = values.without(names)
    elif statement.value is None:
        names = [find(statement.name).name]
        changed = values.without(names)
    else:
        names = [find(statement.name).name]
        value = compile_expression(statement.value, RowScope(()))(None, env)
        changed = values.with_value(statement.name, None if value is MISSING else value)
    for name in names:
        kept = to_text(changed[name]) if name in changed.changed else None
        transaction.put_fact(_SPACE, name.encode("utf-8"), kept)
    return changed, {name: changed[name] for name in names}


def show(statement: syntax.ShowParameter | syntax.ShowAll, values: ParameterValues) -> Row:
    """:raises UnknownParameter: there is none of that name."""
    if isinstance(statement, syntax.ShowParameter):
        name = find(statement.name).name
        return {name: values[name]}
    names = list(PARAMETERS)
    if statement.pattern is not None:
        matches = ilike if statement.ignore_case else like
        escape = statement.escape if statement.escape is not None else "\\"
        try:
            names = [n for n in names if matches(n, statement.pattern, escape) is True]
        except DqlError as error:
            raise error.at(statement.span) from None
    return {name: values[name] for name in names}

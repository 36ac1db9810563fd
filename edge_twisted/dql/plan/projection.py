# SPDX-License-Identifier: Apache-2.0
"""Projection: the outputs of a row, from wildcards, omissions and named expressions."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final, TypeVar, cast

from attrs import frozen

from edge_twisted.documents.values import MISSING, Value
from edge_twisted.dql import syntax
from edge_twisted.dql.compiler import CompiledExpression, Environment, NameScope, compile_expression
from edge_twisted.dql.errors import SemanticError
from edge_twisted.dql.plan.conditions import FieldOf, FieldPath
from edge_twisted.dql.rows import Document, JoinRow, Row

Output = dict[str, Value]
K = TypeVar("K", Document, JoinRow)
#: Adds fields to a row of the result, or removes them.
_Step = Callable[[Output, Row, Environment], None]


#: The most fields that a store extracts; more are better taken from the whole document.
_MOST_FIELDS: Final = 16
_PLAIN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@frozen
class Projection:
    """The function from a row to its output; `is_document` if outputs are the documents."""

    _steps: tuple[_Step, ...]
    is_document: bool = False

    def __call__(self, row: Row, env: Environment) -> Output:
        """Return the output of a row."""
        if self.is_document:
            return cast(Output, row)
        found: Output = {}
        for step in self._steps:
            step(found, row, env)
        return found


def name_of(projected: syntax.ResultExpression, position: int) -> str:
    """
    Return the name of an output: its alias, a path's last name, or ``($n)`` by position.

    :param position: the position of the output in the list, from 1.
    """
    if projected.alias is not None:
        return projected.alias
    if isinstance(projected.expression, syntax.Path):
        return projected.expression.names[-1]
    return f"(${position})"


def aliases(projections: Sequence[syntax.Projection]) -> dict[str, syntax.Expression]:
    """Return the aliases, name -> projected expression, which ORDER BY may use."""
    return {
        each.alias: each.expression
        for each in projections
        if isinstance(each, syntax.ResultExpression) and each.alias is not None
    }


def compile_projection(
    projections: Sequence[syntax.Projection], terms: Sequence[str], scope: NameScope
) -> Projection:
    """
    Return the compiled projection of a statement, which makes the outputs of rows.

    :param terms: the names of the statement's terms, in order.
    :raises SemanticError: an output name comes twice, or ``*`` stands beside other elements.
    """
    _check_names(projections)
    whole = [p for p in projections if isinstance(p, syntax.Wildcard) and p.qualifier is None]
    if whole:
        if len(projections) > 1:
            raise SemanticError(
                "unqualified * with other projection elements is not supported", whole[0].span
            )
        if not terms:
            raise SemanticError("there is nothing that * could stand for", whole[0].span)
        if len(terms) == 1:
            return Projection((), is_document=True)
        return Projection((_join_documents(terms),))
    return Projection(tuple(_step(p, n, terms, scope) for n, p in enumerate(projections, 1)))


def fields_of(
    projections: Sequence[syntax.Projection], field_of: FieldOf
) -> tuple[tuple[str, FieldPath], ...] | None:
    """
    Return the name and path of each output, if a store can extract them all.

    Return None if an output is no field of the document, if there are more than `_MOST_FIELDS`, or
    if a name would need quotes.
    """
    if len(projections) > _MOST_FIELDS:
        return None
    found: list[tuple[str, FieldPath]] = []
    for position, each in enumerate(projections, 1):
        if not isinstance(each, syntax.ResultExpression) or not isinstance(
            each.expression, syntax.Path
        ):
            return None
        path = field_of(each.expression)
        name = name_of(each, position)
        if path is None or not all(map(_PLAIN.fullmatch, (name, *path))):
            return None
        found.append((name, path))
    return tuple(found)


def _check_names(projections: Sequence[syntax.Projection]) -> None:
    seen: set[str] = set()
    for position, each in enumerate(projections, 1):
        if isinstance(each, syntax.ResultExpression):
            name = name_of(each, position)
            if name in seen:
                raise SemanticError(f"the output name {name} is used twice", each.span)
            seen.add(name)


def _of_kind(step: Callable[[Output, K, Environment], None]) -> _Step:
    """Return a step for rows of one kind, the kind of the statement's scope."""
    return cast(_Step, step)


def _join_documents(terms: Sequence[str]) -> _Step:
    def step(found: Output, row: JoinRow, env: Environment) -> None:
        for name, document in zip(terms, row, strict=False):
            if document is not None:
                found[name] = document

    return _of_kind(step)


def _step(
    projection: syntax.Projection, position: int, terms: Sequence[str], scope: NameScope
) -> _Step:
    match projection:
        case syntax.Wildcard(qualifier=qualifier):
            return _wildcard(projection, qualifier or "", terms)
        case syntax.Omission(path=path):
            return _omission(path.names, terms)
        case syntax.ResultExpression(expression=expression):
            name = name_of(projection, position)
            return _set_named(name, compile_expression(expression, scope))


def _wildcard(node: syntax.Wildcard, qualifier: str, terms: Sequence[str]) -> _Step:
    if qualifier not in terms:
        raise SemanticError(f"unknown collection or alias {qualifier}", node.span)
    at = terms.index(qualifier)

    def update(found: Output, row: Document, env: Environment) -> None:
        found.update(row)

    def update_from_join(found: Output, row: JoinRow, env: Environment) -> None:
        document = row[at]
        if document is not None:
            found.update(document)

    return _of_kind(update) if len(terms) == 1 else _of_kind(update_from_join)


def _omission(names: tuple[str, ...], terms: Sequence[str]) -> _Step:
    path = names[1:] if len(names) > 1 and names[0] in terms else names

    def step(found: Output, row: Row, env: Environment) -> None:
        _omit(found, path)

    return step


def _omit(found: Output, path: tuple[str, ...]) -> None:
    """Remove a field, copying objects that are shared with the document."""
    if len(path) == 1:
        found.pop(path[0], None)
        return
    inner = found.get(path[0])
    if isinstance(inner, dict):
        found[path[0]] = copied = dict(inner)
        _omit(copied, path[1:])


def _set_named(name: str, compiled: CompiledExpression) -> _Step:
    def step(found: Output, row: Row, env: Environment) -> None:
        value = compiled(row, env)
        if value is MISSING:
            found.pop(name, None)
        else:
            found[name] = value

    return step

# SPDX-License-Identifier: Apache-2.0
"""
Scopes: what the names of an expression mean when it is compiled.

The first name of a path is, in this order: a bound variable, a term of the statement, a field of
the only term, or a field of the one document of a join row that has it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Protocol

from attrs import evolve, field, frozen

from edge_twisted.documents.values import MISSING, Operand
from edge_twisted.dql import syntax
from edge_twisted.dql.compiler.environment import (
    CompiledExpression,
    Environment,
    of_document,
    of_join_row,
)
from edge_twisted.dql.errors import SemanticError
from edge_twisted.dql.name_resolution import qualify
from edge_twisted.dql.rows import JoinRow

Names = tuple[str, ...]


class NameScope(Protocol):
    """The meaning of paths, and of whole expressions that were computed before."""

    def path(self, node: syntax.Path) -> CompiledExpression:
        """
        Return the function that computes the value of a path for a row.

        :raises SemanticError: the path has no meaning in this scope; show it to the user.
        """

    def whole(self, node: syntax.Expression) -> CompiledExpression | None:
        """
        Return the function for a whole expression if its value was computed before, else None.
        """

    @property
    def chains(self) -> Collection[int]:
        """The lengths of the operator chains (`syntax.spine`) whose values were computed before."""

    def bind(self, names: Sequence[str]) -> tuple[NameScope, list[int]]:
        """Return a scope that also binds these variables, and their positions in `Environment`."""


def _below(value: Operand, names: Names) -> Operand:
    """Follow names into nested objects; return MISSING where a value is no object."""
    for name in names:
        if type(value) is not dict:
            return MISSING
        value = value.get(name, MISSING)
    return value


def _bound(position: int, names: Names) -> CompiledExpression:
    if not names:
        return lambda _, env: env.variables[position]
    return lambda _, env: _below(env.variables[position], names)


@frozen
class RowScope:
    """The scope of rows: documents of one term, or tuples of documents in a join."""

    terms: Names
    variables: tuple[tuple[str, int], ...] = ()

    @property
    def only(self) -> str | None:
        """The name of the statement's only term; None in a join."""
        return self.terms[0] if len(self.terms) == 1 else None

    def whole(self, node: syntax.Expression) -> CompiledExpression | None:
        """Return None: no expression has been computed before."""
        return None

    @property
    def chains(self) -> Collection[int]:
        """The lengths of computed operator chains: none, as nothing was computed before."""
        return ()

    def bind(self, names: Sequence[str]) -> tuple[RowScope, list[int]]:
        """Return a scope that also binds these variables; see `NameScope.bind`."""
        first = len(self.variables)
        positions = list(range(first, first + len(names)))
        added = tuple(zip(names, positions, strict=True))
        return evolve(self, variables=self.variables + added), positions

    def path(self, node: syntax.Path) -> CompiledExpression:
        """
        Return the function that computes a path; see `NameScope.path`.

        In a join, the function raises `SemanticError` for a row of which several documents have the
        field.

        :raises SemanticError: the statement has no term that could have the field.
        """
        first, rest = node.names[0], node.names[1:]
        for name, position in reversed(self.variables):
            if name == first:
                return _bound(position, rest)
        if len(self.terms) == 1:
            return self._in_document(first, rest)
        if first in self.terms:
            at = self.terms.index(first)
            return of_join_row(lambda row, _: _below(MISSING if row[at] is None else row[at], rest))
        return self._in_join(node)

    def _in_document(self, first: str, rest: Names) -> CompiledExpression:
        if first == self.terms[0]:
            if not rest:
                return of_document(lambda row, _: row)
            first, rest = rest[0], rest[1:]
        if not rest:
            return of_document(lambda row, _: row.get(first, MISSING))
        return of_document(lambda row, _: _below(row.get(first, MISSING), rest))

    def _in_join(self, node: syntax.Path) -> CompiledExpression:
        if not self.terms:
            raise SemanticError(
                f"there is no collection that could have {node.names[0]}", node.span
            )
        if node.names == ("_id",):
            return of_join_row(self._composite_id)
        first = node.names[0]

        def find(row: JoinRow, env: Environment) -> Operand:
            having = [document for document in row if document is not None and first in document]
            if len(having) > 1:
                raise SemanticError(f"Ambiguous reference to field: {first}", node.span)
            return _below(having[0], node.names) if having else MISSING

        return of_join_row(find)

    def _composite_id(self, row: JoinRow, env: Environment) -> Operand:
        """Return the ids of the documents of a join row, by the names of their terms."""
        named = zip(self.terms, row, strict=False)
        return {name: document["_id"] for name, document in named if document is not None}


@frozen
class GroupScope:
    """The scope above a grouping: group keys, aggregates, and expressions of them."""

    #: The computed expressions, in the form of `qualify`.
    ready: dict[syntax.Expression, CompiledExpression]
    #: The error for a path that is neither a key nor inside an aggregate.
    refusal: Callable[[syntax.Path], SemanticError]
    #: The name of the only term of the statement, None in a join.
    term: str | None = None
    variables: tuple[tuple[str, int], ...] = field(default=())

    def whole(self, node: syntax.Expression) -> CompiledExpression | None:
        """Return the function for a key or an aggregate of the group; None for others."""
        if not any(type(each) is type(node) for each in self.ready):
            return None
        bound = frozenset([name for name, _ in self.variables])
        return self.ready.get(qualify(node, self.term, bound))

    @property
    def chains(self) -> Collection[int]:
        """The lengths of the operator chains among the keys and aggregates of the group."""
        return {length for node in self.ready if (length := len(syntax.spine(node)))}

    def bind(self, names: Sequence[str]) -> tuple[GroupScope, list[int]]:
        """Return a scope that also binds these variables; see `NameScope.bind`."""
        first = len(self.variables)
        positions = list(range(first, first + len(names)))
        added = tuple(zip(names, positions, strict=True))
        return evolve(self, variables=self.variables + added), positions

    def path(self, node: syntax.Path) -> CompiledExpression:
        """
        Return the function for a bound variable.

        :raises SemanticError: any other path, as a group has no documents.
        """
        for name, position in reversed(self.variables):
            if name == node.names[0]:
                return _bound(position, node.names[1:])
        raise self.refusal(node)

# SPDX-License-Identifier: Apache-2.0
"""
What the names of an expression mean.

A path's first name is, in this order: a bound variable, a term of the statement (its alias, else
its collection), a field of the only term, or a field of the one term of a join that has it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, Protocol

from attrs import evolve, field, frozen

from edge_twisted.documents.values import MISSING, Operand
from edge_twisted.dql import syntax
from edge_twisted.dql.compile.environment import Compiled, Environment
from edge_twisted.dql.errors import SemanticError
from edge_twisted.dql.names import qualify

Names = tuple[str, ...]


class NameScope(Protocol):
    """Gives paths, and perhaps whole expressions, their meaning."""

    def path(self, node: syntax.Path) -> Compiled:
        """
        Return what gives the value of a path.

        :raises SemanticError: it means nothing here.
        """

    def whole(self, node: syntax.Expression) -> Compiled | None:
        """Return what gives the value of a whole expression, if this scope has it ready."""

    @property
    def chains(self) -> Collection[int]:
        """How many operators the chains have that are ready (`syntax.spine`)."""

    def binding(self, names: Sequence[str]) -> tuple[NameScope, list[int]]:
        """Return a scope with these variables bound as well, and their positions."""


def _below(value: Any, names: Names) -> Operand:
    """Follow names into objects; everything else has no fields."""
    for name in names:
        if type(value) is not dict:
            return MISSING
        value = value.get(name, MISSING)
    found: Operand = value
    return found


def _bound(position: int, names: Names) -> Compiled:
    if not names:
        return lambda _, env: env.variables[position]
    return lambda _, env: _below(env.variables[position], names)


@frozen
class RowScope:
    """Rows of one term, which are documents, or of a join, which are tuples of them."""

    terms: Names
    variables: tuple[tuple[str, int], ...] = ()

    @property
    def only(self) -> str | None:
        """The name of the term, if there is one alone."""
        return self.terms[0] if len(self.terms) == 1 else None

    def whole(self, node: syntax.Expression) -> Compiled | None:
        """Nothing is ready."""
        return None

    @property
    def chains(self) -> Collection[int]:
        return ()

    def binding(self, names: Sequence[str]) -> tuple[RowScope, list[int]]:
        first = len(self.variables)
        positions = list(range(first, first + len(names)))
        added = tuple(zip(names, positions, strict=True))
        return evolve(self, variables=self.variables + added), positions

    def path(self, node: syntax.Path) -> Compiled:
        first, rest = node.names[0], node.names[1:]
        for name, position in reversed(self.variables):
            if name == first:
                return _bound(position, rest)
        if len(self.terms) == 1:
            return self._in_document(first, rest)
        if first in self.terms:
            at = self.terms.index(first)
            return lambda row, _: _below(MISSING if row[at] is None else row[at], rest)
        return self._in_join(node)

    def _in_document(self, first: str, rest: Names) -> Compiled:
        if first == self.terms[0]:
            if not rest:
                return lambda row, _: row
            first, rest = rest[0], rest[1:]
        if not rest:
            return lambda row, _: row.get(first, MISSING)
        return lambda row, _: _below(row.get(first, MISSING), rest)

    def _in_join(self, node: syntax.Path) -> Compiled:
        if not self.terms:
            raise SemanticError(
                f"there is no collection that could have {node.names[0]}", node.span
            )
        if node.names == ("_id",):
            return self._composite_id
        first = node.names[0]

        def find(row: Any, env: Environment) -> Operand:
            having = [document for document in row if document is not None and first in document]
            if len(having) > 1:
                raise SemanticError(f"Ambiguous reference to field: {first}", node.span)
            return _below(having[0], node.names) if having else MISSING

        return find

    def _composite_id(self, row: Any, env: Environment) -> Operand:
        """The ids of all terms that a row of a join has, by name."""
        named = zip(self.terms, row, strict=False)
        return {name: document["_id"] for name, document in named if document is not None}


@frozen
class GroupScope:
    """What stands above a grouping: keys, aggregates, and what is made of them."""

    #: By what they are worth, `qualify`.
    ready: dict[syntax.Expression, Compiled]
    #: The error for a path that is neither a key nor inside an aggregate.
    refusal: Callable[[syntax.Path], SemanticError]
    #: The name of the only term of the statement, None in a join.
    term: str | None = None
    variables: tuple[tuple[str, int], ...] = field(default=())

    def whole(self, node: syntax.Expression) -> Compiled | None:
        if not any(type(each) is type(node) for each in self.ready):
            return None
        bound = frozenset([name for name, _ in self.variables])
        return self.ready.get(qualify(node, self.term, bound))

    @property
    def chains(self) -> Collection[int]:
        return {length for node in self.ready if (length := len(syntax.spine(node)))}

    def binding(self, names: Sequence[str]) -> tuple[GroupScope, list[int]]:
        first = len(self.variables)
        positions = list(range(first, first + len(names)))
        added = tuple(zip(names, positions, strict=True))
        return evolve(self, variables=self.variables + added), positions

    def path(self, node: syntax.Path) -> Compiled:
        for name, position in reversed(self.variables):
            if name == node.names[0]:
                return _bound(position, node.names[1:])
        raise self.refusal(node)

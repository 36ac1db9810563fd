# SPDX-License-Identifier: Apache-2.0
"""
Look-up joins: for each row so far, the documents of the new term by id or by an index.

A look-up finds all documents for which the ON condition can be TRUE, and perhaps more, so the
condition is tested again.
"""

from __future__ import annotations

from collections.abc import Sequence

from attrs import field, frozen

from edge_twisted.documents.values import Operand
from edge_twisted.dql import syntax
from edge_twisted.dql.compiler import CompiledExpression, Environment, RowScope, compile_expression
from edge_twisted.dql.plan.access_choice import ID_PATH
from edge_twisted.dql.plan.catalog import Index
from edge_twisted.dql.plan.conditions import Constraint, FieldPath, constraint
from edge_twisted.dql.plan.directives import Directives
from edge_twisted.dql.plan.index_choice import best_ranges
from edge_twisted.dql.plan.nodes import IdScan, IndexScan
from edge_twisted.dql.plan.ranges import Points
from edge_twisted.dql.rows import Row

#: A pair (of the row so far, of the new document) that the condition requires to be equal.
Sides = tuple[syntax.Expression, syntax.Expression]


@frozen
class Lookup:
    """An access path whose expressions are computed from the row so far."""

    access: IdScan | IndexScan
    _scope: RowScope
    #: Compiled expressions by the identity of their nodes, which live as long as the plan.
    _compiled: dict[int, CompiledExpression] = field(factory=dict, init=False, eq=False, repr=False)

    def value(self, node: syntax.Expression, row: Row, env: Environment) -> Operand:
        """Return the value of an expression of the access, computed from the row so far."""
        compiled = self._compiled.get(id(node))
        if compiled is None:
            compiled = self._compiled[id(node)] = compile_expression(node, self._scope)
        return compiled(row, env)


def plan_lookup(
    join: syntax.Join,
    outer: Sequence[str],
    parts: Sequence[syntax.Expression],
    sides: Sequence[Sides | None],
    indexes: Sequence[Index],
    directives: Directives,
) -> Lookup | None:
    """
    Return the look-up of a join's documents; None if all its documents must be read.

    :param outer: the names of the terms of the row so far.
    :param parts: the conjuncts of the ON condition.
    :param sides: for each conjunct the pair of an equality with the rows so far, or None.
    """
    term = join.term
    if join.kind is syntax.JoinKind.RIGHT or term.collection.namespace == "system":
        return None
    if any(isinstance(use, syntax.UseIds | syntax.UseIdList) for use in term.uses):
        return None
    found: dict[int, Constraint] = {}
    for position, (part, pair) in enumerate(zip(parts, sides, strict=True)):
        each = _constraint(part, pair, term.name)
        if each is not None:
            found[position] = each
    access = _by_id(term, found) or _by_index(term, found, sides, indexes, directives)
    # Rows of a single term are tuples here as well, so the scope is that of a join.
    return None if access is None else Lookup(access, RowScope((*outer, term.name)))


def _constraint(part: syntax.Expression, pair: Sides | None, name: str) -> Constraint | None:
    def field_of(path: syntax.Path) -> FieldPath | None:
        return path.names[1:] if len(path.names) > 1 and path.names[0] == name else None

    if pair is None:
        return constraint(part, field_of)
    outer, inner = pair
    path = field_of(inner) if isinstance(inner, syntax.Path) else None
    return None if path is None else Constraint(path, Points((outer,)))


def _by_id(term: syntax.Term, found: dict[int, Constraint]) -> IdScan | None:
    for each in found.values():
        if each.path == ID_PATH and isinstance(each.range, Points):
            return IdScan(alias=term.name, collection=term.collection.name, ids=each.range.values)
    return None


def _by_index(
    term: syntax.Term,
    found: dict[int, Constraint],
    sides: Sequence[Sides | None],
    indexes: Sequence[Index],
    directives: Directives,
) -> IndexScan | None:
    usable = directives.usable(indexes)
    # An index that only narrows by constants would be read again for every row.
    joined = {found[position].path for position in found if sides[position] is not None}
    served = [index for index in usable if index.keys[0].path in joined]
    best = best_ranges(served, found)
    if best is None:
        return None
    return IndexScan(alias=term.name, collection=term.collection.name, ranges=best)

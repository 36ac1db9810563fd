# SPDX-License-Identifier: Apache-2.0
"""
The plan of joins: a look-up, a hash join or nested loops for each further term.

A look-up is used where the condition gives the id or an index key of the new term, a hash join
where it has equalities, nested loops for the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from attrs import frozen

from edge_twisted.dql import syntax
from edge_twisted.dql.compiler import CompiledExpression, RowScope, compile_expression
from edge_twisted.dql.errors import SemanticError
from edge_twisted.dql.formatter import format_expression
from edge_twisted.dql.plan.catalog import Index
from edge_twisted.dql.plan.conditions import FieldPath, conjuncts
from edge_twisted.dql.plan.directives import Directives
from edge_twisted.dql.plan.lookups import Lookup, plan_lookup
from edge_twisted.dql.plan.nodes import Description
from edge_twisted.dql.rewriter import simplify

_TOO_MANY: Final = "Too many joins: the number of joined terms exceeds the maximum permitted."


@frozen(kw_only=True)
class JoinPlan:
    """The plan for joining one further term to the rows so far."""

    kind: syntax.JoinKind
    term: syntax.Term
    condition: CompiledExpression
    node: syntax.Expression
    #: Pairs (of the row so far, of the new document) that the condition requires to be equal.
    equalities: tuple[tuple[CompiledExpression, CompiledExpression], ...]
    #: How the new documents are found for each row; None if all of them are read once.
    lookup: Lookup | None
    #: Fields of the new term with which an index must begin to serve a look-up.
    keys: tuple[FieldPath, ...]

    def describe(self) -> Description:
        """Return the join as EXPLAIN shows it, with the look-up of its documents, if any."""
        hashed = self.equalities and self.lookup is None
        found: Description = {
            "#operator": "hashJoin" if hashed else "nlJoin",
            "alias": self.term.name,
            "collection": self.term.collection.name,
            "kind": self.kind.value.lower(),
            "condition": format_expression(self.node),
        }
        if self.lookup is not None:
            found["access"] = self.lookup.access.describe()
        return found


def plan_joins(
    statement: syntax.Select,
    terms: Sequence[syntax.Term],
    most: int,
    indexes_of: Callable[[syntax.Term], tuple[Sequence[Index], Directives]],
) -> tuple[JoinPlan, ...]:
    """
    Return the plan of each join, at most `most` of them, in the order of the statement.

    :param indexes_of: returns the indexes and the directives of a term.
    :raises SemanticError: there are too many joins, or a RIGHT join is not the first.
    """
    if len(statement.joins) > most:
        raise SemanticError(_TOO_MANY, statement.joins[most].span)
    return tuple(
        _plan(join, position, tuple(term.name for term in terms[: position + 2]), indexes_of)
        for position, join in enumerate(statement.joins)
    )


def _plan(
    join: syntax.Join,
    position: int,
    names: tuple[str, ...],
    indexes_of: Callable[[syntax.Term], tuple[Sequence[Index], Directives]],
) -> JoinPlan:
    if join.kind is syntax.JoinKind.RIGHT and position:
        raise SemanticError(
            "RIGHT OUTER join that isn't the first join is not supported", join.span
        )
    scope = RowScope(names)
    # Compiled before it is simplified, so that no error is simplified away.
    condition = compile_expression(join.condition, scope)
    node = simplify(join.condition) or syntax.Literal(True, span=join.condition.span)
    if node is not join.condition:
        condition = compile_expression(node, scope)
    parts = conjuncts(node)
    sides = [_sides(part, names) for part in parts]
    pairs = [each for each in sides if each is not None]
    inner = [pair[1] for pair in pairs]
    return JoinPlan(
        kind=join.kind,
        term=join.term,
        condition=condition,
        node=node,
        equalities=tuple(
            (compile_expression(a, scope), compile_expression(b, scope)) for a, b in pairs
        ),
        lookup=plan_lookup(join, names[:-1], parts, sides, *indexes_of(join.term)),
        keys=tuple(each.names[1:] for each in inner if isinstance(each, syntax.Path)),
    )


def _sides(
    part: syntax.Expression, names: tuple[str, ...]
) -> tuple[syntax.Expression, syntax.Expression] | None:
    """Return the sides of an equality between the rows so far and the new term, else None."""
    if not isinstance(part, syntax.Binary) or part.operator is not syntax.BinaryOperator.EQUAL:
        return None
    for outer, inner in ((part.left, part.right), (part.right, part.left)):
        if _names_only(outer, names[:-1]) and _names_only(inner, names[-1:]):
            return outer, inner
    return None


def _names_only(node: syntax.Expression, terms: Sequence[str]) -> bool:
    paths = [each for each in node.walk() if isinstance(each, syntax.Path)]
    return bool(paths) and all(len(p.names) > 1 and p.names[0] in terms for p in paths)

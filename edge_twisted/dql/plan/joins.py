# SPDX-License-Identifier: Apache-2.0
"""
Joins: each further term by its id where the condition gives it, by hash where it has equalities,
else by trying every pair.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from attrs import frozen

from edge_twisted.dql import syntax
from edge_twisted.dql.compile import Compiled, RowScope, compile_expression
from edge_twisted.dql.errors import SemanticError
from edge_twisted.dql.format import format_expression
from edge_twisted.dql.plan.conditions import conjuncts
from edge_twisted.dql.plan.nodes import Description

_TOO_MANY: Final = "Too many joins: the number of joined terms exceeds the maximum permitted."


@frozen(kw_only=True)
class JoinPlan:
    """How one further term is joined to the rows so far."""

    kind: syntax.JoinKind
    term: syntax.Term
    condition: Compiled
    node: syntax.Expression
    #: (of the rows so far, of the new document): both are equal where the condition holds.
    equalities: tuple[tuple[Compiled, Compiled], ...]
    #: What the id of the new document equals, if the condition says so.
    inner_id: Compiled | None

    def describe(self) -> Description:
        """Return the step as EXPLAIN shows it."""
        hashed = self.equalities and self.inner_id is None
        return {
            "#operator": "hashJoin" if hashed else "nlJoin",
            "alias": self.term.name,
            "collection": self.term.collection.name,
            "kind": self.kind.value.lower(),
            "condition": format_expression(self.node),
        }


def join_plans(
    statement: syntax.Select, terms: Sequence[syntax.Term], most: int
) -> tuple[JoinPlan, ...]:
    """
    Return the plan of each join, at most `most` of them, in the order of the statement.

    :raises SemanticError: there are too many, or a RIGHT one is not the first.
    """
    if len(statement.joins) > most:
        raise SemanticError(_TOO_MANY, statement.joins[most].span)
    return tuple(
        _plan(join, position, tuple(term.name for term in terms[: position + 2]))
        for position, join in enumerate(statement.joins)
    )


def _plan(join: syntax.Join, position: int, names: tuple[str, ...]) -> JoinPlan:
    if join.kind is syntax.JoinKind.RIGHT and position:
        raise SemanticError(
            "RIGHT OUTER join that isn't the first join is not supported", join.span
        )
    scope = RowScope(names)
    equalities: list[tuple[Compiled, Compiled]] = []
    inner_id: Compiled | None = None
    for part in conjuncts(join.condition):
        sides = _sides(part, names)
        if sides is None:
            continue
        outer, inner = (compile_expression(side, scope) for side in sides)
        equalities.append((outer, inner))
        if sides[1] == syntax.Path((names[-1], "_id")):
            inner_id = outer
    return JoinPlan(
        kind=join.kind,
        term=join.term,
        condition=compile_expression(join.condition, scope),
        node=join.condition,
        equalities=tuple(equalities),
        inner_id=inner_id,
    )


def _sides(
    part: syntax.Expression, names: tuple[str, ...]
) -> tuple[syntax.Expression, syntax.Expression] | None:
    """Return both sides of an equality between what there is and the new term, else None."""
    if not isinstance(part, syntax.Binary) or part.operator is not syntax.BinaryOperator.EQUAL:
        return None
    for outer, inner in ((part.left, part.right), (part.right, part.left)):
        if _names_only(outer, names[:-1]) and _names_only(inner, names[-1:]):
            return outer, inner
    return None


def _names_only(node: syntax.Expression, terms: Sequence[str]) -> bool:
    paths = [each for each in node.walk() if isinstance(each, syntax.Path)]
    return bool(paths) and all(len(p.names) > 1 and p.names[0] in terms for p in paths)

# SPDX-License-Identifier: Apache-2.0
"""
Conditions made simpler before they are planned.

A rule is a pure function of one node and the way that the node counts; `RULES` is all of them, in
the order in which they are tried.  To add one: write the function, put it into `RULES`, and give
it a fixture of its name in ``tests/unit/dql/rewrite``; a law holds every rule against
random conditions and documents.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from edge_twisted.dql import syntax
from edge_twisted.dql.rewrite.chains import drop_dead, flatten
from edge_twisted.dql.rewrite.constants import fold_constants
from edge_twisted.dql.rewrite.counting import FALSITY, TRUTH, Counts, Rule
from edge_twisted.dql.rewrite.equalities import equality_of_one, join_equalities
from edge_twisted.dql.rewrite.negations import push_negation
from edge_twisted.dql.rewrite.ranges import split_between

RULES: Final[tuple[Rule, ...]] = (
    fold_constants,
    push_negation,
    flatten,
    split_between,
    equality_of_one,
    join_equalities,
    drop_dead,
)
#: A pass may make room for another rule; a condition that still changes then stays as it is.
_PASSES: Final = 4


def simplify(
    condition: syntax.Expression | None, rules: Sequence[Rule] = RULES
) -> syntax.Expression | None:
    """Return a condition that is TRUE for the same rows; None where every row is kept."""
    if condition is None:
        return None
    for _ in range(_PASSES):
        before = condition
        condition = _walk(condition, TRUTH, rules)
        if condition is before:
            break
    if isinstance(condition, syntax.Literal) and condition.value is True:
        return None
    return condition


def _walk(node: syntax.Expression, counts: Counts, rules: Sequence[Rule]) -> syntax.Expression:
    """Apply the rules to what is joined by AND, OR and NOT, operands first."""
    node = _below(node, counts, rules)
    for rule in rules:
        node = rule(node, counts)
    return node


def _below(node: syntax.Expression, counts: Counts, rules: Sequence[Rule]) -> syntax.Expression:
    match node:
        case syntax.And(operands=operands) | syntax.Or(operands=operands):
            found = tuple([_walk(each, counts, rules) for each in operands])
            if all(a is b for a, b in zip(found, operands, strict=True)):
                return node
            return type(node)(found, span=node.span)
        case syntax.Unary(operator=syntax.UnaryOperator.NOT, operand=operand):
            inner = _walk(operand, FALSITY if counts is TRUTH else TRUTH, rules)
            return node if inner is operand else syntax.Unary(node.operator, inner, span=node.span)
    return node


__all__ = ["RULES", "simplify"]

# SPDX-License-Identifier: Apache-2.0
"""
Rewriting of conditions: simpler conditions that keep the same rows, made before planning.

A rule is a pure function of a node and of which truth value matters for it (`polarity.Counts`).
`RULES` is all rules, in the order in which they are tried.  The way in is `simplify`.

To add a rule: write the function, put it into `RULES`, and add a fixture of its name in
``tests/unit/dql/rewriter``; a law checks every rule against random conditions and documents.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from edge_twisted.dql import syntax
from edge_twisted.dql.rewriter.between import split_between
from edge_twisted.dql.rewriter.chains import drop_dead, flatten
from edge_twisted.dql.rewriter.constants import fold_constants
from edge_twisted.dql.rewriter.equalities import equality_of_one, join_equalities
from edge_twisted.dql.rewriter.negations import push_negation
from edge_twisted.dql.rewriter.polarity import FALSITY, TRUTH, Polarity, Rule

RULES: Final[tuple[Rule, ...]] = (
    fold_constants,
    push_negation,
    flatten,
    split_between,
    equality_of_one,
    join_equalities,
    drop_dead,
)
#: The most passes over a condition; a pass may enable a rule that did not apply before.
_PASSES: Final = 4


def simplify(
    condition: syntax.Expression | None, rules: Sequence[Rule] = RULES
) -> syntax.Expression | None:
    """Return a simpler condition that is TRUE for the same rows; None if it is always TRUE."""
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


def _walk(node: syntax.Expression, polarity: Polarity, rules: Sequence[Rule]) -> syntax.Expression:
    """Apply the rules to the operands of AND, OR and NOT, and then to the node."""
    node = _below(node, polarity, rules)
    for rule in rules:
        node = rule(node, polarity)
    return node


def _below(node: syntax.Expression, polarity: Polarity, rules: Sequence[Rule]) -> syntax.Expression:
    match node:
        case syntax.And(operands=operands) | syntax.Or(operands=operands):
            found = tuple([_walk(each, polarity, rules) for each in operands])
            if all(a is b for a, b in zip(found, operands, strict=True)):
                return node
            return type(node)(found, span=node.span)
        case syntax.Unary(operator=syntax.UnaryOperator.NOT, operand=operand):
            inner = _walk(operand, FALSITY if polarity is TRUTH else TRUTH, rules)
            return node if inner is operand else syntax.Unary(node.operator, inner, span=node.span)
    return node


__all__ = ["RULES", "simplify"]

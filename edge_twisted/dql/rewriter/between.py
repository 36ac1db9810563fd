# SPDX-License-Identifier: Apache-2.0
"""Rewriting of BETWEEN: two comparisons where only one bound is constant."""

from __future__ import annotations

from edge_twisted.dql import syntax
from edge_twisted.dql.rewriter.polarity import Polarity
from edge_twisted.dql.syntax import BinaryOperator as Operator


def split_between(node: syntax.Expression, polarity: Polarity) -> syntax.Expression:
    """
    Rewrite ``a BETWEEN 1 AND b`` to ``a >= 1 AND a <= b``: an index serves the first part.

    With two constant bounds, or none, the node stays as it is: an index serves both, or neither.
    """
    if not isinstance(node, syntax.Between) or not isinstance(node.operand, syntax.Path):
        return node
    if _is_constant(node.low) == _is_constant(node.high):
        return node
    low = syntax.Binary(Operator.GREATER_OR_EQUAL, node.operand, node.low, span=node.span)
    high = syntax.Binary(Operator.LESS_OR_EQUAL, node.operand, node.high, span=node.span)
    return syntax.And((low, high), span=node.span)


def _is_constant(node: syntax.Expression) -> bool:
    return not any(isinstance(each, syntax.Path) for each in node.walk())

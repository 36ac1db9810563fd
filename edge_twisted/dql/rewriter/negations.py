# SPDX-License-Identifier: Apache-2.0
"""Rewriting of NOT: pushed down into comparisons, which an index can serve."""

from __future__ import annotations

from typing import Final

from edge_twisted.dql import syntax
from edge_twisted.dql.rewriter.polarity import Polarity
from edge_twisted.dql.syntax import BinaryOperator as Operator

_OPPOSITES: Final = {
    Operator.EQUAL: Operator.NOT_EQUAL,
    Operator.NOT_EQUAL: Operator.EQUAL,
    Operator.LESS: Operator.GREATER_OR_EQUAL,
    Operator.GREATER_OR_EQUAL: Operator.LESS,
    Operator.GREATER: Operator.LESS_OR_EQUAL,
    Operator.LESS_OR_EQUAL: Operator.GREATER,
}


def push_negation(node: syntax.Expression, polarity: Polarity) -> syntax.Expression:
    """
    Rewrite ``NOT (a < b AND c)`` to ``a >= b OR NOT c``.

    A comparison and its opposite are unknown for the same rows, and by De Morgan's laws AND and OR
    exchange.  Only NULL and MISSING may come out differently.
    """
    if not isinstance(node, syntax.Unary) or node.operator is not syntax.UnaryOperator.NOT:
        return node
    match node.operand:
        case syntax.Unary(operator=syntax.UnaryOperator.NOT, operand=inner):
            return inner
        case syntax.And(operands=operands):
            return syntax.Or(tuple(_negate(each, polarity) for each in operands), span=node.span)
        case syntax.Or(operands=operands):
            return syntax.And(tuple(_negate(each, polarity) for each in operands), span=node.span)
        case syntax.Binary(operator=operator, left=left, right=right) if operator in _OPPOSITES:
            return syntax.Binary(_OPPOSITES[operator], left, right, span=node.span)
    return node


def _negate(node: syntax.Expression, polarity: Polarity) -> syntax.Expression:
    return push_negation(syntax.Unary(syntax.UnaryOperator.NOT, node, span=node.span), polarity)

# SPDX-License-Identifier: Apache-2.0
"""Rewriting of AND and OR: nested chains are flattened, constant operands dropped."""

from __future__ import annotations

from edge_twisted.dql import syntax
from edge_twisted.dql.rewriter.polarity import FALSITY, TRUTH, Polarity


def flatten(node: syntax.Expression, polarity: Polarity) -> syntax.Expression:
    """
    Rewrite ``a AND (b AND c)`` to ``a AND b AND c``, and drop repeated operands.

    OR is rewritten in the same way.  Any other node is returned as it is.
    """
    if not isinstance(node, syntax.And | syntax.Or):
        return node
    kind = type(node)
    found: dict[syntax.Expression, None] = {}
    for each in node.operands:
        found.update(dict.fromkeys(each.operands if isinstance(each, kind) else (each,)))
    if len(found) == len(node.operands) and all(
        a is b for a, b in zip(found, node.operands, strict=True)
    ):
        return node
    return _chain(kind, list(found), node)


def drop_dead(node: syntax.Expression, polarity: Polarity) -> syntax.Expression:
    """
    Rewrite ``a AND TRUE`` to ``a`` and ``a AND FALSE`` to FALSE; OR the other way round.

    A NULL, MISSING or non-boolean operand never makes the whole TRUE.  It is equivalent to FALSE
    where truth counts, and to TRUE where falsity counts.
    """
    if not isinstance(node, syntax.And | syntax.Or):
        return node
    neutral = isinstance(node, syntax.And)
    kept: list[syntax.Expression] = []
    for each in node.operands:
        worth = _worth(each, polarity)
        if worth is (not neutral):
            return syntax.Literal(worth, span=node.span)
        if worth is None:
            kept.append(each)
    if len(kept) == len(node.operands):
        return node
    return _chain(type(node), kept, node) if kept else syntax.Literal(neutral, span=node.span)


def _worth(node: syntax.Expression, polarity: Polarity) -> bool | None:
    """Return the boolean to which a literal is equivalent; None if the node is no literal."""
    if isinstance(node, syntax.Literal) and isinstance(node.value, bool):
        return node.value
    if isinstance(node, syntax.Literal | syntax.MissingLiteral):
        return {TRUTH: False, FALSITY: True}[polarity]
    return None


def _chain(
    kind: type[syntax.And] | type[syntax.Or],
    operands: list[syntax.Expression],
    node: syntax.Expression,
) -> syntax.Expression:
    return operands[0] if len(operands) == 1 else kind(tuple(operands), span=node.span)

# SPDX-License-Identifier: Apache-2.0
"""Rewriting of ``=`` and IN: equalities of one path become one list of values."""

from __future__ import annotations

from edge_twisted.dql import syntax
from edge_twisted.dql.rewriter.polarity import TRUTH, Polarity
from edge_twisted.dql.syntax import BinaryOperator as Operator


def equality_of_one(node: syntax.Expression, polarity: Polarity) -> syntax.Expression:
    """
    Rewrite ``a IN [1]`` to ``a = 1`` where truth counts.

    Where falsity counts they differ: ``'x' IN [1]`` is FALSE, ``'x' = 1`` is MISSING.
    """
    if polarity is not TRUTH:
        return node
    match node:
        case syntax.Binary(
            operator=Operator.IN, left=left, right=syntax.ArrayLiteral(elements=(only,))
        ):
            return syntax.Binary(Operator.EQUAL, left, only, span=node.span)
    return node


def join_equalities(node: syntax.Expression, polarity: Polarity) -> syntax.Expression:
    """
    Rewrite ``a = 1 OR a = 2 OR b`` to ``a IN [1, 2] OR b`` where truth counts.

    Any other node is returned as it is.
    """
    if polarity is not TRUTH or not isinstance(node, syntax.Or):
        return node
    values: dict[syntax.Path, list[syntax.Expression]] = {}
    for each in node.operands:
        found = _equality(each)
        if found is not None:
            values.setdefault(found[0], []).extend(found[1])
    joined = {path for path, found in values.items() if len(found) > 1}
    if not any(_count(node, path) > 1 for path in joined):
        return node
    return _join(node, values)


def _join(node: syntax.Or, values: dict[syntax.Path, list[syntax.Expression]]) -> syntax.Expression:
    operands: list[syntax.Expression] = []
    done: set[syntax.Path] = set()
    for each in node.operands:
        found = _equality(each)
        if found is None or len(values[found[0]]) == 1:
            operands.append(each)
        elif found[0] not in done:
            done.add(found[0])
            array = syntax.ArrayLiteral(tuple(values[found[0]]), span=each.span)
            operands.append(syntax.Binary(Operator.IN, found[0], array, span=each.span))
    return operands[0] if len(operands) == 1 else syntax.Or(tuple(operands), span=node.span)


def _count(node: syntax.Or, path: syntax.Path) -> int:
    found = [_equality(each) for each in node.operands]
    return sum(each is not None and each[0] == path for each in found)


def _equality(
    node: syntax.Expression,
) -> tuple[syntax.Path, tuple[syntax.Expression, ...]] | None:
    """Return the path and the values of an equality with literals or parameters, else None."""
    match node:
        case syntax.Binary(operator=Operator.EQUAL, left=syntax.Path() as path, right=value):
            values: tuple[syntax.Expression, ...] = (value,)
        case syntax.Binary(operator=Operator.EQUAL, left=value, right=syntax.Path() as path):
            values = (value,)
        case syntax.Binary(
            operator=Operator.IN,
            left=syntax.Path() as path,
            right=syntax.ArrayLiteral(elements=values),
        ):
            pass
        case _:
            return None
    if all(isinstance(each, syntax.Literal | syntax.Parameter) for each in values):
        return path, values
    return None

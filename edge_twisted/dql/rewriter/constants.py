# SPDX-License-Identifier: Apache-2.0
"""Constant folding: an expression of literals becomes the literal of its value."""

from __future__ import annotations

from typing import Final

from attrs import evolve

from edge_twisted.documents.values import MISSING, Operand
from edge_twisted.dql import syntax
from edge_twisted.dql.compiler import Environment, RowScope, compile_expression
from edge_twisted.dql.errors import DqlError
from edge_twisted.dql.functions.context import NO_CONTEXT
from edge_twisted.dql.functions.registry import find_function
from edge_twisted.dql.rewriter.polarity import Polarity

_FOLDABLE: Final = (
    syntax.Unary,
    syntax.Binary,
    syntax.And,
    syntax.Or,
    syntax.Between,
    syntax.Like,
    syntax.Is,
    syntax.Cast,
    syntax.Call,
)
_LITERALS: Final = (syntax.Literal, syntax.MissingLiteral)
#: The longest folded string, in characters, that a plan keeps.
_MAX_LENGTH: Final = 256


def fold_constants(node: syntax.Expression, polarity: Polarity) -> syntax.Expression:
    """
    Rewrite ``1 + 1`` to ``2``, at any place of the condition.

    An expression that would fail is left as it is: it must fail only if it is evaluated.
    """
    if isinstance(node, syntax.And | syntax.Or):
        found = _fold(node)  # its operands have been folded before
    else:
        found = syntax.map_tree(node, _fold)
    assert isinstance(found, syntax.Expression)
    return found


def _fold(node: syntax.Node) -> syntax.Node:
    if not isinstance(node, _FOLDABLE) or not _is_constant(node):
        return node
    try:
        value = compile_expression(node, RowScope(()))(None, Environment({}, NO_CONTEXT))
    except DqlError:
        return node
    found = _literal(value)
    return node if found is None else evolve(found, span=node.span)


def _is_constant(node: syntax.Expression) -> bool:
    if isinstance(node, syntax.Call):
        function = find_function(node.name)
        if function is None or not function.deterministic or function.grows or function.takes_long:
            return False
    return all(_is_literal(child) for child in node.children())


def _is_literal(node: syntax.Node) -> bool:
    if isinstance(node, syntax.ArrayLiteral):
        return all(map(_is_literal, node.elements))
    return isinstance(node, _LITERALS)


def _literal(value: Operand) -> syntax.Expression | None:
    if value is MISSING:
        return syntax.MissingLiteral()
    if isinstance(value, str) and len(value) > _MAX_LENGTH:
        return None
    return syntax.literal_of(value) if not isinstance(value, list | dict) else None

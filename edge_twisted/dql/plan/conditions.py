# SPDX-License-Identifier: Apache-2.0
"""Analysis of conditions: conjuncts, and the constraint of each on a single field."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from attrs import frozen

from edge_twisted.dql import syntax
from edge_twisted.dql.plan.ranges import (
    Absent,
    BoundedRange,
    ElementOf,
    OtherThan,
    Points,
    PrefixRange,
    Present,
    Range,
)

FieldPath = tuple[str, ...]
#: Returns the field of the document that a path means; None if it means something else.
FieldOf = Callable[[syntax.Path], FieldPath | None]

_MIRRORED: Final = {
    syntax.BinaryOperator.EQUAL: syntax.BinaryOperator.EQUAL,
    syntax.BinaryOperator.NOT_EQUAL: syntax.BinaryOperator.NOT_EQUAL,
    syntax.BinaryOperator.LESS: syntax.BinaryOperator.GREATER,
    syntax.BinaryOperator.LESS_OR_EQUAL: syntax.BinaryOperator.GREATER_OR_EQUAL,
    syntax.BinaryOperator.GREATER: syntax.BinaryOperator.LESS,
    syntax.BinaryOperator.GREATER_OR_EQUAL: syntax.BinaryOperator.LESS_OR_EQUAL,
}


@frozen
class Constraint:
    """A conjunct of a condition, as a range of one field."""

    path: FieldPath
    range: Range


def conjuncts(condition: syntax.Expression | None) -> tuple[syntax.Expression, ...]:
    """
    Return the conjuncts of a condition, which is TRUE if and only if all of them are.

    An absent condition has none.
    """
    if condition is None:
        return ()
    if isinstance(condition, syntax.And):
        return condition.operands
    return (condition,)


def conjunction(parts: tuple[syntax.Expression, ...]) -> syntax.Expression | None:
    """Return the conjunction of ``parts``; None if there are none."""
    if len(parts) > 1:
        return syntax.And(parts)
    return parts[0] if parts else None


def is_constant(expression: syntax.Expression) -> bool:
    """Return whether an expression needs no row: it may have parameters, but no paths."""
    return not any(isinstance(node, syntax.Path) for node in expression.walk())


def constraint(condition: syntax.Expression, field_of: FieldOf) -> Constraint | None:
    """Return what one conjunct demands of one field; None if no index could serve it."""
    match condition:
        case syntax.Binary(operator=syntax.BinaryOperator.IN):
            return _membership(condition, field_of)
        case syntax.Binary():
            return _comparison(condition, field_of)
        case syntax.Between(operand=operand, low=low, high=high):
            if is_constant(low) and is_constant(high):
                return _on(operand, BoundedRange(low=low, high=high), field_of)
        case syntax.Like(kind=syntax.PatternKind.LIKE, operand=operand, pattern=pattern):
            return _like(condition, operand, pattern, field_of)
        case syntax.Is(operand=operand, absence=absence):
            return _on(operand, Absent(absence), field_of)
        case syntax.Unary(operator=syntax.UnaryOperator.NOT, operand=negated):
            return _negation(negated, field_of)
    return None


def _on(operand: syntax.Expression, range_: Range, field_of: FieldOf) -> Constraint | None:
    if not isinstance(operand, syntax.Path):
        return None
    path = field_of(operand)
    return None if path is None else Constraint(path, range_)


def _comparison(condition: syntax.Binary, field_of: FieldOf) -> Constraint | None:
    operator, field, value = condition.operator, condition.left, condition.right
    if operator not in _MIRRORED:
        return None
    if is_constant(field):
        operator, field, value = _MIRRORED[operator], value, field
    if not is_constant(value):
        return None
    return _on(field, _COMPARED[operator](value), field_of)


_COMPARED: Final[dict[syntax.BinaryOperator, Callable[[syntax.Expression], Range]]] = {
    syntax.BinaryOperator.EQUAL: lambda value: Points((value,)),
    syntax.BinaryOperator.NOT_EQUAL: OtherThan,
    syntax.BinaryOperator.LESS: lambda value: BoundedRange(high=value, high_included=False),
    syntax.BinaryOperator.LESS_OR_EQUAL: lambda value: BoundedRange(high=value),
    syntax.BinaryOperator.GREATER: lambda value: BoundedRange(low=value, low_included=False),
    syntax.BinaryOperator.GREATER_OR_EQUAL: lambda value: BoundedRange(low=value),
}


def _membership(condition: syntax.Binary, field_of: FieldOf) -> Constraint | None:
    array = condition.right
    if not is_constant(array):
        return None
    if isinstance(array, syntax.ArrayLiteral):
        return _on(condition.left, Points(array.elements), field_of)
    return _on(condition.left, ElementOf(array), field_of)


def _like(
    condition: syntax.Like,
    operand: syntax.Expression,
    pattern: syntax.Expression,
    field_of: FieldOf,
) -> Constraint | None:
    if not is_constant(pattern):
        return None
    if condition.escape is None:
        return _on(operand, PrefixRange(pattern), field_of)
    escape = condition.escape
    if isinstance(escape, syntax.Literal) and isinstance(escape.value, str):
        return _on(operand, PrefixRange(pattern, escape.value), field_of)
    return None


def _negation(negated: syntax.Expression, field_of: FieldOf) -> Constraint | None:
    match negated:
        case syntax.Is(operand=operand, absence=syntax.Absence.MISSING):
            return _on(operand, Present(), field_of)
        # NOT (a = b) is TRUE where a = b is FALSE, and so where a != b is TRUE.
        case syntax.Binary(operator=syntax.BinaryOperator.EQUAL, left=left, right=right):
            opposite = syntax.Binary(syntax.BinaryOperator.NOT_EQUAL, left, right)
            return _comparison(opposite, field_of)
    return None

# SPDX-License-Identifier: Apache-2.0
"""
Outlines of conditions: the constraints on single fields, in the shape of the condition.

An outline is made once with a plan; an execution only fills in its values
(`edge_twisted.database.prefilters`).
"""

from __future__ import annotations

from typing import Final, TypeAlias

from attrs import frozen

from edge_twisted.dql import syntax
from edge_twisted.dql.plan.conditions import Constraint, FieldOf, conjuncts, constraint


@frozen
class Outline:
    """A conjunction of parts that the condition implies; if `whole`, the parts imply it, too."""

    parts: tuple[Part, ...]
    whole: bool


@frozen
class Alternatives:
    """A disjunction of outlines, none of which is empty."""

    branches: tuple[Outline, ...]


Part: TypeAlias = Constraint | Alternatives

#: The outline of an absent condition.
NOTHING_ASKED: Final = Outline((), True)


def outline(condition: syntax.Expression | None, field_of: FieldOf) -> Outline:
    """
    Return what a condition demands of single fields of the documents of one collection.

    An absent condition demands nothing.
    """
    if condition is None:
        return NOTHING_ASKED
    parts = [_part(each, field_of) for each in conjuncts(condition)]
    found = tuple(part for part in parts if part is not None)
    return Outline(found, len(found) == len(parts))


def _part(condition: syntax.Expression, field_of: FieldOf) -> Part | None:
    if not isinstance(condition, syntax.Or):
        return constraint(condition, field_of)
    branches = tuple(outline(branch, field_of) for branch in condition.operands)
    # A branch without constraints may hold for any document.
    return Alternatives(branches) if all(branch.parts for branch in branches) else None

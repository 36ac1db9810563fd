# SPDX-License-Identifier: Apache-2.0
"""
Covering indexes: statements that an index answers alone, without reading documents.

Index keys say which documents exist and what their ids are.  They do not say what the indexed
values are: ``1`` and ``1.0`` have the same key.  So an index covers a count, and ids.
"""

from __future__ import annotations

from enum import Enum

from attrs import evolve

from edge_twisted.dql import syntax
from edge_twisted.dql.plan.access_choice import ID_PATH, Choice, Fidelity
from edge_twisted.dql.plan.conditions import FieldOf
from edge_twisted.dql.plan.nodes import IndexScan


class Covers(Enum):
    """What a covering index provides."""

    COUNT = "count"
    IDS = "ids"


def covers(
    statement: syntax.Select, choice: Choice | None, fidelity: Fidelity, field_of: FieldOf
) -> Covers | None:
    """
    Return what the chosen index provides, if the statement needs nothing else, or None.

    :param fidelity: how far stored bodies are what the statement sees.
    """
    if choice is None or choice.residual is not None or statement.joins:
        return None
    if not isinstance(choice.access, IndexScan) or fidelity is not Fidelity.WHOLE:
        return None
    if not choice.access.ranges.index.exact or choice.access.backwards:
        return None
    if statement.group_by or statement.having is not None:
        return None
    if count_name(statement) is not None:
        return Covers.COUNT
    if statement.selection.order_by and not choice.ordered:
        return None
    return Covers.IDS if all(_is_id(each, field_of) for each in statement.projections) else None


def cover(choice: Choice) -> Choice:
    """Return the choice with its index scan marked as covering."""
    assert isinstance(choice.access, IndexScan)
    return evolve(choice, access=evolve(choice.access, covering=True))


def count_name(statement: syntax.Select) -> str | None:
    """Return the output name of the count, if a statement only counts rows; else None."""
    if statement.group_by or statement.having is not None or statement.distinct:
        return None
    match statement.projections:
        case (
            syntax.ResultExpression(expression=syntax.Call(name="count", star=True), alias=alias),
        ):
            return alias or "($1)"
    return None


def _is_id(projection: syntax.Projection, field_of: FieldOf) -> bool:
    match projection:
        case syntax.ResultExpression(expression=syntax.Path() as path):
            field = field_of(path)
            return field is not None and field[:1] == ID_PATH
    return False

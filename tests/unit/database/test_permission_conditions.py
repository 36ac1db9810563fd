# SPDX-License-Identifier: Apache-2.0
"""The condition of a permission as part of a statement's."""

from __future__ import annotations

from edge_twisted.database.permissions import add_rules
from edge_twisted.dql.formatter import format_expression


def in_statement(condition: str, term: str) -> str:
    found = add_rules(None, term, ((condition,),), "ann")
    assert found is not None
    return format_expression(found)


def test_every_name_is_a_field_whatever_the_caller_calls_the_term() -> None:
    assert in_statement("owner = :identity", "owner") == "owner.owner = 'ann'"


def test_a_variable_hides_no_field_outside_of_its_expression() -> None:
    condition = "owner = :identity OR ANY owner IN owner.staff SATISFIES owner = 1 END"
    assert in_statement(condition, "owner") == (
        "owner.owner = 'ann' OR ANY owner IN owner.owner.staff SATISFIES owner = 1 END"
    )

# SPDX-License-Identifier: Apache-2.0
"""The conditions of permissions, as the configuration is checked."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from edge_twisted.services.configuration import start_checks

CHECK = start_checks(lambda: datetime.now(UTC)).condition


@pytest.mark.parametrize(
    ("text", "collection"),
    [
        ("owner = :identity", "tasks"),
        ("tasks = 'open'", "tasks"),  # a field of that name
        ("tasks.owner = 1", "*"),
        ("tasks.owner = 1", "orders"),
        ("ANY tasks IN list SATISFIES tasks.owner = 1 END", "tasks"),
    ],
)
def test_names_are_fields(text: str, collection: str) -> None:
    assert CHECK(text, collection) == []


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("tasks.secret IS MISSING", 1),
        ("owner = 1 OR NOT `tasks`.secret", 18),
        ("ANY tasks IN tasks.list SATISFIES tasks = 1 END", 14),
    ],
)
def test_a_field_of_the_collection_is_refused(text: str, column: int) -> None:
    [problem] = CHECK(text, "tasks")
    assert "leave the collection out: write " in problem.reason
    assert (problem.line, problem.column) == (1, column)


def test_what_means_nothing_is_reported_at_its_place() -> None:
    [problem] = CHECK("owner = nope(1)", "tasks")
    assert "unknown function nope" in problem.reason
    assert problem.column == 9

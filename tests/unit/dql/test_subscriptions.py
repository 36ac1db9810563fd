# SPDX-License-Identifier: Apache-2.0
"""Which queries can be subscriptions, and which documents they match."""

from __future__ import annotations

import pytest
from attrs import frozen

from edge_twisted.dql.errors import ArgumentError, DqlError, SemanticError
from edge_twisted.dql.subscriptions import subscription


@frozen
class Context:
    now_ms: int = 0
    app_id: str = "db"
    request_id: str = ""
    start_time: str = ""


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("SELECT a FROM t", "A projection other than wildcard (*)"),
        ("SELECT COUNT(*) FROM t", "A projection other than wildcard (*)"),
        ("SELECT DISTINCT * FROM t", "DISTINCT"),
        ("SELECT * FROM t GROUP BY a", "Grouping"),
        ("SELECT * FROM t JOIN u ON t.a = u.a", "Joining"),
        ("SELECT * FROM t USE IDS 'a'", "USE IDS"),
        ("SELECT * FROM t LIMIT 1", "Limit or Order by"),
        ("SELECT * FROM t ORDER BY a", "Limit or Order by"),
        ("DELETE FROM t", "non-SELECT statement in sync subscription"),
    ],
)
def test_what_is_refused(query: str, message: str) -> None:
    with pytest.raises(DqlError) as refused:
        subscription(query, {}, Context())
    assert f"Unsupported feature: {message}" in str(refused.value)
    assert refused.value.position is not None


def test_errors_of_the_condition() -> None:
    with pytest.raises(SemanticError, match="unknown function nope"):
        subscription("SELECT * FROM t WHERE nope(a)", {}, Context())
    with pytest.raises(ArgumentError, match="Parameter a was not provided"):
        subscription("SELECT * FROM t WHERE a = :a", {}, Context())
    with pytest.raises(ArgumentError, match="Argument b is not used"):
        subscription("SELECT * FROM t", {"b": 1}, Context())


def test_matching() -> None:
    found = subscription(
        "SELECT * FROM orders o WHERE o.store = :s AND total > :min", {"s": 1, "min": 0}, Context()
    )
    assert (found.collection, found.is_virtual) == ("orders", False)
    assert found.matches({"_id": 1, "store": 1, "total": 5})
    assert not found.matches({"_id": 1, "store": 1, "total": 0})
    assert not found.matches({"_id": 1, "store": 1})
    assert subscription("SELECT * FROM t", {}, Context()).matches({})
    limited = subscription("SELECT * FROM t LIMIT 1", {}, Context(), restricted=False)
    assert limited.matches({})
    assert subscription("SELECT * FROM system:dual", {}, Context()).is_virtual

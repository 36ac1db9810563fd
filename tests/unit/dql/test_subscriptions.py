# SPDX-License-Identifier: Apache-2.0
"""Which queries can be subscriptions, when two are the same, and which documents they match."""

from __future__ import annotations

from itertools import count

import pytest
from attrs import frozen

from edge_twisted.documents.values import Value
from edge_twisted.dql.errors import ArgumentError, DqlError, SemanticError
from edge_twisted.dql.execution.interruption import BudgetExceeded, StatementTimeout
from edge_twisted.dql.subscriptions import Subscription

Arguments = dict[str, Value]


@frozen
class Context:
    now_ms: int = 1_000
    app_id: str = "db"
    request_id: str = ""
    start_time: str = ""


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("SELECT a FROM t", "A projection other than wildcard (*)"),
        ("SELECT t.* FROM t", "A projection other than wildcard (*)"),
        ("SELECT COUNT(*) FROM t", "A projection other than wildcard (*)"),
        ("SELECT DISTINCT * FROM t", "DISTINCT"),
        ("SELECT * FROM t GROUP BY a", "Grouping"),
        ("SELECT * FROM t JOIN u ON t.a = u.a", "Joining"),
        ("SELECT * FROM t USE IDS 'a'", "USE IDS"),
        ("SELECT * FROM t USE IDS LIST ['a']", "USE IDS"),
        ("SELECT * FROM t LIMIT 1", "Limit or Order by"),
        ("SELECT * FROM t OFFSET 1", "Limit or Order by"),
        ("SELECT * FROM t ORDER BY a", "Limit or Order by"),
        ("DELETE FROM t", "non-SELECT statement in sync subscription"),
        ("SELECT * FROM t WHERE a > clock()", "clock() in a sync subscription"),
    ],
)
def test_what_is_refused(query: str, message: str) -> None:
    with pytest.raises(DqlError) as refused:
        Subscription.of(query, {})
    assert f"Unsupported feature: {message}" in str(refused.value)
    assert refused.value.position is not None


def test_errors_of_the_condition() -> None:
    with pytest.raises(SemanticError, match=r"called x here: write x for .*, x\.t for its field"):
        Subscription.of("SELECT * FROM t x WHERE t = 1", {})
    with pytest.raises(SemanticError, match="unknown function nope"):
        Subscription.of("SELECT * FROM t WHERE nope(a)", {})
    with pytest.raises(ArgumentError, match="Parameter a was not provided"):
        Subscription.of("SELECT * FROM t WHERE a = :a", {})
    with pytest.raises(ArgumentError, match="Argument b is not used"):
        Subscription.of("SELECT * FROM t", {"b": 1})
    with pytest.raises(ArgumentError, match="Argument b of a subscription is binary"):
        Subscription.of("SELECT * FROM t WHERE a = :b", {"b": [b"x"]})


def test_arguments_cannot_nest_deeper_than_statements() -> None:
    deep: Value = 1
    for _ in range(210):
        deep = [deep]
    with pytest.raises(ArgumentError, match="nested deeper than 200"):
        Subscription.of("SELECT * FROM t WHERE a = :a", {"a": deep})


def test_matching() -> None:
    found = Subscription.of(
        "SELECT * FROM orders o WHERE o.store = :s AND total > :min", {"s": 1, "min": 0}
    )
    assert (found.collection, found.is_virtual) == ("orders", False)
    assert found.matches({"_id": 1, "store": 1, "total": 5})
    assert not found.matches({"_id": 1, "store": 1, "total": 0})
    assert not found.matches({"_id": 1, "store": 1})
    assert Subscription.of("SELECT * FROM t", {}).matches({})
    limited = Subscription.of("SELECT * FROM t ORDER BY a LIMIT 1", {}, restricted=False)
    assert limited.matches({})
    assert limited.key == Subscription.of("SELECT * FROM t", {}).key
    assert Subscription.of("SELECT * FROM system:dual", {}).is_virtual
    assert Subscription.of("SELECT * FROM t WHERE a < clock()", {}, Context()).matches({"a": 9})


def test_a_document_that_fails_to_evaluate_does_not_match() -> None:
    found = Subscription.of("SELECT * FROM t WHERE a SIMILAR TO p", {})
    assert found.matches({"a": "x", "p": "x"})
    assert not found.matches({"a": "x", "p": "("})


@pytest.mark.parametrize(
    ("query", "arguments", "canonical"),
    [
        ("select * from  t", {}, "SELECT * FROM t"),
        ("SELECT * FROM default:t AS x", {}, "SELECT * FROM t"),
        ("SELECT * FROM COLLECTION t (a MAP) USE INDEX 'i'", {}, "SELECT * FROM t"),
        ("SELECT * FROM t x WHERE x.a = 1", {}, "SELECT * FROM t WHERE a = 1"),
        ("SELECT * FROM t WHERE (t.a == :n)", {"n": 1}, "SELECT * FROM t WHERE a = 1"),
        (
            "SELECT * FROM t x WHERE a IN :l AND x.b = :o",
            {"l": [1, "b"], "o": {"y": None, "x": -2.5}},
            "SELECT * FROM t WHERE a IN [1, 'b'] AND b = {'x': -2.5, 'y': NULL}",
        ),
        # Names that could be misread stay as they are.
        ("SELECT * FROM t x WHERE t.a = 1", {}, "SELECT * FROM t WHERE a = 1"),
        ("SELECT * FROM t x WHERE t.t = 1", {}, "SELECT * FROM t WHERE t.t = 1"),
        (
            "SELECT * FROM t x WHERE x.t = 1 AND x.a = 2",
            {},
            "SELECT * FROM t WHERE t.t = 1 AND a = 2",
        ),
        (
            "SELECT * FROM t x WHERE ANY v IN x.v SATISFIES v = x.v END",
            {},
            "SELECT * FROM t WHERE ANY v IN t.v SATISFIES v = t.v END",
        ),
        (
            "SELECT * FROM t x WHERE ANY x IN x.a SATISFIES x = 1 END",
            {},
            "SELECT * FROM t AS x WHERE ANY x IN x.a SATISFIES x = 1 END",
        ),
        (
            "SELECT * FROM t x WHERE object_length(x) > 1",
            {},
            "SELECT * FROM t WHERE object_length(t) > 1",
        ),
    ],
)
def test_the_canonical_text_says_the_same(query: str, arguments: Arguments, canonical: str) -> None:
    found = Subscription.of(query, arguments)
    assert found.text == canonical
    again = Subscription.of(found.text, {})
    assert (again.text, again.key) == (found.text, found.key)
    documents: list[dict[str, Value]] = [
        {"_id": 1, "a": 1, "t": 1, "v": [[1], 1]},
        {"_id": 2, "a": 2, "t": 1, "v": [1]},
        {"_id": 3, "a": [1], "b": {"x": -2.5, "y": None}},
        {"_id": 4, "a": "b", "b": {"x": -2.5}},
    ]
    for document in documents:
        assert found.matches(document) == again.matches(document)


def test_keys_never_change() -> None:
    """Peers of other versions, and what is stored, know subscriptions by them."""
    found = Subscription.of("SELECT * FROM orders o WHERE o.a = :a", {"a": [1, 2.0, "x"]})
    assert found.text == "SELECT * FROM orders WHERE a = [1, 2.0, 'x']"
    assert found.key.hex() == KEY


KEY = "ac937e46f35f3cc1fcddc73c96bee89278871d0919e2fd97a7f60999508334fe"

NESTED = "SELECT * FROM t WHERE ANY x IN a SATISFIES ANY y IN a SATISFIES x + y = -1 END END"


def test_a_condition_that_is_too_much_work_is_stopped() -> None:
    found = Subscription.of(NESTED, {})
    small: list[Value] = [*range(50)]
    large: list[Value] = [*range(1000)]
    assert not found.matches({"a": small})
    with pytest.raises(BudgetExceeded, match="more than 10000 steps"):
        found.matches({"a": large})
    ticks = count()
    with pytest.raises(StatementTimeout):
        found.matches({"a": small}, lambda: next(ticks) / 1000)


def test_a_range_of_dates_counts_its_steps() -> None:
    query = "SELECT * FROM t WHERE array_length(date_range(0, a, 'ms', 1)) > 0"
    found = Subscription.of(query, {})
    assert found.matches({"a": 5})
    with pytest.raises(BudgetExceeded):
        found.matches({"a": 1_000_000})

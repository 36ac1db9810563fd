# SPDX-License-Identifier: Apache-2.0
"""Tables of aggregates: what goes in, what comes out."""

from __future__ import annotations

import random

import pytest

from edge_twisted.documents.values import MISSING, Operand, Value
from edge_twisted.dql.functions.aggregates import (
    AGGREGATES,
    Accumulator,
    CountRows,
    new_accumulator,
)


def result(accumulator: Accumulator, values: list[Operand]) -> Operand:
    for value in values:
        accumulator.add(value)
    return accumulator.result()


MIXED: list[Operand] = [3, None, "b", 1.5, MISSING, False, True, [1], {"a": 1}, b"x", 4]

CASES: list[tuple[str, list[Operand], Operand]] = [
    # COUNT(e): neither NULL, nor MISSING, nor FALSE.
    ("count", [], 0),
    ("count", [None, MISSING, False], 0),
    ("count", [True, 0, "", [], {}, 1.0], 6),
    ("count", MIXED, 8),
    # Others than numbers are ignored.
    ("sum", MIXED, 8.5),
    ("avg", MIXED, 8.5 / 3),
    ("median", MIXED, 3.0),
    ("mid", MIXED, 2.75),
    # Integers stay exact, and become a float beyond 64 bits.
    ("sum", [1, 2, 3], 6),
    ("sum", [1, 2.0], 3.0),
    ("sum", [2**63 - 1, 1, -1], 2**63 - 1),
    ("sum", [2**63 - 1, 1], 2.0**63),
    ("sum", [-(2**63), -1], -(2.0**63)),
    ("sum", [2**53, 1, 0.0], 2.0**53 + 0),
    ("sum", [0.1] * 10, 1.0),
    ("sum", [1e16, 1.0, -1e16], 1.0),
    ("sum", [1e308, 1e308], None),
    ("sum", [1e308, 1e308, -1e308], 1e308),
    ("avg", [1, 2], 1.5),
    ("avg", [2, 2], 2.0),
    ("avg", [2**63 - 1, 2**63 - 1], 2.0**63),
    ("avg", [1e308, 1e308], 1e308),
    # MIN and MAX: false < true < numbers < binary < strings < arrays < objects.
    ("min", MIXED, False),
    ("max", MIXED, {"a": 1}),
    ("min", [3, 1.5, 2], 1.5),
    ("max", [3, 1.5, 2], 3),
    ("min", ["b", "a", None], "a"),
    ("max", ["b", "a", None], "b"),
    ("min", [1, 1.0], 1),
    ("max", [1, 1.0], 1),
    ("min", [True, False], False),
    ("max", [b"b", 9, b"a"], b"b"),
    ("min", [[2], [1, 5], [1]], [1]),
    ("max", [{"a": 1}, {"b": 0}], {"b": 0}),
    ("max", ["a", [0], {}], {}),
    ("min", [2**53 + 1, 2.0**53], 2.0**53),
    # MEDIAN: the one in the middle, of an even count the lower one.
    ("median", [5], 5.0),
    ("median", [5, 1, 3], 3.0),
    ("median", [4, 1, 3, 2], 2.0),
    ("median", [1, 2.5], 1.0),
    ("median", [1, 1, 1, 9], 1.0),
    # MID.
    ("mid", [1, 2], 1.5),
    ("mid", [7], 7.0),
    ("mid", [1, 100, 3], 50.5),
    ("mid", [1e308, 1.5e308], 1.25e308),
    ("mid", [2**63 - 1, 2**63 - 1], 2.0**63),
]


@pytest.mark.parametrize(("name", "values", "expected"), CASES)
def test_aggregate(name: str, values: list[Operand], expected: Operand) -> None:
    actual = result(new_accumulator(name), values)
    assert repr(actual) == repr(expected)


@pytest.mark.parametrize("name", sorted(set(AGGREGATES) - {"count"}))
def test_of_no_values_there_is_no_aggregate(name: str) -> None:
    assert result(new_accumulator(name), []) is MISSING
    assert result(new_accumulator(name), [None, MISSING]) is MISSING
    if name not in ("min", "max"):
        assert result(new_accumulator(name), ["a", True, [1]]) is MISSING


def test_count_star_counts_every_row() -> None:
    assert result(CountRows(), []) == 0
    assert result(CountRows(), [None, MISSING, False, 1]) == 4


DISTINCT: list[tuple[str, list[Operand], Operand]] = [
    ("count", [1, 1.0, True, "1", 1], 3),
    ("count", [None, MISSING, False, False], 0),
    ("count", [[1], [1.0], {"a": 1, "b": 2}, {"b": 2, "a": 1}], 2),
    ("count", ["a", b"a", "a"], 2),
    ("count", [0.0, -0.0, 0], 1),
    ("sum", [1, 1, 2.0, 2], 3.0),
    ("avg", [1, 1, 1, 3], 2.0),
    ("median", [1, 1, 1, 5, 9], 5.0),
    ("mid", [1, 1, 3], 2.0),
    ("min", [2, 2, 1], 1),
    ("max", [2, 2, 1], 2),
    ("sum", [], MISSING),
]


@pytest.mark.parametrize(("name", "values", "expected"), DISTINCT)
def test_distinct(name: str, values: list[Operand], expected: Operand) -> None:
    actual = result(new_accumulator(name, distinct=True), values)
    assert repr(actual) == repr(expected)


def test_a_long_sum_of_floats_rounds_little_in_any_order() -> None:
    chance = random.Random(1)
    values: list[Value] = [chance.uniform(-1e6, 1e6) for _ in range(20_000)]
    first = result(new_accumulator("sum"), [*values])
    chance.shuffle(values)
    second = result(new_accumulator("sum"), [*values])
    assert first == pytest.approx(second, rel=1e-15)

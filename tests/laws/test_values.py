# SPDX-License-Identifier: Apache-2.0
"""The laws of the total order and of its keys."""

from __future__ import annotations

from fractions import Fraction
from functools import cmp_to_key

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edge_twisted.documents.values import MISSING, Operand, Value, compare, equal, sort_key

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=4)
    | st.binary(max_size=4)
)
values: st.SearchStrategy[Value] = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3)
    ),
    max_leaves=8,
)
operands: st.SearchStrategy[Operand] = values | st.just(MISSING)


def rank(value: Operand) -> int:
    kinds = (bool, (int, float), bytes, str, list, dict, type(None), type(MISSING))
    return next(i for i, kind in enumerate(kinds) if isinstance(value, kind))  # type: ignore[arg-type]


def naive(left: Operand, right: Operand) -> int:
    """The order as the language describes it, without any encoding."""
    a, b = rank(left), rank(right)
    if a != b:
        return (a > b) - (a < b)
    if isinstance(left, list) and isinstance(right, list):
        for one, other in zip(left, right, strict=False):
            if found := naive(one, other):
                return found
        return (len(left) > len(right)) - (len(left) < len(right))
    if isinstance(left, dict) and isinstance(right, dict):
        keys = naive(sorted(left), sorted(right))  # type: ignore[arg-type]
        if keys:
            return keys
        return naive([left[k] for k in sorted(left)], [right[k] for k in sorted(right)])
    if isinstance(left, int | float) and isinstance(right, int | float):
        exact_left, exact_right = Fraction(left), Fraction(right)
        return (exact_left > exact_right) - (exact_left < exact_right)
    if isinstance(left, str | bytes):
        return (left > right) - (left < right)  # type: ignore[operator]
    return 0


@given(operands, operands)
@example(2**53, float(2**53))
@example(2**53 + 1, float(2**53))
@example(2**63 - 1, float(2**63))
@example(-(2**63), float(-(2**63)))
@example(0.0, -0.0)
@example("a", "a\x00")
@example("a\x00b", "a")
@example(["a"], ["a", "b"])
@example({"a": 2}, {"b": 1})
@example([1], [1.0])
@example(True, 1)
def test_keys_compare_as_values_do(left: Operand, right: Operand) -> None:
    assert compare(left, right) == naive(left, right)
    assert equal(left, right) == (naive(left, right) == 0)


@given(operands, operands)
def test_no_key_begins_another(left: Operand, right: Operand) -> None:
    a, b = sort_key(left), sort_key(right)
    assert a == b or not b.startswith(a)


@given(st.lists(operands, min_size=2, max_size=2), st.lists(operands, min_size=2, max_size=2))
def test_joined_keys_compare_like_tuples(left: list[Operand], right: list[Operand]) -> None:
    a, b = (b"".join(map(sort_key, each)) for each in (left, right))
    assert (a > b) - (a < b) == next(filter(None, map(naive, left, right)), 0)


@given(st.lists(st.integers(2**60, 2**60 + 4000) | st.floats(2.0**60, 2.0**60 + 4000)))
def test_neighbours_beyond_the_precision_of_floats(numbers: list[Operand]) -> None:
    assert sorted(numbers, key=sort_key) == sorted(numbers, key=cmp_to_key(naive))


def test_only_values_have_keys() -> None:
    with pytest.raises(TypeError):
        sort_key({1, 2})  # type: ignore[arg-type]

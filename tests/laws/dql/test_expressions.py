# SPDX-License-Identifier: Apache-2.0
"""What holds of operators and functions whatever they are given."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edge_twisted.documents.values import MISSING, Operand, Value, canonical, sort_key
from edge_twisted.dql.compiler.environment import accept_any_steps
from edge_twisted.dql.errors import EvaluationError
from edge_twisted.dql.functions.aggregates import AGGREGATES, new_accumulator
from edge_twisted.dql.functions.conversion import CASTS
from edge_twisted.dql.functions.json_text import deserialize_json, serialize_json
from edge_twisted.dql.functions.registry import FUNCTIONS, Function
from edge_twisted.dql.logic import logical_and, logical_not, logical_or, logical_xor
from edge_twisted.dql.operators.arithmetic import (
    add,
    divide,
    modulo,
    multiply,
    negate,
    subtract,
)
from edge_twisted.dql.operators.bits import shift_left, shift_right
from edge_twisted.dql.operators.comparison import (
    between,
    deep_equal,
    equal,
    greater,
    greater_or_equal,
    less,
    less_or_equal,
    not_equal,
    precedes,
)
from edge_twisted.dql.operators.concatenation import concatenate
from edge_twisted.dql.operators.membership import member, member_of
from edge_twisted.dql.patterns.like import ilike, like
from edge_twisted.dql.patterns.similar import similar_to
from tests.support.strategies_operands import NUMBERS, OPERANDS, VALUES
from tests.unit.dql.evaluate import Now

Operator = Callable[..., Operand]
OPERATORS: list[tuple[Operator, int]] = [
    (logical_not, 1), (logical_and, 2), (logical_or, 2), (logical_xor, 2), (negate, 1), (add, 2),
    (subtract, 2), (multiply, 2), (divide, 2), (modulo, 2), (shift_left, 2), (shift_right, 2),
    (equal, 2), (not_equal, 2), (less, 2), (less_or_equal, 2), (greater, 2),
    (greater_or_equal, 2), (between, 3), (member, 2), (concatenate, 2), (like, 3), (ilike, 3),
    (similar_to, 3), *((convert, 1) for convert in CASTS.values()),
]  # fmt: skip
TYPES = (bool, int, float, str, bytes, list, dict)
#: Positions of arguments beyond the fewest that a variadic function is tried with.
MORE = 3


def check(result: Operand, inside: bool = False) -> None:
    """Assert that ``result`` is a value of the language, or MISSING if not ``inside`` of one."""
    assert not (inside and result is MISSING)
    if isinstance(result, list):
        for element in result:
            check(element, inside=True)
    elif isinstance(result, dict):
        for key, element in result.items():
            assert type(key) is str
            check(element, inside=True)
    elif type(result) is int:
        assert -(2**63) <= result < 2**63
    elif type(result) is float:
        assert math.isfinite(result)
    else:
        assert result is None or result is MISSING or type(result) in TYPES


def check_call(implementation: Operator, arguments: list[Operand]) -> None:
    before = repr(arguments)
    try:
        check(implementation(*arguments))
    except EvaluationError as error:
        assert error.message
    assert repr(arguments) == before, "arguments are not changed"


@pytest.mark.parametrize(("operator", "arity"), OPERATORS)
def test_operators_return_values_or_raise_evaluation_errors(operator: Operator, arity: int) -> None:
    @settings(max_examples=60, deadline=None)
    @given(st.lists(OPERANDS, min_size=arity, max_size=arity))
    def test(arguments: list[Operand]) -> None:
        check_call(operator, arguments)

    test()


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=lambda function: function.name)
def test_functions_return_values_or_raise_evaluation_errors(function: Function) -> None:
    most = function.min_args + MORE if function.max_args is None else function.max_args

    @settings(max_examples=60, deadline=None)
    @given(st.lists(OPERANDS, min_size=function.min_args, max_size=most))
    def test(arguments: list[Operand]) -> None:
        context: list[object] = [Now()] if function.needs_context else []
        if function.takes_long:
            context.append(accept_any_steps)
        check_call(lambda *given: function.implementation(*context, *given), arguments)

    test()


@pytest.mark.parametrize("name", AGGREGATES)
@given(values=st.lists(OPERANDS, max_size=8), distinct=st.booleans())
@settings(max_examples=60, deadline=None)
def test_aggregates_return_values(name: str, values: list[Operand], distinct: bool) -> None:
    accumulator = new_accumulator(name, distinct=distinct)
    for value in values:
        accumulator.add(value)
    check(accumulator.result())


@given(VALUES, VALUES)
def test_comparisons_agree_with_the_total_order_and_with_each_other(a: Value, b: Value) -> None:
    if type(equal(a, b)) is not bool:
        for operator in (not_equal, less, less_or_equal, greater, greater_or_equal):
            assert operator(a, b) is equal(a, b)
        return
    assert equal(a, b) is (sort_key(a) == sort_key(b))
    assert less(a, b) is (sort_key(a) < sort_key(b))
    assert not_equal(a, b) is (not equal(a, b))
    assert greater(a, b) is less(b, a)
    assert less_or_equal(a, b) is (less(a, b) or equal(a, b))
    assert greater_or_equal(a, b) is less_or_equal(b, a)


@given(NUMBERS, NUMBERS)
def test_numbers_compare_exactly(a: float, b: float) -> None:
    assert equal(a, b) is (a == b)
    assert less(a, b) is (a < b)
    assert precedes(a, b) is (sort_key(a) < sort_key(b))


@given(VALUES, VALUES)
def test_deep_equality_is_that_of_canonical_bytes(a: Value, b: Value) -> None:
    assert deep_equal(a, a)
    assert deep_equal(a, b) is deep_equal(b, a) is (canonical(a) == canonical(b))
    assert precedes(a, b) is (sort_key(a) < sort_key(b))


@given(OPERANDS, st.lists(VALUES, max_size=5))
def test_in_is_a_search_whichever_way_it_is_done(value: Operand, array: list[Value]) -> None:
    result = member(value, array)
    assert member_of(array)(value) is result
    if value is not None and value is not MISSING:
        found = any(deep_equal(value, element) for element in array)
        assert result is (True if found else None if None in array else False)


@given(st.integers(-(2**63), 2**63 - 1), st.integers(-(2**63), 2**63 - 1))
@example(-(2**63), -1)
@example(7, -2)
def test_division_and_remainder_belong_together(a: int, b: int) -> None:
    quotient, remainder = divide(a, b), modulo(a, b)
    if b == 0:
        assert quotient is None
        assert remainder is None
        return
    assert isinstance(remainder, int)
    assert int(quotient) * b + remainder == a  # type: ignore[arg-type]
    assert abs(remainder) < abs(b)
    assert remainder == 0 or (remainder < 0) is (a < 0)


@given(VALUES)
def test_json_text_and_back(value: Value) -> None:
    text = serialize_json(value)
    assert isinstance(text, str)
    if b"" not in _leaves(value):
        back = deserialize_json(text)
        assert back is not MISSING
        assert deep_equal(back, value)


def _leaves(value: Value) -> list[object]:
    """The scalars in a value, every binary, which JSON does not have, as an empty one."""
    if isinstance(value, list):
        return [leaf for element in value for leaf in _leaves(element)]
    if isinstance(value, dict):
        return [leaf for element in value.values() for leaf in _leaves(element)]
    return [b"" if isinstance(value, bytes) else value]

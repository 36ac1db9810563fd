# SPDX-License-Identifier: Apache-2.0
"""The registry: names, and how many arguments each function takes."""

from __future__ import annotations

import inspect

import pytest

from edge_twisted.dql.functions.aggregates import AGGREGATES
from edge_twisted.dql.functions.registry import FUNCTIONS, Function, find_function


def test_names_are_case_insensitive() -> None:
    assert find_function("Date_Add") is FUNCTIONS["date_add"]
    assert find_function("COALESCE") is FUNCTIONS["coalesce"]
    assert find_function("no_such_function") is None
    assert [name for name in FUNCTIONS if name != name.lower()] == []


def test_no_function_hides_an_aggregate() -> None:
    assert set(FUNCTIONS) & set(AGGREGATES) == set()


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=lambda function: function.name)
def test_implementations_take_as_many_arguments_as_is_said(function: Function) -> None:
    signature = inspect.signature(function.implementation)
    context = [None] * (function.needs_context + function.takes_long)
    signature.bind(*context, *[None] * function.min_args)
    most = function.min_args + 9 if function.max_args is None else function.max_args
    signature.bind(*context, *[None] * most)
    assert function.accepts(function.min_args)
    assert not function.accepts(function.min_args - 1)
    assert function.accepts(100) is (function.max_args is None)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("lower", "1 argument"),
        ("clock", "0 to 2 arguments"),
        ("request_info", "no arguments"),
        ("nvl", "2 or 3 arguments"),
        ("date_add", "3 to 5 arguments"),
        ("pos", "2 arguments"),
        ("coalesce", "at least 1 argument"),
        ("joinstr", "at least 2 arguments"),
    ],
)
def test_the_number_of_arguments_in_words(name: str, expected: str) -> None:
    assert FUNCTIONS[name].expected == expected


def test_what_changes_from_one_statement_to_the_next() -> None:
    changing = {name for name, function in FUNCTIONS.items() if not function.deterministic}
    assert changing == {"clock", "request_info"}

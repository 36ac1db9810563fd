# SPDX-License-Identifier: Apache-2.0
"""Patterns are bounded in size, in memory, and in the work that they may cause."""

from __future__ import annotations

import pytest

from edge_twisted.dql.errors import EvaluationError
from edge_twisted.dql.patterns.engine import PATTERN_LIMIT
from edge_twisted.dql.patterns.like import compile_like, like
from edge_twisted.dql.patterns.regexp import compile_regexp, regexp_like
from edge_twisted.dql.patterns.similar import similar_to

MEGABYTE = 1 << 20


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("(a+)+$", "a" * 5000 + "b"),
        ("(a|aa)+$", "a" * 5000 + "b"),
        ("(.*)(.*)(.*)(.*)(.*)(.*)(.*)(.*)(.*)x", "a" * 5000),
        ("(x+x+)+y", "x" * 5000),
        ("^(([a-z])+.)+[A-Z]([a-z])+$", "a" * 5000),
    ],
)
def test_what_makes_backtracking_explode_takes_no_time(pattern: str, text: str) -> None:
    assert regexp_like(text, pattern) is False


def test_many_wildcards_take_no_time() -> None:
    text = "a" * 20_000
    assert like(text, "%a" * 1000 + "%b") is False
    assert like(text, "%_a" * 500 + "%b") is False
    assert similar_to(text, "(a%)" * 200 + "b") is False


def test_a_pattern_that_takes_much_memory_is_refused() -> None:
    with pytest.raises(EvaluationError, match="pattern too large"):
        compile_regexp(r"(\pL{1,100}){1,5}")


def test_a_complex_pattern_is_refused_for_a_long_text_only() -> None:
    matches = compile_regexp("(a|b)*a(a|b){900}c")
    assert not matches("ab" * 10_000)
    with pytest.raises(EvaluationError, match=r"too complex for a text of 2097152 bytes"):
        matches("ab" * MEGABYTE)
    assert regexp_like("ab" * MEGABYTE, "a(a|b)*c") is False


def test_every_kind_of_pattern_is_bounded_in_length() -> None:
    longest = "a" * PATTERN_LIMIT
    for match in (like, regexp_like, similar_to):
        assert match(longest, longest) is True
        with pytest.raises(EvaluationError, match="exceeds limit of 4096 characters"):
            match("a", longest + "a")


def test_a_message_quotes_the_beginning_of_a_long_pattern() -> None:
    with pytest.raises(EvaluationError) as raised:
        regexp_like("a", "(" + "a" * 1000)
    assert raised.value.message == (
        "invalid regular expression '(" + "a" * 59 + "...': missing ): (" + "a" * 1000
    )


def test_compiled_patterns_are_kept_but_not_without_end() -> None:
    compile_like.cache_clear()
    for number in range(1000):
        compile_like(f"a%{number}")
    assert compile_like.cache_info().currsize == compile_like.cache_info().maxsize == 128
    assert compile_like("a%999") is compile_like("a%999")

# SPDX-License-Identifier: Apache-2.0
"""Patterns against matchers that are too simple to be wrong."""

from __future__ import annotations

import re

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from edge_twisted.dql.errors import EvaluationError
from edge_twisted.dql.patterns.like import compile_like, fold, ilike, like
from edge_twisted.dql.patterns.regexp import regexp_like
from edge_twisted.dql.patterns.similar import similar_to

TEXTS = st.text(alphabet="abAB%_\\\n", max_size=8)
PATTERNS = st.text(alphabet="abAB%%__\\\n", max_size=7)
ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


def matches(text: str, pattern: list[str]) -> bool:
    """LIKE by its definition; ``pattern`` is split into characters and escaped pairs."""
    if not pattern:
        return not text
    first, rest = pattern[0], pattern[1:]
    if first == "%":
        return any(matches(text[skipped:], rest) for skipped in range(len(text) + 1))
    if not text:
        return False
    return (first == "_" or text[0] == first[-1]) and matches(text[1:], rest)


@given(TEXTS, PATTERNS)
@settings(max_examples=400)
def test_like_agrees_with_its_definition(text: str, pattern: str) -> None:
    pieces = re.findall(r"\\.|[^\\]|\\\Z", pattern, re.DOTALL)
    if pieces and pieces[-1] == "\\":
        for operator in (like, ilike):
            try:
                operator(text, pattern)
            except EvaluationError:
                continue
            raise AssertionError(pattern)
        return
    assert like(text, pattern) is matches(text, pieces)
    lowered = [piece.lower() for piece in pieces]
    assert ilike(text, pattern) is matches(text.lower(), lowered)
    assert similar_to(text, pattern) is like(text, pattern)


@given(ANY_TEXT, PATTERNS.filter(lambda pattern: not pattern.endswith("\\")))
def test_every_match_starts_with_the_prefix(text: str, pattern: str) -> None:
    compiled = compile_like(pattern)
    if compiled.matches(text):
        assert text.startswith(compiled.prefix)
        assert not compiled.exact or text == compiled.prefix


@given(ANY_TEXT, ANY_TEXT, ANY_TEXT)
def test_any_text_is_found_in_itself(before: str, text: str, after: str) -> None:
    escaped = re.sub(r"([%_\\])", r"\\\1", text)
    assert like(before + text + after, f"%{escaped}%") is True
    assert like(before + text + after, "_" * len(before) + escaped + "%") is True
    assert ilike(fold(before + text + after), f"%{escaped}%") is True
    assert ilike(text, "_" * len(text)) is True


@given(ANY_TEXT)
def test_folding_keeps_the_length_and_the_case_does_not_matter(text: str) -> None:
    assert len(fold(text)) == len(text)
    assert fold(fold(text)) == fold(text)


@given(TEXTS, st.text(alphabet="ab|()*+?[]^-.{}12\\d", max_size=7))
@settings(max_examples=300)
def test_regular_expressions_agree_with_those_of_python(text: str, pattern: str) -> None:
    assume("[[" not in pattern)
    try:
        expected = re.search(pattern, text)
        actual = regexp_like(text, pattern)
    except (re.error, EvaluationError):
        assume(False)
    assert actual is (expected is not None)

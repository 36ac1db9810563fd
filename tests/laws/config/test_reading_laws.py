# SPDX-License-Identifier: Apache-2.0
"""Any bytes at all are a configuration, or a `ConfigurationError` of well-formed lines."""

from __future__ import annotations

import json
import re

from hypothesis import given, settings
from hypothesis import strategies as st

from edge_twisted.config.problems import ConfigProblem, ConfigurationError
from edge_twisted.config.reporter import Reporter
from edge_twisted.config.yaml.compose import compose
from edge_twisted.config.yaml.nodes import plain
from tests.support.strategies_config import damaged, moved_lines, token_soups
from tests.unit.config.samples import FULL, MINIMAL, load_text

LINE = re.compile(r"edge\.yaml:\d+:\d+: (?:[^\s:]\S*: )?\S.*; \S.*")
EXAMPLES = 150


def problems_of(data: str | bytes) -> tuple[ConfigProblem, ...]:
    try:
        load_text(data)
    except ConfigurationError as error:
        return error.problems
    return ()


def check(data: str | bytes) -> None:
    problems = problems_of(data)
    text = data if isinstance(data, str) else data.decode("latin-1")
    lines = len(re.split("\r\n|[\r\n\x85\u2028\u2029]", text))
    for problem in problems:
        assert LINE.fullmatch(str(problem)), str(problem)
        assert problem.position is not None
        assert 1 <= problem.position.line <= lines
        assert problem.position.column >= 1
    assert len(set(map(str, problems))) == len(problems)
    positions = [problem.position for problem in problems if problem.position]
    assert positions == sorted(positions)


@given(st.binary(max_size=200))
@settings(max_examples=EXAMPLES)
def test_any_bytes(data: bytes) -> None:
    check(data)


@given(st.text(max_size=200))
@settings(max_examples=EXAMPLES)
def test_any_text(text: str) -> None:
    check(text.encode("utf-8", "surrogatepass"))


@given(token_soups())
@settings(max_examples=2 * EXAMPLES)
def test_any_tokens(text: str) -> None:
    check(text)


@given(damaged(FULL))
@settings(max_examples=2 * EXAMPLES, deadline=None)
def test_a_damaged_file(text: str) -> None:
    check(text)


@given(moved_lines(FULL))
@settings(max_examples=EXAMPLES, deadline=None)
def test_a_file_with_lines_moved(text: str) -> None:
    check(text)


#: Control characters have no place in YAML but as escapes, and the wider ones none in libyaml's.
texts = st.text(st.characters(exclude_categories=("Cc", "Cs")), max_size=20)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)


@given(json_values)
@settings(max_examples=EXAMPLES)
def test_json_is_yaml(value: object) -> None:
    """What any JSON encoder writes is read back as it was."""
    reporter = Reporter("f")
    document = compose(json.dumps(value, ensure_ascii=False), reporter)
    assert reporter.problems == ()
    assert document is not None
    assert plain(document.root) == value


@given(json_values, st.sampled_from(["database", "http_server", "auth", "logging", "x-any", "any"]))
@settings(max_examples=EXAMPLES)
def test_any_value_in_any_section(value: object, section: str) -> None:
    text = "\n".join(line for line in MINIMAL.splitlines() if not line.startswith(f"{section}:"))
    check(f"{text}\n{section}: {json.dumps(value, ensure_ascii=False)}\n")

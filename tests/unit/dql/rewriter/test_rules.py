# SPDX-License-Identifier: Apache-2.0
"""Every rule by itself: what it makes of conditions, one ``input => expected`` a line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_twisted.dql.formatter import format_expression
from edge_twisted.dql.parser import parse_expression
from edge_twisted.dql.rewriter import RULES, simplify

FOLDER = Path(__file__).parent
NAMED = {rule.__name__: rule for rule in RULES}


def cases() -> Iterator[tuple[str, str, str]]:
    for name in NAMED:
        for line in (FOLDER / f"{name}.txt").read_text("utf-8").splitlines():
            if line.strip() and not line.startswith("#"):
                before, after = line.split("=>", 1) if "=>" in line else (line, "")
                yield name, before.strip(), after.strip()


@pytest.mark.parametrize(("name", "before", "after"), list(cases()))
def test_a_rule(name: str, before: str, after: str) -> None:
    made = simplify(parse_expression(before), [NAMED[name]])
    assert ("TRUE" if made is None else format_expression(made)) == after


def test_every_fixture_has_its_rule() -> None:
    assert {each.stem for each in FOLDER.glob("*.txt")} == set(NAMED)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("NOT (a != 1 AND a != 1 + 1)", "a IN [1, 2]"),
        ("a = 1 OR (a = 2 OR FALSE)", "a IN [1, 2]"),
        ("1 = 1 AND (2 = 2 OR a)", None),
        ("a IN [1] AND 1 = 2", "FALSE"),
        ("NOT (a NOT IN [1])", "a = 1"),
    ],
)
def test_all_together(before: str, after: str | None) -> None:
    made = simplify(parse_expression(before))
    assert (None if made is None else format_expression(made)) == after


def test_what_stays_is_the_same_object() -> None:
    node = parse_expression("a = 1 AND (b > 2 OR c LIKE 'x%')")
    assert simplify(node) is node

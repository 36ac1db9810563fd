# SPDX-License-Identifier: Apache-2.0
"""Runs every example of docs/dql-functions.md."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import edge_twisted
from edge_twisted.dql.functions.aggregates import AGGREGATES
from edge_twisted.dql.functions.registry import FUNCTIONS
from tests.unit.dql.test_tables import check_line

DOCUMENT = Path(edge_twisted.__file__).parents[1] / "docs" / "dql-functions.md"
TEXT = DOCUMENT.read_text("utf-8")
EXAMPLES = [
    line
    for block in re.findall(r"```dql\n(.*?)```", TEXT, re.DOTALL)
    for line in block.splitlines()
]


@pytest.mark.parametrize("example", EXAMPLES)
def test_example(example: str) -> None:
    expression, separator, result = example.rpartition(" => ")
    assert separator
    check_line(expression, result)


def test_every_function_and_aggregate_is_documented() -> None:
    examples = "\n".join(EXAMPLES).replace("`", "")
    assert [name for name in FUNCTIONS if f"{name}(" not in examples] == []
    assert [name for name in AGGREGATES if f"`{name.upper()}(" not in TEXT] == []

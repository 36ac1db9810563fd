# SPDX-License-Identifier: Apache-2.0
"""Runs every line ``expression => result`` of the tables."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_twisted.documents.values import Operand
from edge_twisted.dql.errors import EvaluationError
from edge_twisted.dql.functions.registry import FUNCTIONS
from tests.unit.dql.evaluate import evaluate

TABLES = Path(__file__).parent / "tables"
ERROR = "error: "


def lines() -> Iterator[tuple[str, int, str, str]]:
    for path in sorted(TABLES.glob("*.txt")):
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
            if line and not line.startswith("#"):
                expression, separator, result = line.rpartition(" => ")
                assert separator, f"{path.name}:{number}"
                yield path.stem, number, expression, result


def identical(left: Operand, right: Operand) -> bool:
    """Whether two values are equal down to the types of numbers and the sign of zero."""
    return repr(left) == repr(right) or (
        isinstance(left, dict)
        and isinstance(right, dict)
        and left.keys() == right.keys()
        and all(identical(value, right[key]) for key, value in left.items())
    )


@pytest.mark.parametrize(("table", "line", "expression", "result"), list(lines()))
def test_line(table: str, line: int, expression: str, result: str) -> None:
    check_line(expression, result)


def check_line(expression: str, result: str) -> None:
    """Assert that ``expression`` gives ``result``, or fails as ``error: part of the text`` says."""
    if result.startswith(ERROR):
        with pytest.raises(EvaluationError) as raised:
            evaluate(expression)
        assert result.removeprefix(ERROR) in raised.value.message
    else:
        value = evaluate(expression)
        assert identical(value, evaluate(result)), value


def test_every_function_has_lines() -> None:
    text = " ".join(expression for _, _, expression, _ in lines()).lower().replace("`", "")
    assert [name for name in FUNCTIONS if f"{name}(" not in text] == []

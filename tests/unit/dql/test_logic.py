# SPDX-License-Identifier: Apache-2.0
"""The truth tables: T, F, N (NULL), M (MISSING), and 1 for an operand that is no truth value."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from edge_twisted.documents.values import MISSING, Operand
from edge_twisted.dql.logic import logical_and, logical_not, logical_or, logical_xor

VALUES: dict[str, Operand] = {"T": True, "F": False, "N": None, "M": MISSING, "1": 1}

AND = """
    T F N M 1
  T T F N M M
  F F F F F F
  N N F N M M
  M M F M M M
  1 M F M M M
"""
OR = """
    T F N M 1
  T T T T T T
  F T F N M M
  N T N N N N
  M T M N M M
  1 T M N M M
"""
XOR = """
    T F N M 1
  T F T N M M
  F T F N M M
  N N N N M M
  M M M M M M
  1 M M M M M
"""
NOT = {"T": "F", "F": "T", "N": "N", "M": "M", "1": "M"}

Binary = Callable[[Operand, Operand], Operand]


def cells() -> Iterator[tuple[Binary, str, str, str]]:
    for operator, table in ((logical_and, AND), (logical_or, OR), (logical_xor, XOR)):
        header, *rows = (line.split() for line in table.strip("\n").splitlines())
        for left, *results in rows:
            for right, result in zip(header, results, strict=True):
                yield operator, left, right, result


@pytest.mark.parametrize(("operator", "left", "right", "result"), list(cells()))
def test_cell(operator: Binary, left: str, right: str, result: str) -> None:
    assert operator(VALUES[left], VALUES[right]) is VALUES[result]


def test_the_tables_are_complete() -> None:
    assert len(list(cells())) == 3 * 25


@pytest.mark.parametrize(("operand", "result"), NOT.items())
def test_not(operand: str, result: str) -> None:
    assert logical_not(VALUES[operand]) is VALUES[result]


@pytest.mark.parametrize("unknown", [None, MISSING])
def test_de_morgan_holds_beside_either_unknown(unknown: Operand) -> None:
    for a in (True, False, unknown):
        for b in (True, False, unknown):
            neither = logical_and(logical_not(a), logical_not(b))
            assert logical_not(logical_or(a, b)) is neither
            assert logical_not(logical_and(a, b)) is logical_or(logical_not(a), logical_not(b))


@pytest.mark.parametrize("operand", [0, 1, 1.0, "", "true", b"", [], [True], {}])
def test_what_is_no_truth_value_counts_as_missing(operand: Operand) -> None:
    for known in VALUES.values():
        assert logical_and(operand, known) is logical_and(MISSING, known)
        assert logical_or(operand, known) is logical_or(MISSING, known)
        assert logical_xor(operand, known) is logical_xor(MISSING, known)
    assert logical_not(operand) is MISSING

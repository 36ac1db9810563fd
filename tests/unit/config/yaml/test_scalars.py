# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: E501 - tables, one row a line
"""Which plain scalars are numbers, truth values and null: the core schema of YAML 1.2."""

from __future__ import annotations

import pytest

from edge_twisted.config.yaml.scalars import BadNumber, resolve


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None), ("~", None), ("null", None), ("NULL", None), ("nUll", "nUll"),
        ("true", True), ("FALSE", False), ("yes", "yes"), ("off", "off"), ("On", "On"),
        ("0", 0), ("-1", -1), ("+5", 5), ("007", 7), ("0o17", 15), ("0xFf", 255), ("1_000", "1_000"),
        ("9223372036854775807", 2**63 - 1), ("-9223372036854775808", -(2**63)),
        ("1.5", 1.5), (".5", 0.5), ("1.", 1.0), ("1e3", 1000.0), ("-1E-2", -0.01), ("e3", "e3"),
        (".", "."), ("1.2.3", "1.2.3"), ("12:30", "12:30"), ("2026-11-23", "2026-11-23"),
        ("\u0661", "\u0661"), ("+", "+"), ("0x", "0x"), ("<<", "<<"), (".nano", ".nano"),
    ],
)  # fmt: skip
def test_resolve(text: str, value: object) -> None:
    found = resolve(text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("text", [".inf", "-.INF", ".nan", "9" * 100_000, "0x" + "f" * 17, "1e309"])
def test_numbers_that_cannot_be_kept(text: str) -> None:
    with pytest.raises(BadNumber):
        resolve(text)

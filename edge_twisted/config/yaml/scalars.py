# SPDX-License-Identifier: Apache-2.0
"""
Types of plain scalars by the core schema of YAML 1.2 (yaml.org/spec, 10.3).

Unlike YAML 1.1, ``off``, ``no`` and ``12:30`` are text, so ``console_logs: off`` needs no quotes.
"""

from __future__ import annotations

import re

#: Integers have at most 64 bits, because documents and query arguments have no more.
MIN_INTEGER = -(2**63)
MAX_INTEGER = 2**63 - 1
#: Longer integers are out of range for sure, and converting them takes quadratic time.
_MAX_DIGITS = 40

_CONSTANTS: dict[str, bool | None] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True,
    "false": False, "False": False, "FALSE": False,
}  # fmt: skip
_INTEGER = re.compile(r"(?P<decimal>[-+]?[0-9]+)|0o(?P<octal>[0-7]+)|0x(?P<hex>[0-9a-fA-F]+)")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NO_NUMBER = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")


class BadNumber(ValueError):
    """A number out of range: what is wrong, and the remedy."""

    def __init__(self, what: str, right: str) -> None:
        super().__init__(what)
        self.what = what
        self.right = right


def resolve(text: str) -> bool | int | float | str | None:
    """
    Return the value of a plain (unquoted) scalar: a number, a boolean, null or text.

    :raises BadNumber: `text` is out of range, infinite or not-a-number; report it to the user.
    """
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _NO_NUMBER.fullmatch(text):
        raise BadNumber(
            "infinity and not-a-number are not accepted", "write a finite number, or quote a text"
        )
    integer = _INTEGER.fullmatch(text)
    if integer is not None:
        return _integer(integer)
    if _FLOAT.fullmatch(text):
        return _float(text)
    return text


def _integer(found: re.Match[str]) -> int:
    if found.end() > _MAX_DIGITS:
        raise BadNumber(
            "a whole number has at most 64 bits", "write a smaller one, or quote a text"
        )
    base = {"decimal": 10, "octal": 8, "hex": 16}[str(found.lastgroup)]
    value = int(found[str(found.lastgroup)], base)
    if not MIN_INTEGER <= value <= MAX_INTEGER:
        raise BadNumber(
            "a whole number has at most 64 bits", "write a smaller one, or quote a text"
        )
    return value


def _float(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise BadNumber("the number is too large", "write a smaller one, or quote a text")
    return value

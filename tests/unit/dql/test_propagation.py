# SPDX-License-Identifier: Apache-2.0
"""
The rule for arguments, of every function and operator and at every position.

MISSING gives MISSING; else NULL gives NULL; else a wrong type gives MISSING.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from edge_twisted.documents.values import MISSING, Operand
from edge_twisted.dql.compiler.environment import accept_any_steps
from edge_twisted.dql.functions.registry import FUNCTIONS
from edge_twisted.dql.operators import arithmetic, bits, concatenation
from edge_twisted.dql.patterns.like import ilike, like
from edge_twisted.dql.patterns.similar import similar_to

EXAMPLES: dict[str, Operand] = {
    "boolean": True,
    "integer": 1,
    "float": 1.5,
    "string": "a",
    "binary": b"a",
    "array": ["a"],
    "object": {"a": 1},
}

DATE = "2026-03-15T10:30:45Z"
#: Usable arguments, and for each the types that are not wrong there.
SIGNATURES: dict[str, list[tuple[Operand, str]]] = {
    "+": [(1, "integer float"), (2, "integer float")],
    "-": [(1, "integer float"), (2, "integer float")],
    "*": [(1, "integer float"), (2, "integer float")],
    "/": [(1, "integer float"), (2, "integer float")],
    "%": [(1, "integer float"), (2, "integer float")],
    "unary -": [(1, "integer float")],
    "<<": [(1, "integer"), (2, "integer")],
    ">>": [(1, "integer"), (2, "integer")],
    "||": [("a", "string"), ("b", "string")],
    "LIKE": [("a", "string"), ("a%", "string"), ("!", "string")],
    "ILIKE": [("a", "string"), ("a%", "string"), ("!", "string")],
    "SIMILAR TO": [("a", "string"), ("a%", "string"), ("!", "string")],
    "abs": [(1, "integer float")],
    "ceil": [(1, "integer float")],
    "floor": [(1, "integer float")],
    "concat": [("a", "string"), ("b", "string"), ("c", "string")],
    "contains": [("a", "string"), ("a", "string")],
    "starts_with": [("a", "string"), ("a", "string")],
    "ends_with": [("a", "string"), ("a", "string")],
    "lower": [("a", "string")],
    "upper": [("a", "string")],
    "char_length": [("a", "string")],
    "character_length": [("a", "string")],
    "byte_length": [("a", "string")],
    "substr": [("abc", "string"), (1, "integer"), (1, "integer")],
    "pos": [("a", "string"), ("a", "string")],
    "split": [("a", "string"), ("a", "string")],
    "joinstr": [("a", "string"), ("a", "string array"), (["a"], "string array")],
    "trim": [("a", "string"), ("a", "string")],
    "ltrim": [("a", "string"), ("a", "string")],
    "rtrim": [("a", "string"), ("a", "string")],
    "lpad": [("a", "string"), (3, "integer"), ("x", "string")],
    "rpad": [("a", "string"), (3, "integer"), ("x", "string")],
    "repeat": [("a", "string"), (3, "integer")],
    "regexp_like": [("a", "string"), ("a", "string"), ("i", "string"), ("c", "string")],
    "array_contains": [
        ([1], "array"),
        (1, "boolean integer float string binary array object"),
    ],
    "array_contains_null": [([1], "array")],
    "array_length": [([1], "array")],
    "object_keys": [({}, "object")],
    "object_values": [({}, "object")],
    "object_length": [({}, "object")],
    "object_unset": [({"a": 1}, "object"), ("a", "string"), (True, "boolean")],
    "object_concat": [({}, "object"), ({}, "object")],
    "object_rename": [({"a": 1}, "object"), ("a", "string"), ("b", "string")],
    "object_size": [({}, "object")],
    "deserialize_json": [("1", "string")],
    "date_add": [
        (DATE, "integer"), ("day", ""), (1, "integer"), ("", "string"), ("UTC", ""),
    ],
    "date_sub": [
        (DATE, "integer"), ("day", ""), (1, "integer"), ("", "string"), ("UTC", ""),
    ],
    "date_diff": [(DATE, "integer"), (DATE, "integer"), ("day", "")],
    "date_part": [(DATE, "integer"), ("day", ""), ("UTC", "")],
    "date_trunc": [(DATE, "integer"), ("day", ""), ("", "string"), ("UTC", "")],
    "date_format": [(DATE, "integer"), ("", "string"), ("UTC", "")],
    "date_cast": [("1970", "string"), ("YYYY", "")],
    "date_range": [
        (0, "integer"), (5, "integer"), ("ms", ""), (1, "integer"), ("", "string"), ("UTC", ""),
    ],
    "tz_offset": [("UTC", ""), ("TZN", "")],
    "duration_cast": [("1h", ""), ("ms", "")],
    "duration_format": [(1, "integer float"), ("ms", "")],
}  # fmt: skip
OPERATORS: dict[str, Callable[..., Operand]] = {
    "+": arithmetic.add,
    "-": arithmetic.subtract,
    "*": arithmetic.multiply,
    "/": arithmetic.divide,
    "%": arithmetic.modulo,
    "unary -": arithmetic.negate,
    "<<": bits.shift_left,
    ">>": bits.shift_right,
    "||": concatenation.concatenate,
    "LIKE": like,
    "ILIKE": ilike,
    "SIMILAR TO": similar_to,
}
#: Have rules of their own, which the tables show line by line.
EXCEPTIONS = {
    "coalesce", "ifmissingornull", "nvl", "ifmissing", "ifnull", "ismissing", "isnull",
    "ismissingornull", "nullif", "missingif", "decode", "type", "json_type", "is_boolean",
    "is_number", "is_string", "serialize_json", "object_set", "clock", "request_info",
}  # fmt: skip


def call(name: str, arguments: list[Operand]) -> Operand:
    if name in OPERATORS:
        return OPERATORS[name](*arguments)
    function = FUNCTIONS[name]
    first = [accept_any_steps] if function.takes_long else []
    return function.implementation(*first, *arguments)


def replaced(name: str, position: int, value: Operand) -> list[Operand]:
    arguments = [example for example, _ in SIGNATURES[name]]
    return [*arguments[:position], value, *arguments[position + 1 :]]


POSITIONS = [
    (name, index) for name, signature in SIGNATURES.items() for index in range(len(signature))
]


def test_every_function_is_here() -> None:
    assert set(SIGNATURES) - set(OPERATORS) | EXCEPTIONS == set(FUNCTIONS)


@pytest.mark.parametrize("name", SIGNATURES)
def test_the_arguments_are_usable(name: str) -> None:
    result = call(name, [example for example, _ in SIGNATURES[name]])
    assert result is not None
    assert result is not MISSING


@pytest.mark.parametrize(("name", "position"), POSITIONS)
def test_missing_gives_missing_even_beside_null(name: str, position: int) -> None:
    arguments = replaced(name, position, MISSING)
    assert call(name, arguments) is MISSING
    assert call(name, [None if value is not MISSING else value for value in arguments]) is MISSING


@pytest.mark.parametrize(("name", "position"), POSITIONS)
def test_null_gives_null_even_beside_a_wrong_type(name: str, position: int) -> None:
    arguments = replaced(name, position, None)
    assert call(name, arguments) is None
    assert call(name, [{} if value is not None else None for value in arguments]) is None


@pytest.mark.parametrize(("name", "position"), POSITIONS)
def test_a_wrong_type_gives_missing(name: str, position: int) -> None:
    right = SIGNATURES[name][position][1].split()
    for kind, example in EXAMPLES.items():
        if kind not in right:
            assert call(name, replaced(name, position, example)) is MISSING, kind

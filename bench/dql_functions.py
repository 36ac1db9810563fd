# SPDX-License-Identifier: Apache-2.0
"""
What one call of each operator and function costs, in nanoseconds and as a ratio.

The unit of the ratio is a call of an empty Python function of two arguments on the same machine,
in the same run: ``python -m bench.dql_functions [part of a name]``.
"""

from __future__ import annotations

import sys
import timeit
from collections.abc import Callable, Iterator
from typing import Final

from edge_twisted.documents.values import MISSING, Operand
from edge_twisted.dql import logic
from edge_twisted.dql.functions.aggregates import AGGREGATES, new_accumulator
from edge_twisted.dql.functions.registry import FUNCTIONS
from edge_twisted.dql.operators import arithmetic, bits, comparison, concatenation, membership
from edge_twisted.dql.patterns.like import ilike, like
from edge_twisted.dql.patterns.similar import similar_to

CALLS: Final = 20_000
ROUNDS: Final = 5
DATE: Final = "2026-03-15T10:30:45.123Z"
TEXT: Final = "The quick brown fox jumps over the lazy dog"
TAGS: Final[Operand] = ["red", "green", "blue", 1, None]
OBJECT: Final[Operand] = {"name": "a", "size": 1, "tags": ["x", "y"]}

Case = tuple[str, Callable[..., object], tuple[object, ...]]

OPERATORS: Final[list[Case]] = [
    ("AND", logic.logical_and, (True, False)),
    ("OR", logic.logical_or, (False, True)),
    ("NOT", logic.logical_not, (True,)),
    ("int + int", arithmetic.add, (1, 2)),
    ("float + int", arithmetic.add, (1.5, 2)),
    ("float * float", arithmetic.multiply, (1.5, 2.5)),
    ("int / int", arithmetic.divide, (7, 2)),
    ("int % int", arithmetic.modulo, (7, 2)),
    ("-int", arithmetic.negate, (7,)),
    ("NULL + int", arithmetic.add, (None, 2)),
    ("MISSING + int", arithmetic.add, (MISSING, 2)),
    ("int << int", bits.shift_left, (1, 2)),
    ("str = str", comparison.equal, ("abc", "abd")),
    ("int = int", comparison.equal, (1, 2)),
    ("int = float", comparison.equal, (1, 2.0)),
    ("MISSING = str", comparison.equal, (MISSING, "a")),
    ("NULL = str", comparison.equal, (None, "a")),
    ("int != int", comparison.not_equal, (1, 2)),
    ("array = array", comparison.equal, ([1, "a"], [1, "b"])),
    ("object = object", comparison.equal, (OBJECT, OBJECT)),
    ("int < int", comparison.less, (1, 2)),
    ("str < str", comparison.less, ("abc", "abd")),
    ("MISSING < int", comparison.less, (MISSING, 2)),
    ("array < array", comparison.less, ([1, "a"], [1, "b"])),
    ("int BETWEEN", comparison.between, (5, 1, 10)),
    ("str IN 5", membership.member, ("blue", TAGS)),
    ("int IN 5", membership.member, (7, TAGS)),
    ("str IN known 1000", membership.member_of([f"k{n}" for n in range(1000)]), ("k500",)),
    ("str || str", concatenation.concatenate, ("abc", "def")),
    ("LIKE 'The%'", like, (TEXT, "The%")),
    ("LIKE '%fox%'", like, (TEXT, "%fox%")),
    ("LIKE '%q%f%d%'", like, (TEXT, "%q%f%d%")),
    ("LIKE '%f_x%'", like, (TEXT, "%f_x%")),
    ("ILIKE '%FOX%'", ilike, (TEXT, "%FOX%")),
    ("SIMILAR TO", similar_to, (TEXT, "%(fox|dog)%")),
]
ARGUMENTS: Final[dict[str, tuple[object, ...]]] = {
    "coalesce": (MISSING, None, 1), "ifmissingornull": (None, 1), "nvl": (None, 1),
    "ifmissing": (MISSING, 1), "ifnull": (None, 1), "ismissing": (1,), "isnull": (1,),
    "ismissingornull": (1,), "nullif": (1, 2), "missingif": (1, 2),
    "decode": ("b", "a", 1, "b", 2), "type": (1,), "json_type": (1,), "is_boolean": (1,),
    "is_number": (1,), "is_string": (1,), "serialize_json": (OBJECT,),
    "deserialize_json": ('{"a": [1, 2, 3]}',), "abs": (-1,), "ceil": (1.5,), "floor": (1.5,),
    "concat": ("a", "b", "c"), "contains": (TEXT, "fox"), "starts_with": (TEXT, "The"),
    "ends_with": (TEXT, "dog"), "lower": (TEXT,), "upper": (TEXT,), "char_length": (TEXT,),
    "character_length": (TEXT,), "byte_length": (TEXT,), "substr": (TEXT, 4, 5),
    "pos": (TEXT, "fox"), "split": (TEXT, " "), "joinstr": (", ", ["a", "b", "c"]),
    "trim": (" a ",), "ltrim": (" a ",), "rtrim": (" a ",), "lpad": ("7", 3, "0"),
    "rpad": ("7", 3, "0"), "repeat": ("ab", 3), "regexp_like": (TEXT, "f[a-z]x"),
    "array_contains": (TAGS, "blue"), "array_contains_null": (TAGS,), "array_length": (TAGS,),
    "object_keys": (OBJECT,), "object_values": (OBJECT,), "object_length": (OBJECT,),
    "object_set": (OBJECT, "new", 1), "object_unset": (OBJECT, "size"),
    "object_concat": (OBJECT, {"b": 1}), "object_rename": (OBJECT, "size", "length"),
    "object_size": (OBJECT,), "date_add": (DATE, "day", 7), "date_sub": (0, "month", 7),
    "date_diff": (DATE, 0, "day"), "date_part": (DATE, "weekday"), "date_trunc": (DATE, "day"),
    "date_format": (DATE, "YYYY-MM-DD hh:mm", "Asia/Tokyo"), "date_cast": (DATE,),
    "date_range": (0, 864_000_000, "day", 1), "tz_offset": ("2026-03-15T10:30:45+09:00",),
    "duration_cast": ("1h30m",), "duration_format": (5_400_000,),
}  # fmt: skip


class _Request:
    now_ms = 1_773_570_645_123
    app_id = "app"
    request_id = "request"
    start_time = DATE


def cases() -> Iterator[Case]:
    """Yield a name, a function and its arguments for everything there is."""
    yield from OPERATORS
    for name, function in FUNCTIONS.items():
        context = (_Request(),) if function.needs_context else ()
        yield name, function.implementation, (*context, *ARGUMENTS.get(name, ()))
    for name in AGGREGATES:
        yield f"{name.upper()}(e)", new_accumulator(name).add, (5,)
        yield f"{name.upper()}(DISTINCT e)", new_accumulator(name, distinct=True).add, (5,)


def nanoseconds(function: Callable[..., object], arguments: tuple[object, ...]) -> float:
    """Return what one call costs, the best of some rounds."""
    names = [f"a{index}" for index in range(len(arguments))]
    timer = timeit.Timer(
        f"function({', '.join(names)})",
        globals={"function": function, **dict(zip(names, arguments, strict=True))},
    )
    return min(timer.repeat(ROUNDS, CALLS)) / CALLS * 1e9


def main(part: str = "") -> None:
    """Print a line for each operator, function and aggregate whose name has ``part`` in it."""
    unit = nanoseconds(lambda left, right: left, (1, 2))
    print(f"{'an empty function':24} {unit:8.0f} ns")
    for name, function, arguments in cases():
        if part.lower() in name.lower():
            cost = nanoseconds(function, arguments)
            print(f"{name:24} {cost:8.0f} ns {cost / unit:7.1f} x")


if __name__ == "__main__":
    main(*sys.argv[1:2])

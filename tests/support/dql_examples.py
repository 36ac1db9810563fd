# SPDX-License-Identifier: Apache-2.0
"""
Statements with what they answer, as people write them down, run against a real database.

    INSERT INTO cars DOCUMENTS ({'_id': 1, 'make': 'Ford'})
    => mutated [1]
    SELECT make FROM cars WHERE _id = :id
    with {'id': 1}
    => {'make': 'Ford'}
    SELECT nope(make) FROM cars
    => error query_invalid at 1:8: unknown function nope

A statement goes on until a line that begins with ``=>`` or ``with``.  Values are literals of the
language.  Rows are compared to the letter, in any order unless the statement says ORDER BY; an
object that ends with ``...}`` need only have what is written before the dots.  A line without a
result is ``=> nothing``.  Lines that begin with ``#`` are comments; statements share one database.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from itertools import count
from typing import Any

from attrs import define, field, frozen
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from edge_twisted.database.database import Database, TimeAndChance
from edge_twisted.documents.json_text import from_text
from edge_twisted.documents.values import Value
from edge_twisted.documents.versions import Replica, SiteId
from edge_twisted.dql.compiler import Environment, RowScope, compile_expression
from edge_twisted.dql.errors import DqlError
from edge_twisted.dql.parser import parse_expression
from edge_twisted.dql.result import Result
from edge_twisted.errors import EdgeError
from edge_twisted.store.memory.data import Data
from edge_twisted.store.memory.store import MemoryStore
from tests.support.callers import EVERYTHING

#: The time of every example: 2026-10-08T10:08:28.090Z.
NOW_MS = 1_791_454_108_090
_ERROR = re.compile(r"error (?P<code>\w+)(?: at (?P<at>\d+:\d+))?(?:: (?P<text>.*))?")
_OPEN = re.compile(r",?\s*\.\.\.\s*\}$")


def memory_database(monotonic: Callable[[], float] = lambda: 0.0) -> Database:
    """Return an open, empty database in memory; its Deferreds have fired when it returns them."""
    store = MemoryStore(Data(Replica(SiteId(b"example's store."), 0)), lambda: NOW_MS)
    store.open()
    numbers = count(1)
    surroundings = TimeAndChance(
        now_ms=lambda: NOW_MS, monotonic=monotonic, new_id=lambda: f"new-{next(numbers)}"
    )
    database = Database(store, "example", surroundings, {"data_sync_info": lambda: ()})
    database.start()
    return database


def answer(
    database: Database, statement: str, arguments: Mapping[str, Value], access: Any = EVERYTHING
) -> Result:
    """Run a statement on a database in memory; :raises EdgeError: it failed."""
    result: Result = outcome(
        database.execute(
            statement, arguments, access=access, request_id="request", timeout_seconds=None
        )
    )
    return result


def outcome(deferred: Deferred[Any]) -> Any:
    """Return what a Deferred that has fired fired with, or raise it."""
    results: list[Any] = []
    deferred.addBoth(results.append)
    assert results, "the Deferred has not fired"
    if isinstance(results[0], Failure):
        results[0].raiseException()
    return results[0]


def rows_of(result: Result) -> list[Value]:
    """Return the rows of a result as values."""
    if result.texts is not None:
        return [from_text(text) for text in result.texts]
    return list(result.items or ())


@define
class Example:
    """One statement, its arguments, and the lines that say what it answers."""

    line: int
    statement: str
    arguments: str = "{}"
    expected: list[str] = field(factory=list)


def examples(text: str, first_line: int = 1) -> Iterator[Example]:
    """Yield the examples of a text; :raises ValueError: the last one has no result."""
    lines: list[str] = []
    example: Example | None = None
    for number, line in enumerate(text.splitlines(), first_line):
        if line.startswith("=> ") and example is not None:
            example.expected.append(line.removeprefix("=> ").strip())
        elif line.startswith("with ") and example is not None:
            example.arguments = line.removeprefix("with ")
        elif line.strip() and not line.startswith("#"):
            if example is None or example.expected:
                if example is not None:
                    example.statement = "\n".join(lines)
                    yield example
                example, lines = Example(number, ""), []
            lines.append(line)
    if example is not None:
        if not example.expected:
            raise ValueError(f"line {example.line}: what does it answer?")
        example.statement = "\n".join(lines)
        yield example


def problem_with(example: Example, database: Database) -> str | None:
    """Run an example; return what is not as it says, None if all of it is."""
    arguments = _value(example.arguments)
    assert isinstance(arguments, dict)
    try:
        result = answer(database, example.statement, arguments)
    except EdgeError as error:
        return _told(example, _wrong_error(example.expected, error))
    return _told(example, _wrong_result(example, result))


def _told(example: Example, wrong: str | None) -> str | None:
    return wrong and f"line {example.line}: {example.statement}\n    {wrong}"


def _wrong_error(expected: list[str], error: EdgeError) -> str | None:
    found = _ERROR.fullmatch(expected[0])
    if found is None:
        return f"failed with {error.code}: {error}"
    position = error.position if isinstance(error, DqlError) else None
    at = f"{position.line}:{position.column}" if position else None
    fits = found["code"] == error.code and (found["text"] or "") in str(error)
    if fits and found["at"] in (None, at):
        return None
    return f"failed with {error.code} at {at}: {error}"


def _wrong_result(example: Example, result: Result) -> str | None:
    rows = rows_of(result)
    left = list(rows)
    in_order = "ORDER BY" in example.statement
    found = f"answered {rows}, mutated {list(result.mutated_ids)}, {list(result.warnings)}"
    for line in example.expected:
        if line == "nothing":
            continue
        if line.startswith("mutated "):
            if not identical(list(result.mutated_ids), _value(line.removeprefix("mutated "))):
                return found
        elif line.startswith("warning "):
            if not any(line.removeprefix("warning ") in each for each in result.warnings):
                return found
        elif line.startswith("error "):
            return found
        else:
            index = next((n for n, row in enumerate(left) if _fits(row, line)), None)
            if index is None or (in_order and index):
                return found
            left.pop(index)
    return found if left else None


def _fits(row: Value, line: str) -> bool:
    opened = _OPEN.search(line)
    if opened is None:
        return identical(row, _value(line))
    return _has(row, _value(line[: opened.start()] + "}"))


def _has(value: Value, part: Value) -> bool:
    if isinstance(value, dict) and isinstance(part, dict):
        return all(name in value and _has(value[name], each) for name, each in part.items())
    return identical(value, part)


def identical(left: Any, right: Any) -> bool:
    """Whether two values are equal down to the types of numbers, keys of objects in any order."""
    if isinstance(left, dict) and isinstance(right, dict):
        same = left.keys() == right.keys()
        return same and all(identical(value, right[name]) for name, value in left.items())
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(identical, left, right))
    return repr(left) == repr(right)


@frozen
class _Now:
    now_ms: int = NOW_MS
    app_id: str = "example"
    request_id: str = "request"
    start_time: str = "2026-10-08T10:08:28.090+00:00"


def _value(text: str) -> Any:
    compiled = compile_expression(parse_expression(text), RowScope(()))
    return compiled(None, Environment({}, _Now()))

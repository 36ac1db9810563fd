# SPDX-License-Identifier: Apache-2.0
"""
Entry points for fuzzers of the language: whatever comes in, a result or an error of ours comes out.

    python -m tests.support.fuzz_dql bytes|grammar|arguments [options of libFuzzer]

runs one of them under atheris (not a dependency: install it beside).  Each function takes bytes and
raises only if something is wrong with the server.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from time import perf_counter
from typing import Any, Final

from edge_twisted.api.decoding import call_of, decode
from edge_twisted.api.errors import STATUS_OF, HttpError
from edge_twisted.api.media import Media
from edge_twisted.api.rendering import result_response
from edge_twisted.database.database import Database
from edge_twisted.documents.values import Value
from edge_twisted.dql.errors import DqlError, LexicalError, ParseError
from edge_twisted.dql.lexer import source_of
from edge_twisted.dql.parser import ParsedStatement, parse
from edge_twisted.errors import EdgeError
from tests.support.dql_examples import answer, memory_database
from tests.support.grammar_dql import Entropy, Grammar

#: No statement over a handful of documents takes longer.
LIMIT_SECONDS: Final = 1.0
#: Statements of one run of the grammar: later ones meet what earlier ones left.
STATEMENTS: Final = 4

DOCUMENTS: Final[list[Value]] = [
    {"_id": 1, "n": 1, "s": "x", "o": {"p": 1, "k": [1, {"q": 2}]}, "tags": ["a", "b"]},
    {"_id": 2, "n": 2.5, "s": "2026-03-15T10:30:45Z", "o": {"p": None}, "tags": []},
    {"_id": "é", "n": -(2**63), "s": "", "odd name": True, "d": b"\x00\xff", "value": "day"},
    {"_id": {"k": 1}, "n": None, "o": "no object", "tags": {"x": 1}, "a": {"n": 1}},
]
ARGUMENTS: Final[Mapping[str, Value]] = {"p": 1, "q": 0, "d": {"_id": 7, "n": 1, "o": {"p": 2}}}
_OTHERS: Final[tuple[Value, ...]] = (1, "a", [1, "a"], None, {"a": 1}, True, 0.5)


class Finding(AssertionError):
    """Something that the server should not have done; the message has the input."""


def fuzz_bytes(data: bytes) -> None:
    """Take any bytes for a statement: as UTF-8, and as text that may hold halves of surrogates."""
    for text in (data, data.decode("utf-8", "surrogateescape")):
        try:
            parsed = _timed(text, lambda text=text: parse(text))  # type: ignore[misc]
        except DqlError as error:
            _check_error(error, text)
            continue
        _run(_database(), parsed.source.text, _arguments_for(parsed))


def fuzz_grammar(data: bytes) -> None:
    """Run statements that the grammar makes of the bytes."""
    database = _database()
    grammar = Grammar(Entropy(data))
    for _ in range(STATEMENTS):
        text = grammar.statement()
        try:
            parsed = parse(text)
        except (LexicalError, ParseError) as error:
            raise Finding(f"the grammar's own {text!r}: {error}") from error
        except DqlError as error:
            _check_error(error, text)
            continue
        _run(database, text, _arguments_for(parsed))


def fuzz_arguments(data: bytes) -> None:
    """Take the bytes for the body of a request, JSON or CBOR, and its arguments for a few uses."""
    media = Media.CBOR if data[:1] == b"\xff" else Media.JSON
    body = data[1:] if media is Media.CBOR else data
    try:
        value = _timed(data, lambda: decode(body, media))
        args: Any = value if isinstance(value, dict) else {"v": value}
        if "statement" in args:
            statement, given = call_of(args)
            _run(_database(), statement, given)
    except HttpError:
        return
    if "v" not in args:
        args = {"v": args}
    database = _database()
    for text in (
        "INSERT INTO c DOCUMENTS ({'_id': 1, 'v': :v}) RETURNING *",
        "INSERT INTO c DOCUMENTS (:v) ON ID CONFLICT DO UPDATE",
        "SELECT * FROM c WHERE v = :v",
        "SELECT _id FROM c USE IDS :v",
        "SELECT serialize_json(:v) AS s, :v AS v, object_size(:v) AS n FROM c ORDER BY :v LIMIT 1",
        "UPDATE c SET v = :v, w.x = :v",
        "ALTER SYSTEM SET dql_default_directives = :v",
        "SELECT * FROM c LIMIT :v",
    ):
        _run(database, text, {"v": args["v"]})


def _database() -> Database:
    database = memory_database()
    answer(database, "INSERT INTO a DOCUMENTS (:d)", {"d": DOCUMENTS})
    answer(database, "INSERT INTO b DOCUMENTS (:d)", {"d": DOCUMENTS[:2]})
    answer(database, "CREATE INDEX i ON a (n, s DESC)", {})
    return database


def _arguments_for(parsed: ParsedStatement) -> dict[str, Value]:
    return {
        name: ARGUMENTS[name] if name in ARGUMENTS else _OTHERS[len(name) % len(_OTHERS)]
        for name in parsed.parameters
    }


def _run(database: Database, text: str, arguments: Mapping[str, Value]) -> None:
    def work() -> None:
        try:
            result = answer(database, text, arguments)
        except DqlError as error:
            _check_error(error, text)
        except EdgeError as error:
            _check_code(error, text)
        else:
            for media in (Media.JSON, Media.CBOR):
                result_response(result, media)

    try:
        _timed(text, work)
    except Finding:
        raise
    except Exception as error:
        raise Finding(f"{type(error).__name__}: {error}: {text!r} with {arguments!r}") from error


def _check_error(error: DqlError, text: str | bytes) -> None:
    """Check that an error says where it is and shows it."""
    _check_code(error, text)
    if error.span is None:
        # Only an argument that nothing in the text uses has no place.
        if error.code == "query_arguments_invalid":
            return
        raise Finding(f"no position: {error}: {text!r}")
    position = error.position
    if position is None:
        raise Finding(f"no source: {error}: {text!r}")
    source = error.source or source_of("")
    line, column = position.line, position.column
    lines = source.text.split("\n")
    if not (1 <= line <= len(lines) and 1 <= column <= len(lines[line - 1]) + 1):
        raise Finding(f"position {line}:{column} is outside: {text!r}")
    shown, carets = position.snippet.split("\n")
    # The end of the text is one beyond, and a carriage return there is not shown.
    if not carets.strip() or carets.strip().strip("^") or len(carets) > len(shown) + 2:
        raise Finding(f"the carets are not under the line: {position.snippet!r}")


def _check_code(error: EdgeError, text: object) -> None:
    status = STATUS_OF.get(error.code, 500)
    if status >= 500 and error.code != "overloaded":
        raise Finding(f"{error.code}: {error}: {text!r}") from error
    str(error).encode("utf-8", "surrogatepass")


def _timed(what: object, work: Callable[[], Any]) -> Any:
    started = perf_counter()
    try:
        return work()
    finally:
        elapsed = perf_counter() - started
        if elapsed > LIMIT_SECONDS and _is_timing:
            raise Finding(f"took {elapsed:.2f} s: {what!r}")


_is_timing = False
TARGETS: Final = {"bytes": fuzz_bytes, "grammar": fuzz_grammar, "arguments": fuzz_arguments}


def main() -> None:
    """Run atheris on the target that the first argument names."""
    global _is_timing
    _is_timing = True
    atheris: Any = importlib.import_module("atheris")
    target = TARGETS[sys.argv.pop(1)]
    atheris.instrument_all()
    atheris.Setup(sys.argv, target)
    atheris.Fuzz()


if __name__ == "__main__":
    main()

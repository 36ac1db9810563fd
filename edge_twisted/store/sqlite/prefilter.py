# SPDX-License-Identifier: Apache-2.0
"""
Translates prefilters into SQL over the stored JSONB.

SQLite's own comparisons are looser than a prefilter's (any text is above any number, true is 1),
so each comparison is followed by a test of the JSON type, which SQLite evaluates only where the
comparison holds.  Paths and operands are bound values, so prefilters of one shape share a prepared
statement.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

import orjson

from edge_twisted.store.prefilter import (
    AllOf,
    AnyOf,
    Compares,
    HasPrefix,
    IsKind,
    Kind,
    OneOf,
    Prefilter,
    Scalar,
)

#: SQL text and its bindings, in order.
Compiled = tuple[str, list[Scalar]]

#: The names that SQLite's ``json_type`` has for each kind, as SQL.
_JSON_TYPES: Final[Mapping[Kind, str]] = {
    "null": "'null'",
    "boolean": "'true', 'false'",
    "number": "'integer', 'real'",
    "binary": "",
    "string": "'text'",
    "array": "'array'",
    "object": "'object'",
}
_KINDS: Final[Mapping[type, Kind]] = {
    bool: "boolean",
    int: "number",
    float: "number",
    str: "string",
}


#: SQLite takes 32,766 bindings and expressions 1,000 deep; a chain of ORs is as deep as it is long.
_MOST_BINDINGS = 30_000
_MOST_PARTS = 200


def compiled(prefilter: Prefilter, body: str) -> Compiled | None:
    """
    Return a prefilter as SQL with its bindings: 1 exactly where `prefilter` holds.

    The condition is valid for literal bodies only (`edge_twisted.documents.json_text`).  None if it
    exceeds SQLite's limits: test the documents with `holds` instead.

    :param body: the SQL expression of a document's JSONB.
    """
    try:
        sql, values = _compiled(prefilter, body)
    except _TooBig:
        return None
    return (sql, values) if len(values) <= _MOST_BINDINGS else None


class _TooBig(Exception):
    """The condition exceeds SQLite's limits."""


def _compiled(prefilter: Prefilter, body: str) -> Compiled:
    match prefilter:
        case Compares(path, symbol, operand):
            where = json_path(path)
            return _comparison(body, symbol, _KINDS[type(operand)]), [where, operand, where]
        case OneOf(path, operands):
            return _one_of(body, path, operands)
        case HasPrefix(path, prefix):
            end = _after(prefix)
            parts: list[Prefilter] = [Compares(path, ">=", prefix)]
            if end is not None:
                parts.append(Compares(path, "<", end))
            return _joined(tuple(parts), body, " AND ", "1")
        case IsKind(path, kinds):
            return _is_kind(body, path, kinds)
        case AllOf(parts_of_all):
            return _joined(parts_of_all, body, " AND ", "1")
        case AnyOf(parts_of_any):
            return _joined(parts_of_any, body, " OR ", "0")


@lru_cache(maxsize=1024)
def json_path(path: tuple[str, ...]) -> str:
    """Return a path of field names, of any characters, as SQLite writes paths: ``$."a"."b"``."""
    return "$" + "".join("." + orjson.dumps(name).decode() for name in path)


@lru_cache(maxsize=256)
def _comparison(body: str, symbol: str, kind: Kind) -> str:
    """Return the SQL of a comparison; its bindings are path, operand, path."""
    operator = "IS NOT" if symbol == "!=" else symbol
    return f"(json_extract({body}, ?) {operator} ? AND {_is_of(body, _JSON_TYPES[kind])})"


def _is_of(body: str, types: str) -> str:
    return f"json_type({body}, ?) IN ({types})"


def _one_of(body: str, path: tuple[str, ...], operands: tuple[Scalar, ...]) -> Compiled:
    texts: list[str] = []
    bindings: list[Scalar] = []
    where = json_path(path)
    for kind in sorted({_KINDS[type(operand)] for operand in operands}):
        chosen = [operand for operand in operands if _KINDS[type(operand)] == kind]
        marks = ", ".join("?" * len(chosen))
        test = _is_of(body, _JSON_TYPES[kind])
        texts.append(f"(json_extract({body}, ?) IN ({marks}) AND {test})")
        bindings += [where, *chosen, where]
    return f"({' OR '.join(texts) or '0'})", bindings


def _after(prefix: str) -> str | None:
    """Return the lowest string above all that begin with `prefix`; None if there is none."""
    stem = prefix.rstrip("\U0010ffff")
    if not stem:
        return None
    following = ord(stem[-1]) + 1
    # Surrogates (U+D800 to U+DFFF) are not characters.
    return stem[:-1] + chr(0xE000 if following == 0xD800 else following)


def _is_kind(body: str, path: tuple[str, ...], kinds: frozenset[Kind]) -> Compiled:
    types = ", ".join(filter(None, (_JSON_TYPES[kind] for kind in sorted(kinds - {"missing"}))))
    parts: list[str] = []
    if types:
        parts.append(f"ifnull({_is_of(body, types)}, 0)")
    if "missing" in kinds:
        parts.append(f"json_type({body}, ?) IS NULL")
    return f"({' OR '.join(parts) or '0'})", [json_path(path)] * len(parts)


def _joined(parts: tuple[Prefilter, ...], body: str, word: str, none: str) -> Compiled:
    if not parts:
        return none, []
    if len(parts) > _MOST_PARTS:
        raise _TooBig
    each = [_compiled(part, body) for part in parts]
    return f"({word.join(sql for sql, _ in each)})", [v for _, values in each for v in values]

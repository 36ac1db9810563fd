# SPDX-License-Identifier: Apache-2.0
"""
Prefilters as SQL over the stored JSONB.

SQLite's own comparisons are looser than a prefilter's (any text is above any number, true is 1),
so each comparison is followed by a test of the JSON type, which only the documents that passed the
comparison pay for.  Paths and operands are bound, never spliced, so a shape is prepared once.
"""

from __future__ import annotations

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

_JSON_TYPES: dict[Kind, tuple[str, ...]] = {
    "null": ("null",),
    "boolean": ("true", "false"),
    "number": ("integer", "real"),
    "binary": (),
    "string": ("text",),
    "array": ("array",),
    "object": ("object",),
}


#: SQLite takes 32,766 bindings and expressions 1,000 deep; a chain of ORs is as deep as it is long.
_MOST_BINDINGS = 30_000
_MOST_PARTS = 200


def compiled(prefilter: Prefilter, body: str) -> Compiled | None:
    """
    Return a condition over the JSONB expression `body`: 1 exactly where `prefilter` holds.

    It is right about literal bodies (`edge_twisted.documents.json_text`), which hold no binary.
    None if it is too big for SQLite: test the documents with `holds` instead.
    """
    try:
        sql, values = _compiled(prefilter, body)
    except _TooBig:
        return None
    return (sql, values) if len(values) <= _MOST_BINDINGS else None


class _TooBig(Exception):
    pass


def _compiled(prefilter: Prefilter, body: str) -> Compiled:
    match prefilter:
        case Compares(path, symbol, operand):
            sql, values = _value(body, path)
            test, more = _of_types(body, path, _JSON_TYPES[_kind(operand)])
            comparison = f"{sql} {'IS NOT' if symbol == '!=' else symbol} ?"
            return f"({comparison} AND {test})", [*values, operand, *more]
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


def json_path(path: tuple[str, ...]) -> str:
    """Return SQLite's notation for a path of names, whatever characters they have."""
    return "$" + "".join("." + orjson.dumps(name).decode() for name in path)


def _value(body: str, path: tuple[str, ...]) -> Compiled:
    return f"json_extract({body}, ?)", [json_path(path)]


def _of_types(body: str, path: tuple[str, ...], types: tuple[str, ...]) -> Compiled:
    marks = ", ".join("?" * len(types))
    return f"json_type({body}, ?) IN ({marks})", [json_path(path), *types]


def _kind(operand: Scalar) -> Kind:
    match operand:
        case bool():
            return "boolean"
        case str():
            return "string"
    return "number"


def _one_of(body: str, path: tuple[str, ...], operands: tuple[Scalar, ...]) -> Compiled:
    texts: list[str] = []
    bindings: list[Scalar] = []
    for kind in sorted({_kind(operand) for operand in operands}):
        chosen = [operand for operand in operands if _kind(operand) == kind]
        sql, values = _value(body, path)
        test, more = _of_types(body, path, _JSON_TYPES[kind])
        texts.append(f"({sql} IN ({', '.join('?' * len(chosen))}) AND {test})")
        bindings += [*values, *chosen, *more]
    return f"({' OR '.join(texts) or '0'})", bindings


def _after(prefix: str) -> str | None:
    """Return the lowest string above all that begin with `prefix`; None if there is none."""
    stem = prefix.rstrip("\U0010ffff")
    if not stem:
        return None
    following = ord(stem[-1]) + 1
    # Surrogates are no characters.
    return stem[:-1] + chr(0xE000 if following == 0xD800 else following)


def _is_kind(body: str, path: tuple[str, ...], kinds: frozenset[Kind]) -> Compiled:
    types = tuple(name for kind in sorted(kinds - {"missing"}) for name in _JSON_TYPES[kind])
    parts: list[str] = []
    values: list[Scalar] = []
    if types:
        test, values = _of_types(body, path, types)
        parts.append(f"ifnull({test}, 0)")
    if "missing" in kinds:
        parts.append(f"json_type({body}, ?) IS NULL")
        values.append(json_path(path))
    return f"({' OR '.join(parts) or '0'})", values


def _joined(parts: tuple[Prefilter, ...], body: str, word: str, none: str) -> Compiled:
    if not parts:
        return none, []
    if len(parts) > _MOST_PARTS:
        raise _TooBig
    each = [_compiled(part, body) for part in parts]
    return f"({word.join(sql for sql, _ in each)})", [v for _, values in each for v in values]

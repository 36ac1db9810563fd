# SPDX-License-Identifier: Apache-2.0
"""
``SIMILAR TO``: regular expressions of the SQL standard, matched against the whole text.

``%`` is any run of characters, ``_`` any one; ``|``, ``( )``, ``* + ?``, ``{m}``, ``{m,}``,
``{m,n}`` and ``[sets]`` are as in other regular expressions, sets with ranges, ``^`` and POSIX
classes (``[[:digit:]]``).  A backslash makes the next character stand for itself; every other
character does so anyway, ``.``, ``^`` and ``$`` among them.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

import re2

from edge_twisted.documents.values import Operand
from edge_twisted.dql.errors import EvaluationError
from edge_twisted.dql.patterns.engine import (
    CACHED_PATTERNS,
    DEFAULT_ESCAPE,
    Matcher,
    check_escape,
    check_length,
    compile_expression,
    quote_pattern,
)
from edge_twisted.dql.propagation import propagate

_KIND: Final = "SIMILAR TO pattern"
#: One piece of a pattern.  A set may hold POSIX classes, which hold a bracket themselves.
_PIECE: Final = re.compile(
    r"""
      (?P<wildcard> [%_] )
    | (?P<repeat> [*+?] | \{ [0-9]{1,4} (?: , [0-9]{0,4} )? \} )
    | (?P<structure> [|()] )
    | (?P<set> \[ \^? (?: \[:[a-z]+:\] | \\. | [^\]\\] )++ \] )
    | (?P<literal> \\. | [^\[{\\] )
    """,
    re.DOTALL | re.VERBOSE,
)
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)
_WILDCARDS: Final = {"%": "(?:.*)", "_": "."}
#: What stops at a character that begins no piece.
_PROBLEMS: Final = {
    "{": "'{' begins no repetition of the form {m}, {m,} or {m,n}",
    "[": "'[' begins no set that ends with ']'",
    "\\": "the escape character has nothing to escape",
}


def similar_to(value: Operand, pattern: Operand, escape: Operand = DEFAULT_ESCAPE) -> Operand:
    """
    Return ``value SIMILAR TO pattern ESCAPE escape``; NULL or MISSING if one is no string.

    :raises EvaluationError: as `compile_similar`.
    """
    if type(value) is str and type(pattern) is str and type(escape) is str:
        return compile_similar(pattern, escape)(value)
    return propagate(value, pattern, escape)


@lru_cache(maxsize=CACHED_PATTERNS)
def compile_similar(pattern: str, escape: str = DEFAULT_ESCAPE) -> Matcher:
    """
    Return the function of a text that tells whether a pattern of ``SIMILAR TO`` matches it.

    :raises EvaluationError: the pattern is invalid, which the message explains, or too long, or
        ``escape`` is not one character.
    """
    check_length(pattern, _KIND)
    check_escape(escape)
    if escape != DEFAULT_ESCAPE:
        pattern = _escaped_by_backslash(pattern, escape)
    return compile_expression(_translate(pattern), pattern, _KIND, whole=True)


def _escaped_by_backslash(pattern: str, escape: str) -> str:
    """Return the pattern that means the same with the default escape character."""
    characters = iter(pattern)
    parts = []
    for character in characters:
        if character == escape:
            parts.append(DEFAULT_ESCAPE + next(characters, ""))
        else:
            parts.append(character.replace(DEFAULT_ESCAPE, DEFAULT_ESCAPE * 2))
    return "".join(parts)


def _translate(pattern: str) -> str:
    """
    Return the pattern in the syntax of RE2, which bounds the repetitions.

    :raises EvaluationError: it is invalid.
    """
    parts = ["(?s)"]
    position = depth = 0
    repeatable = False
    while position < len(pattern):
        piece = _PIECE.match(pattern, position)
        if piece is None:
            raise _invalid(pattern, position, _PROBLEMS[pattern[position]])
        kind, text = piece.lastgroup, piece[0]
        if kind == "repeat" and not repeatable:
            raise _invalid(pattern, position, f"'{text}' has nothing to repeat")
        depth += {"(": 1, ")": -1}.get(text, 0)
        if depth < 0:
            raise _invalid(pattern, position, "')' closes nothing")
        parts.append(_piece_in_re2(kind, text))
        repeatable = kind in ("wildcard", "set", "literal") or text == ")"
        position = piece.end()
    if depth:
        raise _invalid(pattern, position, "')' is missing")
    return "".join(parts)


def _piece_in_re2(kind: str | None, text: str) -> str:
    if kind == "wildcard":
        return _WILDCARDS[text]
    if kind == "literal":
        return str(re2.escape(text[-1]))
    if kind == "set":
        return _ESCAPED.sub(lambda escaped: str(re2.escape(escaped[1])), text)
    return text


def _invalid(pattern: str, position: int, problem: str) -> EvaluationError:
    return EvaluationError(
        f"invalid {_KIND} {quote_pattern(pattern)}: {problem} at character {position + 1}"
    )

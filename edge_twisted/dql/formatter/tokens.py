# SPDX-License-Identifier: Apache-2.0
"""Formatting of tokens: names, strings, numbers, JSON in comments."""

from __future__ import annotations

import re
from typing import Final

from edge_twisted.dql.parser.calls import SPECIAL_CALLS
from edge_twisted.dql.tokens import BARE_NAME, RESERVED

_BARE: Final = re.compile(BARE_NAME)

#: Words that are not reserved, but parsed as keywords in places of a name.
_MISLEADING: Final = frozenset({"COLLECTION", "DEFAULT", "LIST"})

_ESCAPES: Final = {"\\": "\\\\", "'": "\\'", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_ESCAPED: Final = re.compile(r"[\\'\x00-\x1f\x7f-\x9f\u2028\u2029]")


def name(text: str) -> str:
    """Return the text of a name, in backticks if it needs them."""
    word = text.upper()
    if _BARE.fullmatch(text) and word not in RESERVED and word not in _MISLEADING:
        return text
    return "`" + text.replace("`", "``") + "`"


def function_name(text: str) -> str:
    """
    Return the text of a function's name, in backticks if a call without them is special.

    `SPECIAL_CALLS` have a syntax of their own for arguments; other names need backticks as `name`
    says.
    """
    return f"`{text}`" if text.upper() in SPECIAL_CALLS else name(text)


def path(names: tuple[str, ...]) -> str:
    """Return the text of a path: its names with dots between them."""
    return ".".join(map(name, names))


def string(text: str) -> str:
    """Return a string literal in single quotes, on one line."""
    return "'" + _ESCAPED.sub(_escape, text) + "'"


def _escape(match: re.Match[str]) -> str:
    character = match[0]
    return _ESCAPES.get(character) or f"\\u{ord(character):04x}"


def literal(value: bool | int | float | str | None) -> str:
    """Return the text of the literal of a value."""
    if value is None:
        return "NULL"
    if isinstance(value, str):
        return string(value)
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    return repr(value)


def directive_comment(json: str) -> str:
    """Return a comment that holds a JSON object, whatever its strings contain."""
    return "/*+ " + json.replace("*/", "*\\/") + " */"

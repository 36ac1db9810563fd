# SPDX-License-Identifier: Apache-2.0
"""Tokens of a statement, and the reserved words."""

from __future__ import annotations

from typing import Final

from attrs import frozen

from edge_twisted.dql.source import Span

#: The words of tokens that are neither bare words nor symbols.
NAME: Final = "<name>"
NUMBER: Final = "<number>"
STRING: Final = "<string>"
END: Final = "<end>"


@frozen
class Tokens:
    """
    The tokens of a text, side by side: the n-th of each list belongs to the n-th token.

    ``words`` is what the grammar tests: a bare word in upper case, a symbol as it is, or one of
    `NAME`, `NUMBER`, `STRING` and `END`, which comes last.  ``values`` has the text of words and
    symbols, names without their backticks, decoded strings, and numbers.  The lists hold plain
    values, because the garbage collector would visit a million token objects again and again.
    """

    words: list[str]
    values: list[str | int | float]
    #: Offsets of the first character of each token, and of the first one after it.
    starts: list[int]
    ends: list[int]
    #: Directive comments by the index of the token that follows them.  They count in some places
    #: only, and in all others are comments.
    directives: dict[int, list[DirectiveComment]]


@frozen
class DirectiveComment:
    """``/*+ {...} */`` or ``--+ {...}``: what stands after the plus sign, and where."""

    text: str
    span: Span


# fmt: off
#: Structural keywords: names only in backticks.
RESERVED: Final = frozenset({
    "ALL", "AND", "ANY", "ARRAY", "AS", "BETWEEN", "CASE", "DELETE", "DISTINCT", "ELSE",
    "END", "EVERY", "EXCEPT", "FALSE", "FROM", "GROUP", "HAVING", "ILIKE", "IN", "INSERT",
    "INTERSECT", "INTO", "IS", "JOIN", "LIKE", "LIMIT", "MISSING", "NOT", "NULL", "OBJECT",
    "OFFSET", "ON", "OR", "ORDER", "RETURNING", "SELECT", "SET", "SIMILAR", "THEN", "TRUE",
    "UNION", "UNNEST", "UPDATE", "WHEN", "WHERE", "XOR",
})

#: Words that may begin what follows a name, and so name something there only after AS.
NEVER_A_BARE_ALIAS: Final = RESERVED | {
    "APPLY", "CROSS", "ESCAPE", "FULL", "INNER", "LEFT", "LET", "NATURAL", "NEST", "OUTER",
    "OVER", "QUALIFY", "RIGHT", "UNSET", "USE", "USING", "WINDOW",
}
# fmt: on

#: The regular expression of a bare name.
BARE_NAME: Final = r"[A-Za-z_][A-Za-z0-9_]*"

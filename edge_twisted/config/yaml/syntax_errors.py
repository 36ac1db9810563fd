# SPDX-License-Identifier: Apache-2.0
"""
Translates errors of the YAML parser into a position, a plain text and a remedy.

Quotations in the parser's messages are left out, because they may be part of a secret.
"""

from __future__ import annotations

import re
from typing import Final

import yaml

from edge_twisted.config.problems import FilePosition
from edge_twisted.config.yaml.nodes import MAX_DEPTH
from edge_twisted.config.yaml.text import end_of

_QUOTED: Final = re.compile(r"\s*'(?:[^'\\]|\\.)*'")

_NO_COLON: Final = "could not find expected ':'"

#: Part of the parser's message -> what is wrong; what would be right.  The first match counts.
#: libyaml has a bound on nesting of its own, far above ours, and reads ahead by the length of a
#: key, so it can meet its bound before the composer has seen a single bracket.
_MESSAGES: Final = {
    "nesting depth": f"the file nests deeper than {MAX_DEPTH} levels; flatten it",
    "mapping values are not allowed": "a `:` cannot be here; "
    "quote a text that has `: ` in it, and indent the keys of one object alike",
    "tab character that violates indentation": "a tab cannot indent in YAML; indent with spaces",
    "alphabetic or numeric character": "no name follows this `*` or `&`; "
    "quote a text that begins with `*` or `&`",
    "undefined tag handle": "tags (`!...`) are not accepted; quote a text that begins with `!`",
    "unexpected end of stream": "the file ends inside quotes; close them where the text ends",
    "escape character": "this `\\` escape does not exist in YAML; "
    "write `\\\\` for a backslash, or use single quotes",
    "character escape code": "this escape stands for no character; write the character itself",
    "comment or line break": "text follows `|` or `>` on the same line; "
    "begin the text on the next line, or quote it",
    "incompatible YAML document": "this version of YAML is not known; remove the %YAML line",
    _NO_COLON: "this key has no `:`; write `key: value`, or quote a text of several lines",
    "<document start>": "something follows the end of the document; "
    "close each bracket once, and write everything into one document",
    "',' or": "this list or object in brackets is not closed, or a comma is missing; "
    "write a comma between entries and close it with `]` or `}`",
    "expected node content": "a value is missing here; "
    "write it, or remove the comma, bracket or key before it",
    "'-' indicator": "this line is no item of the list that it is indented as; "
    "begin it with `- `, or indent it differently",
    "expected key": "this line is no key of the object that it is indented as; "
    "write `key: value`, indented like its neighbours",
    "<block end>": "this line does not continue the list or object that it is indented as; "
    "indent the entries of one list or object alike",
}

#: Messages about a text or collection that is not closed.
_UNCLOSED: Final = ("unexpected end of stream", "',' or")


def explain(error: yaml.YAMLError, text: str) -> tuple[FilePosition, str, str]:
    """Return where in `text` libyaml's error is, what is wrong, and what would be right."""
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return FilePosition(1, 1), "the file is not YAML", "correct its syntax"
    problem = error.problem or ""
    mark = error.problem_mark
    if _NO_COLON in problem and error.context_mark is not None:
        mark = error.context_mark  # the key; the problem is found in the next line
    position = FilePosition(mark.line + 1, mark.column + 1)
    at = text[mark.index : mark.index + 1]
    if mark.index >= len(text):
        position = end_of(text)  # libyaml counts a line too many there
    if "cannot start any token" in problem:
        return position, *_bad_start(at)
    for part, explanation in _MESSAGES.items():
        if part in problem:
            what, _, right = explanation.partition("; ")
            return position, what + _beginning(error, part), right
    message = _QUOTED.sub("", problem).strip() or "the text does not parse"
    return position, f"this is not YAML: {message}", "correct the syntax"


def _beginning(error: yaml.MarkedYAMLError, part: str) -> str:
    """Return the line where an unclosed text or collection begins, as an addition to `what`."""
    if part not in _UNCLOSED or error.context_mark is None:
        return ""
    return f" (it began in line {error.context_mark.line + 1})"


def _bad_start(character: str) -> tuple[str, str]:
    if character == "\t":
        return "a tab cannot indent in YAML", "indent with spaces"
    if character in ("@", "`", "%"):
        return f"a plain text cannot begin with `{character}`", "put the text in quotes"
    return "no value can begin with this character", "put the text in quotes"

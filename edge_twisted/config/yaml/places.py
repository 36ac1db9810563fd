# SPDX-License-Identifier: Apache-2.0
"""Maps a place inside a text, such as an error in a query, to its file position."""

from __future__ import annotations

from collections.abc import Sequence

from edge_twisted.config.problems import FilePosition
from edge_twisted.config.yaml.nodes import Scalar


def locate(scalar: Scalar, lines: Sequence[str], line: int, column: int) -> FilePosition | None:
    """
    Return the place in the file of a line and column of the text in `scalar`.

    Both count from 1, columns in characters.  Returns None where value and spelling differ
    (escapes, folded lines).

    :param lines: the lines of the whole file, as `text.lines_of` returns them.
    """
    value = scalar.value
    if not isinstance(value, str):
        return None
    if scalar.text.style == "|":
        return _in_literal(scalar, value, lines, line, column)
    start, end = scalar.position, scalar.text.end
    marks = 1 if scalar.text.style in ("'", '"') else 0
    if line != 1 or start.line != end.line:
        return None
    if end.column - start.column != len(value) + 2 * marks:
        return None
    return FilePosition(start.line, start.column + marks + column - 1)


def _in_literal(
    scalar: Scalar, value: str, lines: Sequence[str], line: int, column: int
) -> FilePosition | None:
    texts = value.split("\n")
    number = scalar.position.line + line
    if line > len(texts) or number > len(lines):
        return None
    written, text = lines[number - 1], texts[line - 1]
    if not written.endswith(text):
        return None
    return FilePosition(number, len(written) - len(text) + column)

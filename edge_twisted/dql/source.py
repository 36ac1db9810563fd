# SPDX-License-Identifier: Apache-2.0
"""
The text of a statement, and places in it.

Inside this room a place is a `Span`: two offsets into the text.  Lines and columns are worked out
only when somebody is told about a place.
"""

from __future__ import annotations

from typing import Final, TypeAlias

from attrs import frozen

#: Offsets of characters: the first of the place, and the first after it.
Span: TypeAlias = tuple[int, int]

#: The span of what no user wrote, such as the result of a rewrite of nothing in particular.
NOWHERE: Final[Span] = (0, 0)

#: How much of a long line a snippet shows on each side of the place.
_SNIPPET_RADIUS: Final = 60
#: How much of the text an error quotes after "near".
_NEAR_LENGTH: Final = 20


@frozen(kw_only=True)
class SourcePosition:
    """A place as people are told it: ``line`` and ``column`` count from 1, in characters."""

    line: int
    column: int
    #: The line, and below it carets under the place; two lines without a final newline.
    snippet: str


@frozen
class SourceText:
    """The text of one statement."""

    text: str

    def position(self, span: Span) -> SourcePosition:
        """
        Return where ``span`` is.

        The end of the text is the place after its last character, and what lies beyond counts
        as the end.
        """
        start = min(span[0], len(self.text))
        line_start = self.text.rfind("\n", 0, start) + 1
        return SourcePosition(
            line=self.text.count("\n", 0, start) + 1,
            column=start - line_start + 1,
            snippet=self._snippet(line_start, start, span[1]),
        )

    def near(self, span: Span) -> str:
        """Return the beginning of the text at ``span``, on one line, for "near ..."."""
        rest = self.text[span[0] : span[0] + _NEAR_LENGTH + 1]
        shown = rest[:_NEAR_LENGTH] + ("..." if len(rest) > _NEAR_LENGTH else "")
        return " ".join(_printable(shown).split())

    def _snippet(self, line_start: int, start: int, end: int) -> str:
        line_end = self.text.find("\n", line_start)
        if line_end < 0:
            line_end = len(self.text)
        first = max(line_start, start - _SNIPPET_RADIUS)
        last = min(line_end, start + _SNIPPET_RADIUS)
        before = "..." if first > line_start else ""
        after = "..." if last < line_end else ""
        shown = _printable(self.text[first:last].removesuffix("\r"))
        # A tab stays a tab in the line of carets, so that the two lines align on any terminal.
        padding = "".join("\t" if c == "\t" else " " for c in before + self.text[first:start])
        carets = "^" * max(1, min(end, last) - start)
        return f"{before}{shown}{after}\n{padding}{carets}"


def _printable(text: str) -> str:
    """Replace, one for one, what could move a terminal's cursor."""
    return "".join(c if c.isprintable() or c == "\t" else "\ufffd" for c in text)

# SPDX-License-Identifier: Apache-2.0
"""
The text of a statement, and positions in it.

Within the room a position is a `Span`, two offsets into the text.  Line and column are computed
only when an error is shown to a user.
"""

from __future__ import annotations

from typing import Final, TypeAlias

from attrs import frozen

#: Offsets of characters: the first one of a piece of text, and the first one after it.
Span: TypeAlias = tuple[int, int]

#: The span of nodes that have no text, such as those made by a rewrite.
NOWHERE: Final[Span] = (0, 0)

#: Characters of a long line that a snippet shows on each side of the position.
_SNIPPET_RADIUS: Final = 60
#: Characters of the text that an error quotes after "near".
_NEAR_LENGTH: Final = 20


@frozen(kw_only=True)
class SourcePosition:
    """A position as users see it: ``line`` and ``column`` count from 1, in characters."""

    line: int
    column: int
    #: The line, and below it carets that mark the span; no final newline.
    snippet: str


@frozen
class SourceText:
    """The text of one statement."""

    text: str

    def position(self, span: Span) -> SourcePosition:
        """
        Return line and column of the beginning of ``span``, and a snippet that shows it.

        The end of the text is the position after its last character; a span beyond it counts as the
        end.
        """
        start = min(span[0], len(self.text))
        line_start = self.text.rfind("\n", 0, start) + 1
        return SourcePosition(
            line=self.text.count("\n", 0, start) + 1,
            column=start - line_start + 1,
            snippet=self._snippet(line_start, start, span[1]),
        )

    def near(self, span: Span) -> str:
        """Return the beginning of the text at ``span``, on one line, for messages: "near ..."."""
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

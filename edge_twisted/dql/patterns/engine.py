# SPDX-License-Identifier: Apache-2.0
"""The adapter to RE2: compilation and matching within limits of memory and time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import re2

from edge_twisted.dql.errors import EvaluationError

#: Longest pattern, in characters.  Longer ones are mistakes, or attacks on the caches.
PATTERN_LIMIT: Final = 4096

#: Bytes for one compiled pattern: its program and the states of its automaton.
_MEMORY_LIMIT_BYTES: Final = 1 << 20

#: Instructions of the program times bytes of the text.  RE2 spends at most some 5 ns on each pair,
#: which nothing can interrupt, so a match takes a few seconds at the very worst, and no other
#: thread waits for it.
_WORK_LIMIT: Final = 1 << 29

#: Compiled patterns that each kind of pattern keeps.
CACHED_PATTERNS: Final = 128

#: What makes the next character stand for itself, unless ESCAPE says otherwise.
DEFAULT_ESCAPE: Final = "\\"

#: How much of a pattern a message quotes, in characters.
_SHOWN_LENGTH: Final = 60

#: Whether a text matches.
Matcher = Callable[[str], bool]


def quote_pattern(pattern: str) -> str:
    """Return ``pattern`` in quotes for a message, cut to `_SHOWN_LENGTH` characters."""
    cut = pattern if len(pattern) <= _SHOWN_LENGTH else pattern[:_SHOWN_LENGTH] + "..."
    return f"'{cut}'"


def check_length(pattern: str, kind: str) -> None:
    """
    Check the length of a pattern.

    :raises EvaluationError: the pattern has more than `PATTERN_LIMIT` characters.
    """
    if len(pattern) > PATTERN_LIMIT:
        raise EvaluationError(
            f"{kind} of {len(pattern)} characters exceeds limit of {PATTERN_LIMIT} characters"
        )


def check_escape(escape: str) -> None:
    """
    Check that ``escape`` is one character.

    :raises EvaluationError: ``escape`` is empty or longer.
    """
    if len(escape) != 1:
        raise EvaluationError(f"ESCAPE takes exactly one character, not {quote_pattern(escape)}")


def compile_expression(expression: str, pattern: str, kind: str, *, whole: bool) -> Matcher:
    """
    Return the matcher of a regular expression in the syntax of RE2.

    The matcher searches the text, or, if ``whole``, matches all of it.

    :param pattern: the pattern as the client wrote it, and ``kind`` its name, for messages.
    :raises EvaluationError: RE2 cannot compile the expression; the message has the reason.  The
        matcher raises it for a text that is too long for the complexity of the pattern.
    """
    options = re2.Options()
    options.max_mem = _MEMORY_LIMIT_BYTES
    options.log_errors = False
    options.never_capture = True
    try:
        compiled = re2.compile(expression, options)
    except re2.error as error:
        reason = error.args[0]
        text = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
        raise EvaluationError(f"invalid {kind} {quote_pattern(pattern)}: {text}") from None
    search = compiled.fullmatch if whole else compiled.search
    longest_bytes = _WORK_LIMIT // compiled.programsize

    def matches(text: str) -> bool:
        # RE2 works on bytes; given a str, the binding would map offsets to characters.
        encoded = text.encode()
        if len(encoded) > longest_bytes:
            raise EvaluationError(
                f"{kind} {quote_pattern(pattern)} is too complex for a text of {len(encoded)} "
                f"bytes: at most {longest_bytes} bytes can be matched in reasonable time"
            )
        return search(encoded) is not None

    return matches

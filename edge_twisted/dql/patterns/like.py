# SPDX-License-Identifier: Apache-2.0
"""
``LIKE`` and ``ILIKE``: ``%`` is any run of characters, ``_`` any one character.

The escape character makes the next character, whatever it is, stand for itself.  ``ILIKE`` is
``LIKE`` between folded texts, see `fold`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import re2
from attrs import frozen

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

_KIND: Final = "LIKE pattern"


@frozen(kw_only=True)
class LikePattern:
    """
    A compiled pattern.

    ``prefix`` is the prefix of every matching text, which an index on the field can use.  If
    ``exact``, the pattern has no wildcard and matches only ``prefix``.  ``ILIKE`` has neither.
    """

    matches: Matcher
    prefix: str
    exact: bool


def fold(text: str) -> str:
    """
    Return ``text`` with differences of case removed, character by character.

    The length stays the same, so ``_`` is one character in any case: a character whose full case
    folding is longer (``ß`` to ``ss``) is put in lower case instead, or else left alone.
    """
    folded = text.casefold()
    return folded if len(folded) == len(text) else "".join(map(_fold_character, text))


def _fold_character(character: str) -> str:
    folded = character.casefold()
    if len(folded) > 1:
        folded = character.lower()
    return folded if len(folded) == 1 else character


@lru_cache(maxsize=CACHED_PATTERNS)
def compile_like(
    pattern: str, escape: str = DEFAULT_ESCAPE, ignore_case: bool = False
) -> LikePattern:
    """
    Return the compiled form of a pattern of ``LIKE``, or of ``ILIKE`` if ``ignore_case``.

    :raises EvaluationError: the pattern is too long or ends with the escape character, or
        ``escape`` is not one character.
    """
    check_length(pattern, _KIND)
    check_escape(escape)
    runs = _parse(pattern, escape)
    if ignore_case:
        folded = _matcher([[part and fold(part) for part in run] for run in runs], pattern)
        return LikePattern(matches=lambda text: folded(fold(text)), prefix="", exact=False)
    first = runs[0]
    return LikePattern(
        matches=_matcher(runs, pattern),
        prefix=(first and first[0]) or "",
        exact=len(runs) == 1 and None not in first,
    )


def like(value: Operand, pattern: Operand, escape: Operand = DEFAULT_ESCAPE) -> Operand:
    """
    Return ``value LIKE pattern ESCAPE escape``; NULL or MISSING if one is no string.

    :raises EvaluationError: as `compile_like`.
    """
    if type(value) is str and type(pattern) is str and type(escape) is str:
        return compile_like(pattern, escape).matches(value)
    return propagate(value, pattern, escape)


def ilike(value: Operand, pattern: Operand, escape: Operand = DEFAULT_ESCAPE) -> Operand:
    """
    Return ``value ILIKE pattern ESCAPE escape``; NULL or MISSING if one is no string.

    :raises EvaluationError: as `compile_like`.
    """
    if type(value) is str and type(pattern) is str and type(escape) is str:
        return compile_like(pattern, escape, True).matches(value)
    return propagate(value, pattern, escape)


#: What stands between two ``%``: literal texts, and None for each ``_``.
_Run = list[str | None]


def _parse(pattern: str, escape: str) -> list[_Run]:
    """Split a pattern at each ``%``, into one run more than there are of these."""
    runs: list[_Run] = [[]]
    characters = iter(pattern)
    for character in characters:
        run = runs[-1]
        if character == escape:
            literal = next(characters, None)
            if literal is None:
                raise EvaluationError(
                    f"invalid {_KIND} {quote_pattern(pattern)}: it ends with the escape character;"
                    " write it twice to mean itself"
                )
        elif character == "%":
            runs.append([])
            continue
        else:
            literal = None if character == "_" else character
        if literal is None or not run or run[-1] is None:
            run.append(literal)
        else:
            run[-1] += literal
    return runs


def _matcher(runs: list[_Run], pattern: str) -> Matcher:
    if any(None in run for run in runs):
        expression = "(?s)" + ".*".join(
            "".join("." if part is None else re2.escape(part) for part in run) for run in runs
        )
        return compile_expression(expression, pattern, _KIND, whole=True)
    return _search_for(["".join(filter(None, run)) for run in runs])


def _search_for(pieces: list[str]) -> Matcher:
    """Return a matcher of texts that hold ``pieces`` in order, anchored at both ends."""
    first, last = pieces[0], pieces[-1]
    if len(pieces) == 1:
        return first.__eq__
    middle = [piece for piece in pieces[1:-1] if piece]
    if not middle and not last:
        return lambda text: text.startswith(first)
    if not middle and not first:
        return lambda text: text.endswith(last)
    if len(middle) == 1 and not first and not last:
        needle = middle[0]
        return lambda text: needle in text
    shortest = len(first) + len(last)

    def matches(text: str) -> bool:
        end = len(text) - len(last)
        if len(text) < shortest or not text.startswith(first) or not text.endswith(last):
            return False
        position = len(first)
        for piece in middle:
            # The leftmost match of a piece leaves the most room for the pieces after it.
            found = text.find(piece, position, end)
            if found < 0:
                return False
            position = found + len(piece)
        return True

    return matches

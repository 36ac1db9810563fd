# SPDX-License-Identifier: Apache-2.0
"""
Date formats: ``YYYY-MM-DD hh:mm:ss.sss TZD``, ``%Y-%m-%d %H:%M:%S.%L %:z``, or ISO-8601 if empty.

A format with a percent sign is of the second style.  Characters that are no directive stand for
themselves.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, tzinfo
from functools import lru_cache
from typing import Final

from attrs import frozen

from edge_twisted.dql.dates.directives import PERCENT, TOKENS, DateFields, Directive, literal
from edge_twisted.dql.dates.instants import instant_at, read_iso, write_iso
from edge_twisted.dql.errors import EvaluationError

#: Longest format, in characters.
FORMAT_LIMIT: Final = 1024

#: What some directives are short for.
_SHORT: Final = {"F": "%Y-%m-%d", "T": "%H:%M:%S", "R": "%H:%M", "D": "%m/%d/%y"}
_TOKEN: Final = re.compile(f"({'|'.join(TOKENS)})")
_PERCENT: Final = re.compile(r"%(:z|.|\Z)", re.DOTALL)


@frozen
class DateFormat:
    """A compiled format; without directives it is ISO-8601."""

    directives: Sequence[Directive]

    def write(self, moment: datetime) -> str:
        """Return the text of ``moment``, which must have a zone, in this format."""
        if not self.directives:
            return write_iso(moment)
        return "".join([directive.write(moment) for directive in self.directives])

    def read(self, text: str) -> tuple[int, tzinfo | None] | None:
        """
        Return the instant that ``text`` denotes, and the zone if the text has one.

        The instant is in milliseconds since 1970 UTC.  Returns None if the text has not this
        format, or denotes no date.
        """
        if not self.directives:
            moment = read_iso(text)
            instant = None if moment is None else instant_at(moment)
            return None if moment is None or instant is None else (instant, moment.tzinfo)
        fields = DateFields()
        position = 0
        for directive in self.directives:
            position = directive.read(text, position, fields)
            if position < 0:
                return None
        instant = fields.instant() if position == len(text) else None
        return None if instant is None else (instant, fields.zone)


@lru_cache(maxsize=128)
def compile_format(text: str) -> DateFormat | None:
    """
    Return the compiled form of a date format, or None if it has an unknown directive.

    :raises EvaluationError: the format has more than `FORMAT_LIMIT` characters.
    """
    if len(text) > FORMAT_LIMIT:
        raise EvaluationError(
            f"date format of {len(text)} characters exceeds limit of {FORMAT_LIMIT} characters"
        )
    if "%" not in text:
        return _compile(text, _TOKEN, TOKENS)
    expanded = _PERCENT.sub(lambda found: _SHORT.get(found[1], found[0]), text)
    return _compile(expanded, _PERCENT, PERCENT)


def _compile(
    text: str, piece: re.Pattern[str], named: Mapping[str, Directive]
) -> DateFormat | None:
    directives: list[Directive] = []
    position = 0
    for found in piece.finditer(text):
        if found.start() > position:
            directives.append(literal(text[position : found.start()]))
        directive = named.get(found[1])
        if directive is None:
            return None
        directives.append(directive)
        position = found.end()
    if position < len(text):
        directives.append(literal(text[position:]))
    return DateFormat(directives)

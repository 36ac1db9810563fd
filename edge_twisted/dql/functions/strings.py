# SPDX-License-Identifier: Apache-2.0
"""
Functions on strings.  Positions and lengths count characters, positions from 0.

For arguments of wrong types they return NULL or MISSING (`propagate`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, cast

from edge_twisted.documents.values import Operand
from edge_twisted.dql.propagation import propagate
from edge_twisted.dql.result_limits import RESULT_LIMIT_BYTES, too_large, utf8_length, within_limit

#: What an element of an array of strings takes beside its text: two quotes and a comma.
_ELEMENT_BYTES: Final = 3


def contains(text: Operand, part: Operand) -> Operand:
    """Return whether ``part`` is somewhere in ``text``."""
    if type(text) is str and type(part) is str:
        return part in text
    return propagate(text, part)


def starts_with(text: Operand, prefix: Operand) -> Operand:
    """Return whether ``text`` starts with ``prefix``."""
    if type(text) is str and type(prefix) is str:
        return text.startswith(prefix)
    return propagate(text, prefix)


def ends_with(text: Operand, suffix: Operand) -> Operand:
    """Return whether ``text`` ends with ``suffix``."""
    if type(text) is str and type(suffix) is str:
        return text.endswith(suffix)
    return propagate(text, suffix)


def lower(text: Operand) -> Operand:
    """Return ``text`` in lower case."""
    return text.lower() if type(text) is str else propagate(text)


def upper(text: Operand) -> Operand:
    """Return ``text`` in upper case."""
    return text.upper() if type(text) is str else propagate(text)


def char_length(text: Operand) -> Operand:
    """Return the number of characters (code points) of ``text``."""
    return len(text) if type(text) is str else propagate(text)


def byte_length(text: Operand) -> Operand:
    """Return the number of bytes of ``text`` in UTF-8."""
    return utf8_length(text) if type(text) is str else propagate(text)


def substr(text: Operand, start: Operand, *length: Operand) -> Operand:
    """
    Return the part of ``text`` from position ``start``, of at most ``length`` characters.

    A negative start counts from the end, and stops at the beginning.  What lies beyond the text is
    empty, and so is a part of negative length.
    """
    if type(text) is str and type(start) is int:
        if start < 0:
            start = max(0, start + len(text))
        if not length:
            return text[start:]
        count = length[0]
        if type(count) is int:
            return text[start : start + max(0, count)]
    return propagate(text, start, *length)


def pos(text: Operand, part: Operand) -> Operand:
    """Return the position, from 0, where ``part`` first starts in ``text``; -1 if it does not."""
    if type(text) is str and type(part) is str:
        return text.find(part)
    return propagate(text, part)


def split(text: Operand, delimiter: Operand) -> Operand:
    """
    Return the array of the parts of ``text`` between the delimiters.

    An empty delimiter gives the characters.

    :raises EvaluationError: the array would be larger than a document may be.
    """
    if type(text) is str and type(delimiter) is str:
        parts = text.count(delimiter) + 1
        if parts * _ELEMENT_BYTES + len(text) > RESULT_LIMIT_BYTES:
            raise too_large("split")
        return [*text.split(delimiter)] if delimiter else [*text]
    return propagate(text, delimiter)


def _trimmer(strip: Callable[..., str], where: str) -> Callable[..., Operand]:
    def trim(text: Operand, *characters: Operand) -> Operand:
        if type(text) is str:
            if not characters:
                return strip(text)
            if type(characters[0]) is str:
                return strip(text, characters[0])
        return propagate(text, *characters)

    trim.__doc__ = f"Return ``text`` without the white space, or any of ``characters``, {where} it."
    return trim


trim: Final = _trimmer(str.strip, "around")
ltrim: Final = _trimmer(str.lstrip, "before")
rtrim: Final = _trimmer(str.rstrip, "after")


def joinstr(separator: Operand, *parts: Operand) -> Operand:
    """
    Return ``parts`` with ``separator`` between them; the elements of an array count as parts.

    :raises EvaluationError: the result is larger than a document may be.
    """
    flat: list[Operand] = []
    for part in parts:
        if type(part) is list:
            flat.extend(part)
        else:
            flat.append(part)
    if type(separator) is not str:
        return propagate(separator, *flat)
    if len(separator) * (len(flat) - 1) > RESULT_LIMIT_BYTES:
        raise too_large("joinstr")
    try:
        return within_limit(separator.join(cast(list[str], flat)), "joinstr")
    except TypeError:
        return propagate(separator, *flat)

# SPDX-License-Identifier: Apache-2.0
"""Byte ranges and entity tags of RFC 9110, as far as an immutable blob needs them."""

from __future__ import annotations

import re
from typing import Final

from edge_twisted.api.attachments import RangeNotSatisfiable

_RANGE: Final = re.compile(r"bytes=[ \t]*(\d*)-(\d*)[ \t]*", re.ASCII | re.IGNORECASE)
_TAG: Final = re.compile(r'(?:W/)?("[^"]*")')
#: Digits of a number that any file can have as its length.
_MAX_DIGITS: Final = 18


def requested_range(header: str | None, length: int) -> tuple[int, int] | None:
    """
    Return the first byte and the number of bytes that a Range asks for; None for the whole.

    What is no byte range, and more than one range, counts as the whole, as RFC 9110 allows.

    :raises RangeNotSatisfiable: the blob has none of these bytes.
    """
    if header is None:
        return None
    match = _RANGE.fullmatch(header)
    if match is None:
        return None
    first, last = (_number(digits) for digits in match.groups())
    if first is None:
        if last is None:
            return None
        # The last so many.
        count = min(last, length)
        if not count:
            raise RangeNotSatisfiable(length)
        return length - count, count
    if last is not None and last < first:
        return None
    if first >= length:
        raise RangeNotSatisfiable(length)
    end = length if last is None else min(last + 1, length)
    return first, end - first


def names_tag(header: str | None, tag: str) -> bool:
    """Whether an If-None-Match names an entity tag, or any."""
    if header is None:
        return False
    return header.strip() == "*" or tag in _TAG.findall(header)


def _number(digits: str) -> int | None:
    if not digits:
        return None
    # More digits would only cost time: no blob is so long.
    return int(digits) if len(digits) <= _MAX_DIGITS else 10**_MAX_DIGITS

# SPDX-License-Identifier: Apache-2.0
"""Parsers of Range and If-None-Match (RFC 9110), as far as an immutable blob needs them."""

from __future__ import annotations

import re
from typing import Final

from edge_twisted.api.attachments import RangeNotSatisfiable

_RANGE: Final = re.compile(r"bytes=[ \t]*(\d*)-(\d*)[ \t]*", re.ASCII | re.IGNORECASE)
_TAG: Final = re.compile(r'(?:W/)?("[^"]*")')
#: Longer numbers are beyond the length of any file, and not converted.
_MAX_DIGITS: Final = 18


def requested_range(header: str | None, length: int) -> tuple[int, int] | None:
    """Return the requested range as (first byte, number of bytes); None: the whole blob.

    `header` is the Range field, `length` the blob's length in bytes.  Several ranges, other units
    and malformed ranges count as a request for the whole blob, which RFC 9110 allows.

    :raises RangeNotSatisfiable: the blob has no byte in the range: 416.
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
        # ``bytes=-N``: the last N bytes.
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
    """Tell whether an If-None-Match field has the entity tag `tag`, or ``*``."""
    if header is None:
        return False
    return header.strip() == "*" or tag in _TAG.findall(header)


def _number(digits: str) -> int | None:
    if not digits:
        return None
    # Converting more digits would only cost time.
    return int(digits) if len(digits) <= _MAX_DIGITS else 10**_MAX_DIGITS

# SPDX-License-Identifier: Apache-2.0
"""
Formats times as RFC 3339, and without colons for file names; UTC, milliseconds.

Both forms have a fixed width, so texts sort as their times do (until the year 9999).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NAME_FORMAT = "%Y-%m-%dT%H-%M-%S.%f"
#: What `file_stamp` returns, for use inside a larger pattern.
FILE_STAMP_PATTERN = r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{3}Z"


def rfc3339(seconds: float) -> str:
    """Return seconds since the epoch as ``2026-11-24T07:50:00.123Z``; the rest is cut off."""
    whole, thousandths = divmod(int(seconds * 1000), 1000)
    return f"{_second(whole)}.{thousandths:03d}Z"


def file_stamp(seconds: float) -> str:
    """Return seconds since the epoch as ``2026-11-24T07-50-00.123Z``."""
    return rfc3339(seconds).replace(":", "-")


def parse_file_stamp(stamp: str) -> float:
    """
    Return the time of a `file_stamp` in seconds since the epoch.

    :raises ValueError: `stamp` is no time, such as the 31st of February.
    """
    parsed = datetime.strptime(stamp.removesuffix("Z"), _NAME_FORMAT).replace(tzinfo=UTC)
    return (parsed - _EPOCH) / timedelta(seconds=1)


@lru_cache(maxsize=16)  # lines of one second follow one another
def _second(whole: int) -> str:
    return (_EPOCH + timedelta(seconds=whole)).strftime("%Y-%m-%dT%H:%M:%S")

# SPDX-License-Identifier: Apache-2.0
"""Time zones by name, from the system's database or else from the package ``tzdata``."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

#: Longer than any name in the database.
_NAME_LIMIT: Final = 64
#: An offset from UTC.
OFFSET: Final = re.compile(r"Z|([+-])([0-9]{2}):?([0-5][0-9])")


@lru_cache(maxsize=128)
def find_zone(name: str) -> tzinfo | None:
    """
    Return the zone called ``name``, or None if there is none.

    A name is one of the IANA database (``Asia/Tokyo``), ``UTC``, ``Z``, or an offset (``+09:00``).
    """
    if name in ("UTC", "Z"):
        return UTC
    offset = OFFSET.fullmatch(name)
    if offset is not None:
        return _zone_at_offset(*offset.groups())
    if not name or len(name) > _NAME_LIMIT:
        return None
    try:
        return ZoneInfo(name)
    except (LookupError, ValueError, OSError):
        # An unknown name, a name that is no relative path, or a directory of names.
        return None


def _zone_at_offset(sign: str, hours: str, minutes: str) -> tzinfo | None:
    """Return the zone at an offset from UTC, or None if that is a day or more."""
    offset = timedelta(hours=int(hours), minutes=int(minutes))
    if offset >= timedelta(days=1):
        return None
    return timezone(-offset if sign == "-" else offset)


def offset_minutes(moment: datetime) -> int:
    """Return the offset of a ``moment`` with zone from UTC in minutes, seconds cut off."""
    seconds = int((moment.utcoffset() or timedelta()).total_seconds())
    return -(-seconds // 60) if seconds < 0 else seconds // 60

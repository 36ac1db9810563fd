# SPDX-License-Identifier: Apache-2.0
"""
The wall clock, for dates: what is written down, shown, or compared with a date from elsewhere.

Somebody may set it at any moment, so nothing that lasts is measured with it: durations are those of
`time.monotonic`, which is also what the reactor's timers count (`reactor_time`).  This is the only
module that reads it; a test says so.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime


def now_seconds() -> float:
    """Return the date in seconds since 1970."""
    return time.time()


def now_ms() -> int:
    """Return the date in milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def now_utc() -> datetime:
    """Return the date as an aware time in UTC."""
    return datetime.now(UTC)

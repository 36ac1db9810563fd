# SPDX-License-Identifier: Apache-2.0
"""
The wall clock: for dates that are stored, shown, or compared with dates from elsewhere.

The wall clock can be set at any moment, so durations are never measured with it, but with
`time.monotonic`, as the reactor's timers are (`reactor_time`).  A test ensures that no other module
reads the wall clock.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime


def now_seconds() -> float:
    """Return the date in seconds since 1970 (UTC); it can jump, so durations are not for it."""
    return time.time()


def now_ms() -> int:
    """Return the date in whole milliseconds since 1970 (UTC); it can jump."""
    return time.time_ns() // 1_000_000


def now_utc() -> datetime:
    """Return the date as an aware time in UTC; it can jump."""
    return datetime.now(UTC)

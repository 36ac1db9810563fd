# SPDX-License-Identifier: Apache-2.0
"""
Calendar arithmetic on instants.

Years, months and days are those of the wall clock of a zone; hours and less are elapsed time.  A
day that a month does not have becomes its last one; a wall-clock time that a zone skips becomes
the time as far after the gap.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from functools import partial
from typing import Final

from edge_twisted.dql.dates.instants import (
    EPOCH,
    FIRST_INSTANT,
    LAST_INSTANT,
    instant_at,
    moment_at,
)

#: The parts of a date, by their names and synonyms.
PARTS: Final = {
    "year": "year",
    "mon": "month",
    "month": "month",
    "day": "day",
    "hour": "hour",
    "min": "minute",
    "minute": "minute",
    "sec": "second",
    "second": "second",
    "ms": "millisecond",
    "millis": "millisecond",
    "millisecond": "millisecond",
}

#: Milliseconds in the parts of fixed length; a day has a fixed length only in UTC.
LENGTHS: Final = {
    "day": 86_400_000,
    "hour": 3_600_000,
    "minute": 60_000,
    "second": 1000,
    "millisecond": 1,
}

_MONTHS: Final = {"year": 12, "month": 1}
#: The beginning of a day is the first midnight if clocks go back over it: fold=0.
_TRUNCATE: Final[Mapping[str, Callable[[datetime], datetime]]] = {
    "year": partial(
        datetime.replace, month=1, day=1, hour=0, minute=0, second=0, microsecond=0, fold=0
    ),
    "month": partial(datetime.replace, day=1, hour=0, minute=0, second=0, microsecond=0, fold=0),
    "day": partial(datetime.replace, hour=0, minute=0, second=0, microsecond=0, fold=0),
    "hour": partial(datetime.replace, minute=0, second=0, microsecond=0),
    "minute": partial(datetime.replace, second=0, microsecond=0),
    "second": partial(datetime.replace, microsecond=0),
    "millisecond": partial(datetime.replace),
}
_LAST_YEAR: Final = 9999


def find_part(name: object) -> str | None:
    """Return the part of dates, a value of `PARTS`, that goes by ``name`` in any case, or None."""
    return PARTS.get(name.lower()) if type(name) is str else None


def has_fixed_length(part: str, zone: tzinfo) -> bool:
    """Return whether all of a ``part``, such as days, have the same length in ``zone``."""
    return part in LENGTHS and (part != "day" or zone is UTC)


def add_parts(instant: int, part: str, count: int, zone: tzinfo = UTC) -> int | None:
    """
    Return the instant that is ``count`` times ``part`` after ``instant``.

    Returns None beyond the years 1 to 9999.  Instants are milliseconds since 1970 UTC.
    """
    if has_fixed_length(part, zone):
        later = instant + count * LENGTHS[part]
        return later if FIRST_INSTANT <= later <= LAST_INSTANT else None
    moment = moment_at(instant, zone)
    if moment is None or count == 0:
        return None if moment is None else instant
    if part in _MONTHS:
        moved = _add_months(moment, count * _MONTHS[part])
    else:
        moved = _add_days(moment, count)
    return None if moved is None else instant_at(moved)


def _add_months(moment: datetime, months: int) -> datetime | None:
    year, month = divmod(moment.year * 12 + moment.month - 1 + months, 12)
    if not 1 <= year <= _LAST_YEAR:
        return None
    last_day = monthrange(year, month + 1)[1]
    return moment.replace(year=year, month=month + 1, day=min(moment.day, last_day))


def _add_days(moment: datetime, days: int) -> datetime | None:
    try:
        return moment + timedelta(days=days)
    except OverflowError:
        return None


def truncate(instant: int, part: str, zone: tzinfo = UTC) -> int | None:
    """
    Return the beginning of the ``part`` (a value of `PARTS`) that ``instant`` is in.

    Returns None beyond the years 1 to 9999.  Instants are milliseconds since 1970 UTC.
    """
    if zone is UTC and part in LENGTHS:
        return instant - instant % LENGTHS[part]
    moment = moment_at(instant, zone)
    return None if moment is None else instant_at(_TRUNCATE[part](moment))


def parts_between(earlier: int, later: int, part: str) -> int:
    """
    Return how many whole ``part`` (months, hours ...) in UTC lie between two instants.

    Negative, and otherwise the same, if ``later`` is the earlier one.  The inverse of `add_parts`:
    as many as were added lie between.  Instants are milliseconds since 1970 UTC.
    """
    if later < earlier:
        return -parts_between(later, earlier, part)
    if part in LENGTHS:
        return (later - earlier) // LENGTHS[part]
    first, last = EPOCH + timedelta(milliseconds=earlier), EPOCH + timedelta(milliseconds=later)
    months = (last.year - first.year) * 12 + last.month - first.month
    reached = _add_months(first, months)
    if reached is None or reached > last:
        months -= 1
    return months // _MONTHS[part]

# SPDX-License-Identifier: Apache-2.0
"""
Directives of date formats: how each piece of a date is written and read.

A directive's ``read(text, position, fields)`` stores what it reads in ``fields`` and returns the
position after it, or -1.  It never goes back, so reading takes linear time for any format.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final

from attrs import define, frozen

from edge_twisted.dql.dates.instants import EPOCH, instant_at
from edge_twisted.dql.dates.zones import OFFSET, find_zone, offset_minutes

MONTHS: Final = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
WEEKDAYS: Final = (
    "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday",
)  # fmt: skip
_NOON: Final = 12
_DIGITS: Final = frozenset("0123456789")
_ZONE_NAME: Final = re.compile(r"[A-Za-z0-9_/+-]{1,64}")
_SECONDS: Final = re.compile(r"-?[0-9]{1,18}")


@define
class DateFields:
    """The fields of a date that were read so far; the others are those of 1970-01-01 in UTC."""

    year: int = 1970
    month: int = 1
    day: int = 1
    day_of_year: int | None = None
    hour: int = 0
    #: Whether the hour is one of the 12 after noon; None for hours from 0 to 23.
    afternoon: int | None = None
    minute: int = 0
    second: int = 0
    microsecond: int = 0
    epoch_seconds: int | None = None
    zone: tzinfo | None = None

    def instant(self) -> int | None:
        """Return the date in milliseconds since 1970 UTC, or None if there is no such date."""
        try:
            return instant_at(self._moment())
        except (ValueError, OverflowError):
            return None

    def _moment(self) -> datetime:
        if self.epoch_seconds is not None:
            return EPOCH + timedelta(seconds=self.epoch_seconds, microseconds=self.microsecond)
        hour = self.hour
        if self.afternoon is not None:
            if not 1 <= hour <= _NOON:
                raise ValueError(hour)
            hour = hour % _NOON + self.afternoon * _NOON
        zone = self.zone or UTC
        if self.day_of_year is None:
            day = datetime(self.year, self.month, self.day, tzinfo=zone)
        else:
            day = datetime(self.year, 1, 1, tzinfo=zone) + timedelta(days=self.day_of_year - 1)
            if day.year != self.year:
                raise ValueError(self.day_of_year)
        return day.replace(
            hour=hour, minute=self.minute, second=self.second, microsecond=self.microsecond
        )


@frozen
class Directive:
    """One piece of a format."""

    write: Callable[[datetime], str]
    read: Callable[[str, int, DateFields], int]


def _after_digits(text: str, position: int, most: int) -> int:
    """Return the position after at most ``most`` ASCII digits."""
    end = min(position + most, len(text))
    while position < end and text[position] in _DIGITS:
        position += 1
    return position


def literal(wanted: str) -> Directive:
    """Return the directive that writes and reads one literal text."""

    def read(text: str, position: int, fields: DateFields) -> int:
        return position + len(wanted) if text.startswith(wanted, position) else -1

    return Directive(lambda moment: wanted, read)


def number(field: str, fewest: int, most: int, write: Callable[[datetime], str]) -> Directive:
    """
    Return the directive of a number of ``fewest`` to ``most`` digits.

    :param field: the attribute of `DateFields` that reading sets.
    :param write: returns the text of a date's number.
    """

    def read(text: str, position: int, fields: DateFields) -> int:
        end = _after_digits(text, position, most)
        if end - position < fewest:
            return -1
        setattr(fields, field, int(text[position:end]))
        return end

    return Directive(write, read)


def fraction(digits: int, fewest: int = 1, most: int = 9) -> Directive:
    """
    Return the directive of the digits after a second's point, read down to the microsecond.

    :param digits: how many are written; ``fewest`` to ``most`` are read.
    """

    def read(text: str, position: int, fields: DateFields) -> int:
        end = _after_digits(text, position, most)
        if end - position < fewest:
            return -1
        fields.microsecond = int(text[position : min(end, position + 6)].ljust(6, "0"))
        return end

    return Directive(lambda moment: f"{moment.microsecond:06d}"[:digits], read)


def choice(
    names: Sequence[str], field: str, first: int, index: Callable[[datetime], int]
) -> Directive:
    """
    Return the directive of one of several names, read in any case.

    :param field: the attribute of `DateFields` that reading sets: to ``first`` for the first name,
        to 1 more for each further name; empty to set none.
    :param index: returns the position of a date's name.
    """
    lowered = [name.lower() for name in names]

    def read(text: str, position: int, fields: DateFields) -> int:
        for place, name in enumerate(lowered):
            if text[position : position + len(name)].lower() == name:
                if field:
                    setattr(fields, field, place + first)
                return position + len(name)
        return -1

    return Directive(lambda moment: names[index(moment)], read)


def offset(separator: str) -> Directive:
    """
    Return the directive of an offset from UTC: ``+09:00``, ``+0900`` or, read only, ``Z``.

    :param separator: what is written between hours and minutes.
    """

    def write(moment: datetime) -> str:
        minutes = offset_minutes(moment)
        hours, minutes_left = divmod(abs(minutes), 60)
        return f"{'-' if minutes < 0 else '+'}{hours:02d}{separator}{minutes_left:02d}"

    def read(text: str, position: int, fields: DateFields) -> int:
        found = OFFSET.match(text, position)
        if found is None:
            return -1
        fields.zone = find_zone(found[0])
        return found.end() if fields.zone is not None else -1

    return Directive(write, read)


def _write_zone_name(moment: datetime) -> str:
    key = getattr(moment.tzinfo, "key", None)
    return key if isinstance(key, str) else str(moment.tzname())


def _read_zone_name(text: str, position: int, fields: DateFields) -> int:
    found = _ZONE_NAME.match(text, position)
    if found is None:
        return -1
    fields.zone = find_zone(found[0])
    return found.end() if fields.zone is not None else -1


def _read_epoch_seconds(text: str, position: int, fields: DateFields) -> int:
    found = _SECONDS.match(text, position)
    if found is None:
        return -1
    fields.epoch_seconds = int(found[0])
    return found.end()


def _write_epoch_seconds(moment: datetime) -> str:
    return str((moment - EPOCH) // timedelta(seconds=1))


def _read_short_year(text: str, position: int, fields: DateFields) -> int:
    end = _after_digits(text, position, 2)
    if end - position < 2:
        return -1
    year = int(text[position:end])
    # POSIX: 69 to 99 are of the twentieth century.
    fields.year = year + (1900 if year >= 69 else 2000)
    return end


def _twelve_hours(moment: datetime) -> int:
    return (moment.hour - 1) % _NOON + 1


ZONE_NAME: Final = Directive(_write_zone_name, _read_zone_name)

#: Of formats like ``YYYY-MM-DD``, with as many digits as letters; the longer token comes first.
TOKENS: Final[Mapping[str, Directive]] = {
    "YYYY": number("year", 4, 4, lambda moment: f"{moment.year:04d}"),
    "MM": number("month", 2, 2, lambda moment: f"{moment.month:02d}"),
    "DD": number("day", 2, 2, lambda moment: f"{moment.day:02d}"),
    "hh": number("hour", 2, 2, lambda moment: f"{moment.hour:02d}"),
    "mm": number("minute", 2, 2, lambda moment: f"{moment.minute:02d}"),
    "sss": fraction(3, fewest=3, most=3),
    "ss": number("second", 2, 2, lambda moment: f"{moment.second:02d}"),
    "TZD": offset(":"),
    "TZN": ZONE_NAME,
}

#: Of formats like ``%Y-%m-%d``, by what follows the percent sign.
PERCENT: Final[Mapping[str, Directive]] = {
    "Y": number("year", 4, 4, lambda moment: f"{moment.year:04d}"),
    "y": Directive(lambda moment: f"{moment.year % 100:02d}", _read_short_year),
    "m": number("month", 1, 2, lambda moment: f"{moment.month:02d}"),
    "d": number("day", 1, 2, lambda moment: f"{moment.day:02d}"),
    "j": number("day_of_year", 1, 3, lambda moment: f"{moment.timetuple().tm_yday:03d}"),
    "H": number("hour", 1, 2, lambda moment: f"{moment.hour:02d}"),
    "I": number("hour", 1, 2, lambda moment: f"{_twelve_hours(moment):02d}"),
    "p": choice(("AM", "PM"), "afternoon", 0, lambda moment: moment.hour // _NOON),
    "M": number("minute", 1, 2, lambda moment: f"{moment.minute:02d}"),
    "S": number("second", 1, 2, lambda moment: f"{moment.second:02d}"),
    "L": fraction(3),
    "f": fraction(6),
    "B": choice(MONTHS, "month", 1, lambda moment: moment.month - 1),
    "b": choice([name[:3] for name in MONTHS], "month", 1, lambda moment: moment.month - 1),
    "A": choice(WEEKDAYS, "", 0, datetime.weekday),
    "a": choice([name[:3] for name in WEEKDAYS], "", 0, datetime.weekday),
    "s": Directive(_write_epoch_seconds, _read_epoch_seconds),
    "z": offset(""),
    ":z": offset(":"),
    "Z": ZONE_NAME,
    "%": literal("%"),
}

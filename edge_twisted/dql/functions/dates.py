# SPDX-License-Identifier: Apache-2.0
"""
Functions on dates.

A date is a string in ISO-8601 with a zone, or an integer, milliseconds since 1970 in UTC.
Functions that return a date return the kind that they were given, or a string in the format that
they were given.  Everything is in UTC unless the name of a zone is given.  For arguments that are
no date, part, format or zone they return NULL or MISSING (`propagate`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, tzinfo
from itertools import count
from typing import Final

from edge_twisted.documents.values import MISSING, Operand, Value
from edge_twisted.dql.dates.calendar import PARTS, add_parts, find_part, parts_between, truncate
from edge_twisted.dql.dates.directives import MONTHS
from edge_twisted.dql.dates.formats import compile_format
from edge_twisted.dql.dates.instants import instant_of, moment_at, read_iso, write_instant
from edge_twisted.dql.dates.zones import find_zone, offset_minutes
from edge_twisted.dql.functions.context import FunctionContext
from edge_twisted.dql.propagation import propagate
from edge_twisted.dql.result_limits import RESULT_LIMIT_BYTES, too_large

#: Writes an instant as the value that a function returns.
_Writer = Callable[[int], Operand]

#: What an element of an array takes beside its digits or its text.
_ELEMENT_BYTES: Final = 3


def clock(context: FunctionContext, *options: Operand) -> Operand:
    """
    Return the current time in milliseconds since 1970 UTC.

    With ``options``, which are ``format [, zone]``, return it as a text.
    """
    output = _output(0, options)
    if output is None:
        return propagate(*options)
    return output[1](context.now_ms)


def date_add(date: Operand, part: Operand, amount: Operand, *options: Operand) -> Operand:
    """
    Return ``date`` plus ``amount`` times ``part``; ``options`` are ``format [, zone]``.

    With a zone, years, months and days are those of its calendar and clocks.  The result is MISSING
    beyond the years 1 to 9999.
    """
    instant, kind, output = instant_of(date), find_part(part), _output(date, options)
    if instant is None or kind is None or output is None or type(amount) is not int:
        return propagate(date, part, amount, *options)
    zone, write = output
    later = add_parts(instant, kind, amount, zone)
    return MISSING if later is None else write(later)


def date_sub(date: Operand, part: Operand, amount: Operand, *options: Operand) -> Operand:
    """Return ``date`` minus ``amount`` times ``part``; otherwise as `date_add`."""
    return date_add(date, part, -amount if type(amount) is int else amount, *options)


def date_diff(later: Operand, earlier: Operand, part: Operand) -> Operand:
    """
    Return how many whole ``part`` (months, hours ...) lie from ``earlier`` to ``later``.

    The count is in UTC, and negative if ``later`` is the earlier date.
    """
    end, start, kind = instant_of(later), instant_of(earlier), find_part(part)
    if end is None or start is None or kind is None:
        return propagate(later, earlier, part)
    return parts_between(start, end, kind)


def date_trunc(date: Operand, part: Operand, *options: Operand) -> Operand:
    """
    Return the beginning of the ``part`` (year, hour ...) that holds ``date``.

    ``options`` are ``format [, zone]``, as for `date_add`.
    """
    instant, kind, output = instant_of(date), find_part(part), _output(date, options)
    if instant is None or kind is None or output is None:
        return propagate(date, part, *options)
    zone, write = output
    beginning = truncate(instant, kind, zone)
    return MISSING if beginning is None else write(beginning)


def date_format(date: Operand, format: Operand, *zone: Operand) -> Operand:
    """Return ``date`` as a string in ``format``, in the zone of this name, or else in UTC."""
    instant, output = instant_of(date), _output(date, (format, *zone))
    if instant is None or output is None:
        return propagate(date, format, *zone)
    return output[1](instant)


def date_cast(date: Operand, *format: Operand) -> Operand:
    """
    Return ``date`` in milliseconds since 1970 UTC.

    A string in ``format`` needs no zone, and is then in UTC.
    """
    if not format:
        instant = instant_of(date)
    elif type(date) is str and type(format[0]) is str:
        compiled = compile_format(format[0])
        read = compiled and compiled.read(date)
        instant = read[0] if read else None
    else:
        instant = None
    return propagate(date, *format) if instant is None else instant


_COMPONENTS: Final[Mapping[str, Callable[[datetime], Value]]] = {
    "year": lambda moment: moment.year,
    "month": lambda moment: moment.month,
    "day": lambda moment: moment.day,
    "hour": lambda moment: moment.hour,
    "minute": lambda moment: moment.minute,
    "second": lambda moment: moment.second,
    "millisecond": lambda moment: moment.microsecond // 1000,
    "weekday": datetime.isoweekday,
    "monthname": lambda moment: MONTHS[moment.month - 1],
    "tz": offset_minutes,
    "timezone": offset_minutes,
}


#: What `date_part` takes.
COMPONENTS: Final = tuple(dict.fromkeys([*PARTS, *_COMPONENTS]))


def date_part(date: Operand, part: Operand, *zone: Operand) -> Operand:
    """
    Return a component of ``date``: a number, or a text for the names.

    ``part`` is one of `PARTS`, ``weekday`` (1 is Monday), ``monthname``, ``tz`` or ``timezone``
    (the offset in minutes).  Without a zone, components are in UTC, except the offset, which is
    that of the string.
    """
    instant = instant_of(date)
    named = _zone(zone)
    if instant is None or named is None or type(part) is not str:
        return propagate(date, part, *zone)
    name = part.lower()
    component = _COMPONENTS.get(find_part(name) or name)
    moment = moment_at(instant, named)
    if component is None or moment is None:
        return MISSING
    if component is offset_minutes and type(date) is str and not zone:
        return tz_offset(date)
    return component(moment)


def tz_offset(text: Operand, *format: Operand) -> Operand:
    """
    Return the offset from UTC, in minutes, of the date in ``text``.

    With the format ``TZN`` the text is the name of a zone, and the offset that of 1970-01-01.
    """
    moment: datetime | None = None
    if type(text) is str and not format:
        moment = read_iso(text)
    elif type(text) is str and type(format[0]) is str:
        compiled = compile_format(format[0])
        read = compiled and compiled.read(text)
        if read and read[1]:
            moment = moment_at(read[0], read[1])
    return propagate(text, *format) if moment is None else offset_minutes(moment)


def date_range(
    spend: Callable[[int], None],
    start: Operand,
    end: Operand,
    part: Operand,
    step: Operand,
    *options: Operand,
) -> Operand:
    """
    Return the dates from ``start`` to, and without, ``end``, ``step`` times ``part`` apart.

    Return no date if the step is 0 or leads away from ``end``.  Kind of date, format and zone are
    as in `date_add`.  ``spend`` is called for each date, and raises to end the statement.

    :raises EvaluationError: the array would be larger than a document may be.
    """
    first, last, kind = instant_of(start), instant_of(end), find_part(part)
    output = _output(start, options)
    if first is None or last is None or kind is None or output is None or type(step) is not int:
        return propagate(start, end, part, step, *options)
    zone, write = output
    dates: list[Value] = []
    size = 0
    for instant in _steps(first, last, kind, step, zone):
        spend(1)
        date = write(instant)
        if date is MISSING:
            break
        dates.append(date)
        size += len(str(date)) + _ELEMENT_BYTES
        if size > RESULT_LIMIT_BYTES:
            raise too_large("date_range")
    return dates


def _steps(first: int, last: int, part: str, step: int, zone: tzinfo) -> Iterator[int]:
    """Yield the instants of `date_range`, each computed from the first to avoid drift."""
    if step == 0 or (step > 0) is not (first < last):
        return
    for number in count():
        instant = add_parts(first, part, number * step, zone)
        if instant is None or (instant < last) is not (step > 0) or instant == last:
            return
        yield instant


def _zone(names: tuple[Operand, ...]) -> tzinfo | None:
    """Return the zone of an optional last argument, UTC if it was left out."""
    if not names:
        return UTC
    return find_zone(names[0]) if type(names[0]) is str else None


def _output(date: Operand, options: tuple[Operand, ...]) -> tuple[tzinfo, _Writer] | None:
    """
    Return the zone for calculations, and the writer of results; None for invalid options.

    ``options`` are empty, a format, or a format and a zone.
    """
    if not options:
        return UTC, _write_number if type(date) is int else write_instant
    zone = _zone(options[1:])
    compiled = compile_format(options[0]) if type(options[0]) is str else None
    if zone is None or compiled is None:
        return None

    def write(instant: int) -> Operand:
        moment = moment_at(instant, zone)
        return MISSING if moment is None else compiled.write(moment)

    return zone, write


def _write_number(instant: int) -> Operand:
    return instant

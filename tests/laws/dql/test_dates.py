# SPDX-License-Identifier: Apache-2.0
"""Date functions against each other, and against `datetime`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from edge_twisted.documents.values import MISSING
from edge_twisted.dql.compiler.environment import accept_any_steps
from edge_twisted.dql.functions.dates import (
    date_add,
    date_cast,
    date_diff,
    date_format,
    date_part,
    date_range,
    date_sub,
    date_trunc,
)
from edge_twisted.dql.functions.durations import duration_cast, duration_format

PARTS = st.sampled_from(["year", "month", "day", "hour", "minute", "second", "ms"])
UNITS = st.sampled_from(["day", "hour", "minute", "second", "ms"])
ZONES = st.timezone_keys()
#: The years 1600 to 2400, so that what is added stays inside of the years that there are.
INSTANTS = st.integers(-11_676_096_000_000, 13_569_465_600_000)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@given(INSTANTS, PARTS, st.integers(-1500, 1500))
def test_as_many_parts_lie_between_as_were_added(date: int, part: str, count: int) -> None:
    later = date_add(date, part, count)
    assert date_diff(later, date, part) == count
    assert date_diff(date, later, part) == -count
    assert date_sub(date, part, -count) == later


@given(INSTANTS, UNITS, st.integers(-1500, 1500))
def test_subtracting_undoes_adding(date: int, unit: str, count: int) -> None:
    assert date_sub(date_add(date, unit, count), unit, count) == date


@given(INSTANTS, UNITS, st.integers(-1500, 1500))
def test_fixed_parts_are_those_of_timedelta(date: int, unit: str, count: int) -> None:
    name = {"ms": "milliseconds"}.get(unit, unit + "s")
    expected = EPOCH + timedelta(milliseconds=date) + timedelta(**{name: count})
    assert date_format(date_add(date, unit, count), "") == expected.isoformat(
        timespec="milliseconds" if expected.microsecond else "seconds"
    )


@given(INSTANTS, INSTANTS, PARTS)
def test_the_difference_is_the_most_that_can_be_added(first: int, second: int, part: str) -> None:
    start, end = sorted((first, second))
    count = date_diff(end, start, part)
    assert isinstance(count, int)
    assert date_add(start, part, count) <= end  # type: ignore[operator]
    assert date_add(start, part, count + 1) > end  # type: ignore[operator]


@given(INSTANTS, ZONES)
def test_what_is_written_reads_back(date: int, zone: str) -> None:
    for form in ("", "YYYY-MM-DDThh:mm:ss.sssTZD", "%Y-%m-%d %H:%M:%S.%f%z", "%s.%L"):
        text = date_format(date, form, zone)
        if _has_whole_minutes(date, zone) or form in ("", "%s.%L"):
            assert date_cast(text, form) == date
    assert date_cast(date_format(date, "")) == date


def _has_whole_minutes(date: int, zone: str) -> bool:
    text = date_format(date, "", zone)
    return isinstance(text, str) and text[-6] in "+-"


@given(INSTANTS, PARTS, st.none() | ZONES)
def test_truncation_goes_to_the_beginning_and_stays_there(
    date: int, part: str, zone: str | None
) -> None:
    options = () if zone is None else ("", zone)
    beginning = date_cast(date_trunc(date, part, *options))
    assert isinstance(beginning, int)
    assert beginning <= date
    assert date_cast(date_trunc(beginning, part, *options)) == beginning
    zones = () if zone is None else (zone,)
    assert date_part(beginning, part, *zones) == date_part(date, part, *zones)


@given(INSTANTS, st.sampled_from(["month", "day", "hour"]), st.integers(1, 40), st.integers(1, 20))
def test_a_range_starts_at_its_start_and_ends_before_its_end(
    start: int, part: str, step: int, count: int
) -> None:
    end = date_add(start, part, step * count)
    assert isinstance(end, int)
    dates = date_range(accept_any_steps, start, end, part, step)
    assert dates == [date_add(start, part, step * number) for number in range(count)]
    backwards = date_range(accept_any_steps, end, start, part, -step)
    assert isinstance(backwards, list)
    assert backwards[0] == end
    assert start not in backwards


@given(st.integers(-(2**63), 2**63 - 1))
@settings(max_examples=200)
def test_durations_are_written_and_read(milliseconds: int) -> None:
    text = duration_format(milliseconds)
    if text is not MISSING:
        assert duration_cast(text) == milliseconds

# SPDX-License-Identifier: Apache-2.0
"""What the soak says of a curve."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from attrs import evolve

from bench.soak import Minute, judged, page, thirds

MINUTE = Minute(
    number=1,
    resident_mib=100.0,
    descriptors=40,
    threads=8,
    requests=9_000,
    failures=0,
    floods=0,
    p50_ms=3.0,
    p99_ms=20.0,
)


def curve(memory: Sequence[float]) -> list[Minute]:
    return [evolve(MINUTE, number=n, resident_mib=each) for n, each in enumerate(memory, start=1)]


def missed(minutes: Sequence[Minute]) -> list[str]:
    return [figure.name for figure in judged(minutes) if figure.is_met is False]


@pytest.mark.parametrize(
    "memory",
    [
        [90, 110, 120, 120, 121, 119, 120, 121, 120],
        [90, 100, 110, 118, 120, 120, 121, 122, 123],
        [200, 150, 120, 120, 120, 120, 110, 100, 90],
    ],
)
def test_a_curve_is_flat_when_its_last_third_is_not_above_the_second(memory: list[float]) -> None:
    assert missed(curve(memory)) == []


def test_a_curve_that_goes_on_rising_is_not_flat() -> None:
    rising = curve([90, 100, 110, 120, 130, 140, 150, 160, 170])
    assert missed(rising) == ["last third against second, memory"]


def test_descriptors_threads_and_failures_count_too() -> None:
    minutes = curve([100.0] * 6)
    minutes[4:] = [evolve(each, descriptors=60, threads=9, failures=1) for each in minutes[4:]]
    assert missed(minutes) == [
        "requests that failed",
        "last third less second, descriptors",
        "last third less second, threads",
    ]


def test_thirds_leave_what_is_over_to_the_first() -> None:
    second, last = thirds(curve([1.0] * 8))
    assert [each.number for each in (*second, *last)] == [5, 6, 7, 8]


def test_the_page_has_a_line_for_each_minute() -> None:
    lines = page(curve([100.0, 101.5]), 150.0).splitlines()
    assert lines[-1] == "| 2 | 101.5 | 40 | 8 | 9000 | 0 | 0 | 3.00 | 20.00 |"
    assert len(lines[-1].split("|")) == len(lines[-4].split("|")), "as many columns as heads"

# SPDX-License-Identifier: Apache-2.0
"""Names of log files: which are ours, in which order, and which are too many."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge_twisted.logs.rotation import Rotation
from tests.unit.logs.support import START

DAILY = Rotation(prefix="edge-server.log")


def test_a_name_is_the_prefix_and_the_time() -> None:
    assert DAILY.next_name(START, None) == "edge-server.log.2026-11-24T07-50-00.000Z"


def test_periods_are_of_utc() -> None:
    midnight = START - START % 86_400
    for frequency, length in (("minutely", 60), ("hourly", 3600), ("daily", 86_400)):
        rotation = Rotation(prefix="x", frequency=frequency)  # type: ignore[arg-type]
        first = rotation.period(midnight)
        assert rotation.period(midnight + length - 0.001) == first
        assert rotation.period(midnight + length) == first + 1
    never = Rotation(prefix="x", frequency="never")
    assert never.period(0) == never.period(1e11)


def test_only_names_of_this_series_are_ours() -> None:
    names = [
        "edge-server.log.2026-11-24T07-50-00.001Z",
        "edge-server.log.2026-11-24T07-50-00.000Z",
        "edge-server.log",
        "edge-server.log.1",
        "edge-server.log.2026-11-24T07-50-00.000Z.gz",
        "xedge-server.log.2026-11-24T07-50-00.000Z",
        "edge-serverXlog.2026-11-24T07-50-00.000Z",
        "edge-server.log.2026-13-99T07-50-00.000Z",
        "edge-server.log.x.2026-11-24T07-50-00.000Z",
        "edge-server.log.2026-11-24T07-50-00.000Z\n",
    ]
    assert DAILY.ours(names) == [names[1], names[0]]


@given(st.lists(st.floats(min_value=0, max_value=4e9), max_size=30))
def test_names_sort_in_the_order_of_writing_whatever_the_clock_does(times: list[float]) -> None:
    names: list[str] = []
    for time in times:
        names.append(DAILY.next_name(time, names[-1] if names else None))
    assert names == sorted(set(names))
    assert DAILY.ours(names) == names


def test_the_oldest_are_too_many() -> None:
    names = list("abcde")
    assert Rotation(prefix="x", max_files=3).surplus(names) == ["a", "b"]
    assert Rotation(prefix="x", max_files=9).surplus(names) == []
    assert Rotation(prefix="x").surplus(names) == ()

# SPDX-License-Identifier: Apache-2.0
"""A hybrid clock that is ahead is said: in the log, to who asks after health, and in a metric."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import pytest
from attrs import define
from twisted.internet.task import Clock
from twisted.logger import ILogObserver, formatEvent, globalLogPublisher

from edge_twisted.api.metrics import Metrics
from edge_twisted.documents.clock import MAX_AHEAD_MS, Timestamp, timestamp
from edge_twisted.services.hybrid_clock import REMIND_SECONDS, HybridClockWatch
from edge_twisted.services.store_metrics import measure_clock
from edge_twisted.store.interface import Store
from tests.support.replica import now

NOW_MS = 1_790_000_000_000
HOUR_MS = 3_600_000


@define
class FakeStore:
    """A store that has a hybrid clock and nothing else."""

    hybrid_time: Timestamp


@pytest.fixture
def store() -> FakeStore:
    return FakeStore(timestamp(NOW_MS))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def watch(store: FakeStore, clock: Clock) -> HybridClockWatch:
    return HybridClockWatch(cast(Store, store), clock, lambda: NOW_MS + int(clock.seconds()) * 1000)


@pytest.fixture
def said() -> Iterator[list[str]]:
    lines: list[str] = []

    def hear(event: dict[str, Any]) -> None:
        if event["log_namespace"].endswith("hybrid_clock"):
            lines.append(formatEvent(event))

    observer = cast(ILogObserver, hear)
    globalLogPublisher.addObserver(observer)
    yield lines
    globalLogPublisher.removeObserver(observer)


def test_as_far_as_peers_believe_anybody_nothing_is_said(
    store: FakeStore, watch: HybridClockWatch, said: list[str]
) -> None:
    store.hybrid_time = timestamp(NOW_MS + MAX_AHEAD_MS)
    watch.start()
    assert not list(watch.troubles()) and not said


def test_beyond_that_it_says_by_how_much_and_until_when(
    store: FakeStore, clock: Clock, watch: HybridClockWatch, said: list[str]
) -> None:
    watch.start()
    store.hybrid_time = timestamp(NOW_MS + 3 * HOUR_MS)
    (trouble,) = watch.troubles()
    assert trouble.code == "clock_ahead"
    assert "10800 s ahead" in trouble.description
    assert "until 2026-09-21T17:13:20+00:00" in trouble.description
    clock.pump([60.0] * 9)
    assert len(said) == 1 and "10740 s ahead" in said[0]
    clock.pump([60.0] * 165)
    assert len(said) == 2 and said[1].endswith("not ahead of this machine's clock any more")
    assert not list(watch.troubles())


def test_it_is_said_again_once_a_day(
    store: FakeStore, clock: Clock, watch: HybridClockWatch, said: list[str]
) -> None:
    store.hybrid_time = timestamp(NOW_MS + 240 * HOUR_MS)
    watch.start()
    clock.pump([60.0] * int(2 * REMIND_SECONDS / 60))
    assert len(said) == 3
    watch.stop()
    assert clock.getDelayedCalls() == []


def test_a_date_beyond_the_calendar_is_shown_as_its_end(
    store: FakeStore, watch: HybridClockWatch
) -> None:
    store.hybrid_time = Timestamp(2**63 - 1)
    (trouble,) = watch.troubles()
    assert "until 6429-10-17" in trouble.description or "9999-12-31" in trouble.description
    store.hybrid_time = Timestamp(2**64 - 1)
    (trouble,) = watch.troubles()
    assert "9999-12-31" in trouble.description


def test_a_metric_shows_it(store: FakeStore, watch: HybridClockWatch) -> None:
    metrics = Metrics()
    measure_clock(watch, metrics)
    store.hybrid_time = timestamp(NOW_MS + HOUR_MS)
    assert b"edge_clock_ahead_seconds 3600.0" in now(metrics.text())

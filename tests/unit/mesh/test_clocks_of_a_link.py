# SPDX-License-Identifier: Apache-2.0
"""What the ends of a link say of their clocks, and what each believes of the other."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
from attrs import define

from edge_twisted.documents.clock import (
    BEGINNING,
    MAX_AHEAD_MS,
    Timestamp,
    milliseconds,
    timestamp,
)
from edge_twisted.mesh.limits.rates import RATES
from edge_twisted.mesh.ports.requests import ApplyBatch
from edge_twisted.mesh.session.clocks import MARGIN_MS, LinkClocks
from edge_twisted.mesh.wire.frames import FrameReader
from edge_twisted.mesh.wire.messages import Batch, Clock, Hello, Message, Supply, decode
from edge_twisted.mesh.wire.violations import Refused
from tests.support.fake_documents import FakeDocuments
from tests.support.mesh_pair import NOW_MS, LinkEnd, LinkPair, fake_us, two

HOURS = 3_600_000


@define
class Wall:
    """A wall clock."""

    now: int = NOW_MS

    def __call__(self) -> int:
        return self.now


def clocks_of(documents: FakeDocuments, wall: Callable[[], int]) -> LinkClocks:
    return LinkClocks(fake_us(documents, now_ms=wall))


def said(end: LinkEnd) -> list[Message]:
    reader = FrameReader()
    reader.limit_bytes = 1 << 25
    found: list[Message] = []
    for data in end.log:
        reader.feed(data)
        found += [m for each in reader.messages() if (m := decode(each)) is not None]
    return found


def declared(end: LinkEnd) -> list[Timestamp]:
    """What was declared of batches that had documents, as they were applied."""
    return [each.declared for each in end.requests if isinstance(each, ApplyBatch) and each.items]


def test_hello_says_how_far_the_hybrid_clock_is() -> None:
    left, right = two()
    left.hybrid_time = timestamp(NOW_MS + 3 * HOURS, 7)
    left.write("tasks", {"a": "1"})
    pair = LinkPair.of(left, right, right_wants=["tasks"]).start()
    hello = said(pair.left)[0]
    assert isinstance(hello, Hello)
    assert hello.hybrid_clock == timestamp(NOW_MS + 3 * HOURS + MARGIN_MS)
    assert declared(pair.right) == [hello.hybrid_clock]
    assert not any(isinstance(each, Clock) for each in said(pair.left))


def test_a_clock_that_is_not_ahead_says_nothing() -> None:
    left, right = two()
    left.hybrid_time = timestamp(NOW_MS)
    pair = LinkPair.of(left, right, right_wants=["tasks"]).start()
    left.hybrid_time = timestamp(NOW_MS + MARGIN_MS, 9)
    left.write("tasks", {"a": "1"})
    pair.settle()
    hello = said(pair.left)[0]
    assert isinstance(hello, Hello)
    assert hello.hybrid_clock is None
    assert declared(pair.right) == [BEGINNING]
    assert not any(isinstance(each, Clock) for each in said(pair.left))


def test_what_runs_ahead_later_is_said_before_documents_come() -> None:
    left, right = two()
    pair = LinkPair.of(left, right, right_wants=["tasks"]).start()
    left.hybrid_time = timestamp(NOW_MS + HOURS)
    left.write("tasks", {"a": "1"})
    pair.settle()
    kinds = [type(each) for each in said(pair.left) if isinstance(each, Clock | Batch | Supply)]
    assert kinds[-2:] == [Clock, Batch]
    (found,) = declared(pair.right)
    assert found >= left.hybrid_time
    left.hybrid_time = timestamp(NOW_MS + HOURS, 9)
    left.write("tasks", {"a": "2"})
    pair.settle()
    assert sum(isinstance(each, Clock) for each in said(pair.left)) == 1, "it said enough"


def test_documents_that_were_asked_for_wait_for_it_too() -> None:
    left, right = two()
    pair = LinkPair.of(left, right, right_wants=["tasks"]).start()
    pair.right.session._has_other_sources = lambda: True
    pair.wait(1)
    left.write("tasks", {"a": "1" * 1000})
    while not any(isinstance(each, Batch) and each.items.announced for each in said(pair.left)):
        pair.step()
    left.hybrid_time = timestamp(NOW_MS + HOURS)
    pair.settle()
    kinds = [type(each) for each in said(pair.left) if isinstance(each, Clock | Batch | Supply)]
    assert kinds[-2:] == [Clock, Supply]


def test_whose_wall_clock_is_wrong_now_cannot_declare() -> None:
    left, right = two()
    wall = Wall()
    pair = LinkPair.of(left, right, right_wants=["tasks"])
    pair.left.session._clocks = clocks_of(left, wall)
    pair.start()
    wall.now += MAX_AHEAD_MS + 1000
    left.hybrid_time = timestamp(wall.now + HOURS)
    left.write("tasks", {"a": "1"})
    pair.settle()
    assert pair.right.closed is not None and pair.right.closed.reason == "clock_skew"
    assert declared(pair.right) == []
    assert right.cursors == {(left.replica, b"tasks"): 0}, "where the first, empty batch left it"


def test_whatever_pushes_the_clock_it_is_said_rarely() -> None:
    left, _ = two()
    clocks = clocks_of(left, Wall())
    clocks.declare()
    told: list[int] = []
    for step in range(0, 366 * 24 * 60, 10):
        left.hybrid_time = timestamp(NOW_MS + step * MARGIN_MS)
        news = clocks.news()
        if news is not None:
            told.append(news.hybrid_clock)
            assert news.hybrid_clock >= left.hybrid_time
    assert 5 < len(told) < 32 < RATES[Clock].burst
    assert all(one < other for one, other in pairwise(told))


@pytest.mark.parametrize("apart", [-MAX_AHEAD_MS - 1000, MAX_AHEAD_MS + 1000])
def test_a_declaration_with_another_wall_clock_is_refused(apart: int) -> None:
    left, _ = two()
    clocks = clocks_of(left, Wall())
    clocks.hear(timestamp(NOW_MS + apart // 2), timestamp(NOW_MS + HOURS))
    with pytest.raises(Refused):
        clocks.hear(timestamp(NOW_MS + apart), timestamp(NOW_MS + 9 * HOURS))
    assert milliseconds(clocks.theirs) == NOW_MS + HOURS

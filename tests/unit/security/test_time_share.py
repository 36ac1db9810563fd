# SPDX-License-Identifier: Apache-2.0
"""A share of the reactor's time: how much is done in one turn, and for whom."""

from __future__ import annotations

import pytest

from edge_twisted.security.time_share import TimeShare
from tests.support.turning_clock import TurningClock


class Work:
    """Pieces of work that take so long each, noted when they are done."""

    def __init__(self, share: TimeShare, clock: TurningClock, seconds: float = 0.0) -> None:
        self.done: list[str] = []
        self._share = share
        self._clock = clock
        self._seconds = seconds

    def ask(self, source: str, count: int = 1) -> None:
        for _ in range(count):
            self._share.turn(source).addCallback(self._do, source)

    def _do(self, _: None, source: str) -> None:
        # As time passes while one works: without the timers that are due meanwhile.
        self._clock.rightNow += self._seconds
        self.done.append(source)


def share_of(clock: TurningClock, **options: float) -> TimeShare:
    return TimeShare(
        clock,
        clock.seconds,
        slice_seconds=options.get("slice_seconds", 1.0),
        most=int(options.get("most", 4)),
        rest=options.get("rest", 0.0),
    )


def test_nothing_is_done_in_the_turn_that_asks() -> None:
    clock = TurningClock()
    work = Work(share_of(clock), clock)
    work.ask("a")
    assert work.done == []
    clock.turn()
    assert work.done == ["a"]
    assert clock.getDelayedCalls() == []


def test_a_turn_of_the_reactor_brings_so_many() -> None:
    clock = TurningClock()
    work = Work(share_of(clock, most=4), clock)
    work.ask("a", 10)
    for most in (4, 8, 10):
        clock.turn()
        assert len(work.done) == most


def test_a_slice_ends_with_its_time_and_has_one_piece_at_least() -> None:
    clock = TurningClock()
    work = Work(share_of(clock, slice_seconds=0.5), clock, seconds=0.3)
    work.ask("a", 3)
    clock.turn()
    assert len(work.done) == 2
    clock = TurningClock()
    slow = Work(share_of(clock, slice_seconds=0.5), clock, seconds=9.0)
    slow.ask("a", 2)
    clock.turn()
    assert len(slow.done) == 1


def test_who_asks_little_does_not_wait_for_who_asks_much() -> None:
    clock = TurningClock()
    work = Work(share_of(clock, most=2), clock)
    work.ask("flood", 100)
    work.ask("shop")
    clock.turn()
    assert work.done == ["flood", "shop"]


@pytest.mark.parametrize(("rest", "seconds"), [(1.0, 0.5), (3.0, 1.5)])
def test_after_a_slice_others_have_their_time(rest: float, seconds: float) -> None:
    clock = TurningClock()
    work = Work(share_of(clock, slice_seconds=0.5, rest=rest), clock, seconds=0.5)
    work.ask("a", 2)
    clock.turn()
    clock.advance(seconds - 0.01)
    clock.turn()
    assert len(work.done) == 1
    clock.advance(0.01)
    clock.turn()
    assert len(work.done) == 2


def test_nobody_rests_where_nothing_waits() -> None:
    clock = TurningClock()
    work = Work(share_of(clock, rest=1.0), clock, seconds=0.5)
    for count in (1, 2):
        work.ask("a")
        clock.turn()
        assert len(work.done) == count


def test_a_turn_can_be_given_up() -> None:
    clock = TurningClock()
    share = share_of(clock)
    work = Work(share, clock)
    gone = share.turn("a")
    gone.addErrback(lambda _: None)
    work.ask("b")
    gone.cancel()
    clock.turn()
    assert work.done == ["b"]
    last = share.turn("a")
    last.addErrback(lambda _: None)
    last.cancel()
    clock.turn()
    assert clock.getDelayedCalls() == []


def test_work_that_asks_again_waits_behind_the_others() -> None:
    clock = TurningClock()
    share = share_of(clock, most=3)
    order: list[str] = []

    def again(_: None, source: str) -> None:
        order.append(source)
        share.turn(source).addCallback(again, source)

    for source in "ab":
        share.turn(source).addCallback(again, source)
    clock.turn()
    assert order == ["a", "b", "a"]

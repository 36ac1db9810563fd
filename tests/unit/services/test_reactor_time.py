# SPDX-License-Identifier: Apache-2.0
"""Timers fire by the monotonic clock, whatever is done to the wall clock."""

from __future__ import annotations

from time import monotonic, sleep

import pytest
from twisted.internet.base import ReactorBase
from twisted.internet.epollreactor import EPollReactor
from twisted.internet.selectreactor import SelectReactor
from twisted.internet.task import LoopingCall

from edge_twisted.services.reactor import reactor as the_reactor
from edge_twisted.services.reactor_time import count_monotonic_time


class WallClock:
    """A wall clock that can be set."""

    def __init__(self) -> None:
        self.ahead = 1_800_000_000.0

    def seconds(self) -> float:
        return monotonic() + self.ahead


@pytest.fixture
def wall(monkeypatch: pytest.MonkeyPatch) -> WallClock:
    """The clock by which Twisted counts unless it is told otherwise."""
    wall = WallClock()
    monkeypatch.setattr(ReactorBase, "seconds", staticmethod(wall.seconds))
    return wall


def turn(reactor: ReactorBase, seconds: float) -> None:
    """Run the timers of a reactor for a while, as its loop would."""
    end = monotonic() + seconds
    while monotonic() < end:
        reactor.timeout()
        reactor.runUntilCurrent()
        sleep(0.001)
    # What is due is due, even where this process had to wait for a processor all the while.
    reactor.timeout()
    reactor.runUntilCurrent()


@pytest.mark.parametrize("kind", [SelectReactor, EPollReactor])
@pytest.mark.parametrize("step", [-300.0, -2e9, 300.0, 1e8])
def test_a_step_of_the_wall_clock_changes_nothing(
    wall: WallClock, kind: type[ReactorBase], step: float
) -> None:
    reactor = kind()
    fired: list[str] = []
    before = reactor.callLater(0.02, fired.append, "before")
    reactor.callLater(30, fired.append, "much later")
    count_monotonic_time(reactor)
    reactor.callLater(0.02, fired.append, "after")
    looping = LoopingCall(lambda: fired.append("loop"))
    looping.clock = reactor
    looping.start(0.01, now=False)
    wall.ahead += step
    assert 0 <= (reactor.timeout() or 0.0) <= 0.02
    turn(reactor, 0.06)
    looping.stop()
    assert {"before", "after"} <= set(fired)
    assert 1 <= fired.count("loop") <= 7
    assert "much later" not in fired
    assert not before.active()


def test_what_waits_can_be_moved(wall: WallClock) -> None:
    reactor = SelectReactor()
    fired: list[str] = []
    moved = reactor.callLater(30, fired.append, "moved")
    delayed = reactor.callLater(0.01, fired.append, "delayed")
    count_monotonic_time(reactor)
    wall.ahead -= 300
    moved.reset(0.01)
    delayed.delay(30)
    turn(reactor, 0.03)
    assert fired == ["moved"]


def test_it_is_done_once(wall: WallClock) -> None:
    reactor = SelectReactor()
    count_monotonic_time(reactor)
    call = reactor.callLater(30, int)
    count_monotonic_time(reactor)
    assert 29 < call.getTime() - monotonic() <= 30


def test_the_reactor_of_the_server_counts_so() -> None:
    assert the_reactor.seconds is monotonic

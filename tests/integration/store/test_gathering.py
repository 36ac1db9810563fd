# SPDX-License-Identifier: Apache-2.0
"""When units of work that were submitted are sent to the writer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edge_twisted.store.sqlite.submissions import GATHER_SECONDS, GATHER_UNITS, SubmissionQueue


class Turns:
    """A reactor that is turned by hand, and a clock."""

    def __init__(self) -> None:
        self.now = 0.0
        self._calls: list[Callable[[], object]] = []

    def callFromThread(self, function: Callable[[], object], *_: Any) -> None:
        self._calls.append(function)

    def turn(self) -> None:
        """Run what was called before this turn."""
        calls, self._calls = self._calls, []
        for call in calls:
            call()


class Case:
    def __init__(self) -> None:
        self.turns = Turns()
        self.sent: list[list[int]] = []
        self.gathering: SubmissionQueue[int] = SubmissionQueue(
            self.turns,  # type: ignore[arg-type]
            self.sent.append,
            lambda: self.turns.now,
        )

    def submit(self, *items: int) -> None:
        for item in items:
            self.gathering.submit(item)


def test_a_turn_that_adds_nothing_sends_what_the_turns_before_brought() -> None:
    case = Case()
    case.submit(1, 2)
    case.turns.turn()
    case.submit(3)
    case.turns.turn()
    assert case.sent == []
    case.turns.turn()
    assert case.sent == [[1, 2, 3]]
    case.submit(4)
    case.turns.turn()
    case.turns.turn()
    assert case.sent == [[1, 2, 3], [4]]


def test_a_reactor_that_brings_more_and_more_keeps_nothing_back_for_long() -> None:
    case = Case()
    for number in range(10):
        case.submit(number)
        case.turns.turn()
        case.turns.now += GATHER_SECONDS / 4
    assert case.sent[0] == [0, 1, 2, 3, 4]


def test_as_many_as_make_a_group_are_sent_at_once() -> None:
    case = Case()
    case.submit(*range(GATHER_UNITS))
    case.turns.turn()
    assert case.sent == [list(range(GATHER_UNITS))]


def test_what_is_flushed_is_not_sent_again() -> None:
    case = Case()
    case.submit(1)
    case.gathering.flush()
    case.submit(2)
    for _ in range(4):
        case.turns.turn()
    case.gathering.flush()
    assert case.sent == [[1], [2]]

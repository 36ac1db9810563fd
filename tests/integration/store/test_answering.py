# SPDX-License-Identifier: Apache-2.0
"""Who waits for a commit is answered in order, and the reactor gets its turns in between."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edge_twisted.store.sqlite.answers import SLICE_SECONDS, AnswerQueue


class Case:
    """Answers that each take half a slice, on a reactor that is turned by hand."""

    def __init__(self) -> None:
        self.now = 0.0
        self.answered: list[int] = []
        self.turns: list[Callable[[], object]] = []
        self.answering = AnswerQueue(self, lambda: self.now)  # type: ignore[arg-type]

    def callFromThread(self, function: Callable[[], object], *_: Any) -> None:
        self.turns.append(function)

    def turn(self) -> None:
        turns, self.turns = self.turns, []
        for each in turns:
            each()

    def add(self, *numbers: int) -> None:
        self.answering.add([self.answer(number) for number in numbers])

    def answer(self, number: int) -> Callable[[], None]:
        def fire() -> None:
            self.now += SLICE_SECONDS / 2
            self.answered.append(number)

        return fire


def test_what_fits_is_answered_at_once() -> None:
    case = Case()
    case.add(1, 2)
    assert case.answered == [1, 2]
    assert case.turns == []


def test_the_rest_waits_for_turns_and_what_comes_later_for_the_rest() -> None:
    case = Case()
    case.add(1, 2, 3, 4, 5)
    assert case.answered == [1, 2]
    case.add(6)
    assert case.answered == [1, 2], "those before it have not been answered"
    case.turn()
    assert case.answered == [1, 2, 3, 4]
    case.turn()
    assert case.answered == [1, 2, 3, 4, 5, 6]
    assert case.turns == []
    case.add(7)
    assert case.answered[-1] == 7


def test_at_the_end_all_are_answered() -> None:
    case = Case()
    case.add(1, 2, 3, 4, 5)
    case.answering.flush()
    assert case.answered == [1, 2, 3, 4, 5]
    case.turn()
    assert case.answered == [1, 2, 3, 4, 5]

# SPDX-License-Identifier: Apache-2.0
"""
The queue of answers: callers hear of their commits, a few milliseconds at a time.

A group may hold hundreds of units, and callers that are answered work longer than storing took.  So
after `SLICE_SECONDS` the remaining answers wait for the reactor's next turn, behind what its
sockets have brought meanwhile.  The order of answers stays.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from time import perf_counter
from typing import Final

from twisted.internet.interfaces import IReactorFromThreads

#: How long answers hold the reactor; one takes about 0.05 ms.
SLICE_SECONDS: Final = 0.004

Answer = Callable[[], None]


class AnswerQueue:
    """
    Calls answers in the order in which they were added; for the reactor thread.

    :param now: a clock in seconds.
    """

    def __init__(
        self, reactor: IReactorFromThreads, now: Callable[[], float] = perf_counter
    ) -> None:
        self._reactor = reactor
        self._now = now
        self._due: deque[Answer] = deque()
        #: Whether a later turn of the reactor calls the rest.
        self._goes_on = False

    def add(self, answers: Iterable[Answer]) -> None:
        """
        Call these answers now for up to 4 ms, or after those that wait; answers must not raise.

        What is left is called in later turns of the reactor.
        """
        self._due.extend(answers)
        if not self._goes_on:
            self._call_some()

    def flush(self) -> None:
        """Call all answers, however long that takes, because there will be no later turn."""
        while self._due:
            self._due.popleft()()

    def _turn(self) -> None:
        self._goes_on = False
        self._call_some()

    def _call_some(self) -> None:
        end = self._now() + SLICE_SECONDS
        while self._due:
            self._due.popleft()()
            if self._now() >= end and self._due:
                self._goes_on = True
                self._reactor.callFromThread(self._turn)
                return

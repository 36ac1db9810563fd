# SPDX-License-Identifier: Apache-2.0
"""
How those who wait for commits are answered: some milliseconds at a time.

A group may hold hundreds of units, and what their callers do when they are answered takes longer
than storing did.  So after some time the rest waits for the reactor's next turn, behind what its
sockets have brought meanwhile; the order stays.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from time import perf_counter
from typing import Final

from twisted.internet.interfaces import IReactorFromThreads

#: After so long the reactor gets its turn; one answer takes some 0.05 ms.
SLICE_SECONDS: Final = 0.004

Answer = Callable[[], None]


class AnswerQueue:
    """
    Calls what answers, in the order in which it was added; for the reactor thread.

    :param now: a clock in seconds.
    """

    def __init__(
        self, reactor: IReactorFromThreads, now: Callable[[], float] = perf_counter
    ) -> None:
        self._reactor = reactor
        self._now = now
        self._due: deque[Answer] = deque()
        #: Whether a later turn of the reactor goes on.
        self._goes_on = False

    def add(self, answers: Iterable[Answer]) -> None:
        """Call them now, or as soon as those before them are; they raise nothing."""
        self._due.extend(answers)
        if not self._goes_on:
            self._call_some()

    def flush(self) -> None:
        """Call all that is left, however long that takes: there will be no later turn."""
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

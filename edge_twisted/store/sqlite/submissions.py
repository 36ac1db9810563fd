# SPDX-License-Identifier: Apache-2.0
"""
How units of work reach the writer: gathered while the reactor still brings more.

A group costs the writer a fsync, and both threads the interpreter lock and two wake-ups: as much
as thirty units of one document.  A writer that begins with the first unit that it sees leaves a
busy reactor with groups of three.  So what is submitted waits as long as each turn of the reactor
adds to it.  A turn that adds nothing ends the wait: a reactor that has nothing else to do costs a
unit one empty turn, some microseconds.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Generic, TypeVar

from twisted.internet.interfaces import IReactorFromThreads

T = TypeVar("T")

#: What is gathered is sent when it is so many, or when the first has waited so long.
GATHER_UNITS = 256
GATHER_SECONDS = 0.010


class SubmissionQueue(Generic[T]):
    """
    Sends what is submitted in lists; for the reactor thread.

    :param send: takes a list, in the order of submission.
    :param now: a clock in seconds.
    """

    def __init__(
        self,
        reactor: IReactorFromThreads,
        send: Callable[[list[T]], None],
        now: Callable[[], float] = perf_counter,
    ) -> None:
        self._reactor = reactor
        self._send = send
        self._now = now
        self._unsent: list[T] = []
        #: How many there were at the last turn, and when the first of them must be sent.
        self._seen = 0
        self._end = 0.0

    def submit(self, item: T) -> None:
        """Take one more."""
        if not self._unsent:
            self._end = self._now() + GATHER_SECONDS
            self._await_turn()
        self._unsent.append(item)

    def flush(self) -> None:
        """Send what there is."""
        if self._unsent:
            items, self._unsent = self._unsent, []
            self._seen = 0
            self._send(items)

    def _await_turn(self) -> None:
        # Not a timed call: a call from a thread runs at the beginning of the reactor's next turn,
        # between any two of which it looks what its sockets have brought.
        self._reactor.callFromThread(self._turn)

    def _turn(self) -> None:
        count = len(self._unsent)
        if self._seen < count < GATHER_UNITS and self._now() < self._end:
            self._seen = count
            self._await_turn()
        else:
            self.flush()

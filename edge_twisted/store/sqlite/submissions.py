# SPDX-License-Identifier: Apache-2.0
"""
The queue to the writer: gathers units of work as long as each turn of the reactor adds some.

A group costs an fsync, two wake-ups of threads and the interpreter lock: as much as thirty units of
one document.  A writer that began with the first unit would make groups of three under load.  So
units wait until a turn of the reactor adds none.  On an idle reactor that costs a unit one empty
turn, some microseconds.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Generic, TypeVar

from twisted.internet.interfaces import IReactorFromThreads

T = TypeVar("T")

#: Units are sent when there are so many, or when the first has waited so long.
GATHER_UNITS = 256
GATHER_SECONDS = 0.010


class SubmissionQueue(Generic[T]):
    """
    Sends submitted items on in lists; for the reactor thread.

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
        #: How many items there were at the last turn, and when the first of them must be sent.
        self._seen = 0
        self._end = 0.0

    def submit(self, item: T) -> None:
        """Queue one item; it is sent at most 10 ms later, together with others of these turns."""
        if not self._unsent:
            self._end = self._now() + GATHER_SECONDS
            self._await_turn()
        self._unsent.append(item)

    def flush(self) -> None:
        """Send all items that wait, at once."""
        if self._unsent:
            items, self._unsent = self._unsent, []
            self._seen = 0
            self._send(items)

    def _await_turn(self) -> None:
        # Not a timed call: a call from a thread runs at the beginning of the reactor's next turn,
        # and between two turns the reactor looks at its sockets.
        self._reactor.callFromThread(self._turn)

    def _turn(self) -> None:
        count = len(self._unsent)
        if self._seen < count < GATHER_UNITS and self._now() < self._end:
            self._seen = count
            self._await_turn()
        else:
            self.flush()

# SPDX-License-Identifier: Apache-2.0
"""How many statements run at a time: ``dql_concurrent_request_limit``."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import ClassVar, Protocol

from twisted.internet.defer import Deferred

from edge_twisted.dql import syntax
from edge_twisted.errors import EdgeError


class DelayedCall(Protocol):
    """A call in the future."""

    def cancel(self) -> object:
        """Call it off."""

    def active(self) -> bool:
        """Whether it is still to come."""


#: Calls a function after so many seconds, as `IReactorTime.callLater` does.
Later = Callable[[float, Callable[[], None]], DelayedCall]


class StatementLimitReached(EdgeError):
    """So many statements run already, and none ended in time; try again later."""

    code: ClassVar[str] = "overloaded"

    def __init__(self, limit: int, waited_ms: int) -> None:
        super().__init__(limit, waited_ms)
        self.limit, self.waited_ms = limit, waited_ms

    def __str__(self) -> str:
        return (
            f"{self.limit} statements run, as many as dql_concurrent_request_limit allows, and "
            f"none ended within {self.waited_ms} ms"
        )


class StatementAdmission:
    """
    Lets a number of statements run, and the others wait for their turn, in order of arrival.

    For one thread: the reactor's.
    """

    def __init__(
        self, limit: Callable[[], int], wait_ms: Callable[[], int], later: Later | None
    ) -> None:
        self._limit = limit
        self._wait_ms = wait_ms
        self._later = later
        self._running = 0
        self._waiting: deque[Deferred[None]] = deque()

    @property
    def waiting_count(self) -> int:
        """How many statements wait."""
        return len(self._waiting)

    @property
    def has_room(self) -> bool:
        """Whether a statement that is over before anything else happens may run."""
        limit = self._limit()
        return not limit or self._running < limit

    def enter(self) -> Deferred[None] | None:
        """
        Return None if a statement may run now, else what fires when it may.

        Whoever is let in calls `leave` when done; cancelling gives a place in the queue up.

        :raises StatementLimitReached: through the Deferred: it waited too long.
        """
        if self.has_room:
            self._running += 1
            return None
        limit = self._limit()
        wait_ms = self._wait_ms()
        if not wait_ms:
            raise StatementLimitReached(limit, 0)
        waiting: Deferred[None] = Deferred(self._waiting.remove)
        self._waiting.append(waiting)
        if self._later is not None:
            timer = self._later(wait_ms / 1000, lambda: self._give_up(waiting, limit, wait_ms))
            waiting.addBoth(self._stop_timer, timer)
        return waiting

    def leave(self) -> None:
        """Let the next statement in."""
        self._running -= 1
        if self._waiting:
            self.admit()

    def admit(self) -> None:
        """Let in as many as may run now; also for when the limit has changed."""
        limit = self._limit()
        while self._waiting and (not limit or self._running < limit):
            self._running += 1
            self._waiting.popleft().callback(None)

    # -- inner

    def _give_up(self, waiting: Deferred[None], limit: int, wait_ms: int) -> None:
        self._waiting.remove(waiting)
        waiting.errback(StatementLimitReached(limit, wait_ms))

    def _stop_timer(self, result: object, timer: DelayedCall) -> object:
        if timer.active():
            timer.cancel()
        return result


def is_limited(statement: syntax.Statement) -> bool:
    """Return whether a statement counts for the limit: not if it may be what raises the limit."""
    match statement:
        case syntax.Select(source=source, joins=()) if source is not None:
            return source.collection.namespace != "system"
    kinds = syntax.SetParameter | syntax.ResetParameter | syntax.ShowParameter | syntax.ShowAll
    return not isinstance(statement, kinds)

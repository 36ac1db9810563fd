# SPDX-License-Identifier: Apache-2.0
"""Limit of the statements that run at a time: ``dql_concurrent_request_limit``."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import ClassVar, Protocol

from twisted.internet.defer import Deferred

from edge_twisted.dql import syntax
from edge_twisted.errors import Culprit, EdgeError


class DelayedCall(Protocol):
    """A scheduled call, as `IDelayedCall`."""

    def cancel(self) -> object:
        """Cancel the call, which must be still to come."""

    def active(self) -> bool:
        """Return whether the call is still to come."""


#: Calls a function after a number of seconds, as `IReactorTime.callLater`.
Later = Callable[[float, Callable[[], None]], DelayedCall]


class StatementLimitReached(EdgeError):
    """As many statements run as may, and none ended in time; try again later."""

    code: ClassVar[str] = "overloaded"
    culprit = Culprit.OURSELVES

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
    Lets a limited number of statements run; the others wait in order of arrival.

    For the reactor thread.
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
        """The number of waiting statements."""
        return len(self._waiting)

    @property
    def has_room(self) -> bool:
        """Whether one more statement may run now; for one that ends at once, without `enter`."""
        limit = self._limit()
        return not limit or self._running < limit

    def enter(self) -> Deferred[None] | None:
        """
        Return None if a statement may run now, else a Deferred that fires when it may.

        The caller must call `leave` when the statement has ended.  Cancelling the Deferred leaves
        the queue.

        :raises StatementLimitReached: through the Deferred after the wait, or at once without one;
            the client should try again later.
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
        """Record the end of a statement; let the next one run."""
        self._running -= 1
        if self._waiting:
            self.admit()

    def admit(self) -> None:
        """Let waiting statements run while the limit allows; call it when the limit changed."""
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
    """
    Return whether a statement counts for ``dql_concurrent_request_limit``.

    Not one that shows or raises the limit, so that an operator always can.
    """
    match statement:
        case syntax.Select(source=source, joins=()) if source is not None:
            return source.collection.namespace != "system"
    kinds = syntax.SetParameter | syntax.ResetParameter | syntax.ShowParameter | syntax.ShowAll
    return not isinstance(statement, kinds)

# SPDX-License-Identifier: Apache-2.0
"""
Bounds the share of reactor time for work that strangers cause, such as TLS handshakes.

The reactor serves all ready connections one after another.  Without a bound, a thousand ready
strangers make every other connection wait for a thousand pieces of work; with the bound, it waits
for one slice.  Within a slice, sources take turns.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from edge_twisted.security.fair_queue import FairQueue


class TimeShare:
    """
    Runs queued work in slices, at most one slice in each turn of the reactor.

    A slice ends after `slice_seconds` or `most` pieces of work, whichever is first.  If work is
    still queued then, the next slice follows after `rest` times the duration of this one: with 1,
    the work takes at most half of the time.

    :param clock: what calls later.
    :param now: a clock in seconds that never goes back, for how long work takes.
    """

    def __init__(
        self,
        clock: IReactorTime,
        now: Callable[[], float],
        *,
        slice_seconds: float,
        most: int,
        rest: float = 0.0,
    ) -> None:
        self._clock = clock
        self._now = now
        self._slice_seconds = slice_seconds
        self._most = most
        self._rest = rest
        self._queue = FairQueue()
        self._next: IDelayedCall | None = None

    def turn(self, source: str) -> Deferred[None]:
        """Return a Deferred that fires with None in a slice, for one piece of work.

        Its callback must do the work synchronously.  `source` is the network that causes the work
        (`networks.network_of`).  Cancelling the Deferred leaves the queue.
        """
        turn = self._queue.wait(source)
        if self._next is None:
            self._next = self._clock.callLater(0, self._serve)
        return turn

    def _serve(self) -> None:
        began, took = self._now(), 0.0
        try:
            for _ in range(self._most):
                if not self._queue:
                    break
                self._queue.serve()
                took = self._now() - began
                if took >= self._slice_seconds:
                    break
        finally:
            self._next = None
            if self._queue:
                self._next = self._clock.callLater(took * self._rest, self._serve)

# SPDX-License-Identifier: Apache-2.0
"""
A bounded share of the reactor's time, for the work that strangers cause: sources take turns.

The reactor serves whoever is ready, one after the other, so that without a bound a thousand
strangers who are ready make everyone else wait for a thousand pieces of work.  With one, everyone
else waits for one slice.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from edge_twisted.security.fair_queue import FairQueue


class TimeShare:
    """
    Does what waits in slices, one slice in a turn of the reactor.

    A slice ends after `slice_seconds` or `most` pieces of work, whichever is first.  Where more
    waits then, the next slice comes after a rest of `rest` times what this one took: with 1, such
    work takes at most half of the time.  Where nothing waits, nobody rests.

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
        """
        Return what fires in a slice, where the work is to be done at once, within its callback.

        `source` is who causes it, as `networks.network_of` has it.  Cancelling gives the turn up.
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

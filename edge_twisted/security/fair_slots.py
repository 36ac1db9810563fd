# SPDX-License-Identifier: Apache-2.0
"""A bounded number of things at a time, for which callers queue by source and take turns."""

from __future__ import annotations

from twisted.internet.defer import Deferred, fail, succeed

from edge_twisted.security.errors import KeyCheckOverloaded
from edge_twisted.security.fair_queue import FairQueue

#: Waiting for one source, and in all: what memory and patience allow.
MAX_WAITING_PER_SOURCE = 64
MAX_WAITING = 1024


class FairSlots:
    """At most `parallel` holders; who waits is served source by source, in turn."""

    def __init__(self, parallel: int) -> None:
        self._free = parallel
        self._queue = FairQueue()

    def take(self, source: str) -> Deferred[None]:
        """
        Wait for a turn; every turn taken must be given back with `give_back`.

        Cancelling the Deferred leaves the queue.

        Fails with `KeyCheckOverloaded` when too many wait.
        """
        if self._free:
            self._free -= 1
            return succeed(None)
        queue = self._queue
        if len(queue) >= MAX_WAITING or queue.waiting_of(source) >= MAX_WAITING_PER_SOURCE:
            return fail(KeyCheckOverloaded(len(queue)))
        return queue.wait(source)

    def give_back(self) -> None:
        """End a turn: the next source's oldest request has it."""
        if self._queue:
            self._queue.serve()
        else:
            self._free += 1

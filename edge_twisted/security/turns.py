# SPDX-License-Identifier: Apache-2.0
"""A bounded number of things at a time, for which callers queue by source and take turns."""

from __future__ import annotations

from collections import OrderedDict, deque

from twisted.internet.defer import Deferred, succeed

from edge_twisted.security.errors import KeyCheckOverloaded

#: Waiting for one source, and in all: what memory and patience allow.
MAX_WAITING_PER_SOURCE = 64
MAX_WAITING = 1024


class Turns:
    """
    At most `parallel` holders; who waits is served source by source, in turn.

    A source that asks a thousand times thus delays another's first request by one turn, not by a
    thousand.
    """

    def __init__(self, parallel: int) -> None:
        self._free = parallel
        self._waiting: OrderedDict[str, deque[Deferred[None]]] = OrderedDict()
        self._count = 0

    def take(self, source: str) -> Deferred[None]:
        """
        Wait for a turn; every turn taken must be given back with `give_back`.

        Cancelling the Deferred leaves the queue.

        Fails with `KeyCheckOverloaded` when too many wait.
        """
        if self._free:
            self._free -= 1
            return succeed(None)
        queue = self._waiting.get(source)
        if self._count >= MAX_WAITING or (queue and len(queue) >= MAX_WAITING_PER_SOURCE):
            failed: Deferred[None] = Deferred()
            failed.errback(KeyCheckOverloaded(self._count))
            return failed
        turn: Deferred[None] = Deferred(lambda _: self._leave(source, turn))
        self._waiting.setdefault(source, deque()).append(turn)
        self._count += 1
        return turn

    def give_back(self) -> None:
        """End a turn: the next source's oldest request has it."""
        if not self._waiting:
            self._free += 1
            return
        source, queue = self._waiting.popitem(last=False)
        turn = queue.popleft()
        self._count -= 1
        if queue:
            self._waiting[source] = queue
        turn.callback(None)

    def _leave(self, source: str, turn: Deferred[None]) -> None:
        queue = self._waiting[source]
        queue.remove(turn)
        self._count -= 1
        if not queue:
            del self._waiting[source]

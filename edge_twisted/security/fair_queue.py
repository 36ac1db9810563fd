# SPDX-License-Identifier: Apache-2.0
"""Queues that serve their sources in turn, so that one that asks often cannot starve another."""

from __future__ import annotations

from collections import OrderedDict, deque

from twisted.internet.defer import Deferred, fail, succeed

from edge_twisted.security.errors import KeyCheckOverloaded

#: Waiting for one source, and in all, for a slot: what memory and patience allow.
MAX_WAITING_PER_SOURCE = 64
MAX_WAITING = 1024


class FairQueue:
    """
    Those who wait, by source: each serving takes the next source's oldest.

    A source that asks a thousand times thus delays another's first request by one turn, not by a
    thousand.
    """

    __slots__ = ("_count", "_waiting")

    def __init__(self) -> None:
        self._waiting: OrderedDict[str, deque[Deferred[None]]] = OrderedDict()
        self._count = 0

    def __len__(self) -> int:
        """Return how many wait."""
        return self._count

    def waiting_of(self, source: str) -> int:
        """Return how many of them are of one source."""
        queue = self._waiting.get(source)
        return 0 if queue is None else len(queue)

    def wait(self, source: str) -> Deferred[None]:
        """Return what fires when it is served; cancelling it leaves the queue."""
        turn: Deferred[None] = Deferred(lambda _: self._leave(source, turn))
        self._waiting.setdefault(source, deque()).append(turn)
        self._count += 1
        return turn

    def serve(self) -> None:
        """
        Fire the next source's oldest.

        :raises KeyError: nobody waits.
        """
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

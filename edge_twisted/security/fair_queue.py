# SPDX-License-Identifier: Apache-2.0
"""Queues that serve their sources in turn, so that none can starve another."""

from __future__ import annotations

from collections import OrderedDict, deque

from twisted.internet.defer import Deferred, fail, succeed

from edge_twisted.security.errors import KeyCheckOverloaded

#: Most requests that wait for a slot, of one source and in all: bounded by memory and patience.
MAX_WAITING_PER_SOURCE = 64
MAX_WAITING = 1024


class FairQueue:
    """
    Waiting Deferreds by source: `serve` fires the oldest one of the next source.

    A source that waits a thousand times thus delays another source's first request by one turn,
    not by a thousand.
    """

    __slots__ = ("_count", "_waiting")

    def __init__(self) -> None:
        self._waiting: OrderedDict[str, deque[Deferred[None]]] = OrderedDict()
        self._count = 0

    def __len__(self) -> int:
        """Return the number of waiting Deferreds."""
        return self._count

    def waiting_of(self, source: str) -> int:
        """Return the number of waiting Deferreds of one source."""
        queue = self._waiting.get(source)
        return 0 if queue is None else len(queue)

    def wait(self, source: str) -> Deferred[None]:
        """Join the queue of a source; the Deferred fires with None when `serve` comes to it.

        Cancelling the Deferred leaves the queue.
        """
        turn: Deferred[None] = Deferred(lambda _: self._leave(source, turn))
        self._waiting.setdefault(source, deque()).append(turn)
        self._count += 1
        return turn

    def serve(self) -> None:
        """Fire the oldest Deferred of the next source.

        :raises KeyError: the queue is empty; ask `len` first.
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
    """A semaphore of `parallel` slots, for which sources queue in turn."""

    def __init__(self, parallel: int) -> None:
        self._free = parallel
        self._queue = FairQueue()

    def take(self, source: str) -> Deferred[None]:
        """Wait for a slot; the Deferred fires with None once the caller has it.

        The caller must return the slot with `give_back`.  Cancelling the Deferred leaves the queue.
        The Deferred fails with `KeyCheckOverloaded` when too many wait: answer 503, the client
        tries later.
        """
        if self._free:
            self._free -= 1
            return succeed(None)
        queue = self._queue
        if len(queue) >= MAX_WAITING or queue.waiting_of(source) >= MAX_WAITING_PER_SOURCE:
            return fail(KeyCheckOverloaded(len(queue)))
        return queue.wait(source)

    def give_back(self) -> None:
        """Return a slot, to the oldest request of the next source if one waits."""
        if self._queue:
            self._queue.serve()
        else:
            self._free += 1

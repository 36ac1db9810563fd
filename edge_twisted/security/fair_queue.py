# SPDX-License-Identifier: Apache-2.0
"""A queue that is served source by source, in turn."""

from __future__ import annotations

from collections import OrderedDict, deque

from twisted.internet.defer import Deferred


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

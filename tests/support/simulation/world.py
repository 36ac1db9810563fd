# SPDX-License-Identifier: Apache-2.0
"""Time and chance of a simulation: a queue of events, and one generator of random numbers."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Callable
from itertools import count
from random import Random
from typing import Final

#: Where the simulated wall clocks begin, in ms since 1970.
EPOCH_MS: Final = 1_790_000_000_000


class World:
    """
    Everything that happens, in order of time; equal seeds make equal traces.

    :param heard: called with each line of the trace.
    :ivar now: seconds since the beginning.
    :ivar random: the only source of chance.
    """

    def __init__(self, seed: int, heard: Callable[[str], object] | None = None) -> None:
        self.seed = seed
        self.now = 0.0
        self.random = Random(seed)
        self.events = 0
        self._heard = heard
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()
        self._trace = hashlib.blake2b(digest_size=16)

    def later(self, delay: float, call: Callable[[], None]) -> None:
        """Call a function after so many seconds."""
        heapq.heappush(self._queue, (self.now + delay, next(self._numbers), call))

    def soon(self, most: float, call: Callable[[], None]) -> None:
        """Call a function after a moment of up to so many seconds."""
        self.later(self.random.random() * most, call)

    def run_until(self, end: float, stop: Callable[[], bool] | None = None) -> None:
        """Let time pass; `stop` is asked after each event."""
        while self._queue and self._queue[0][0] <= end:
            self.now, _, call = heapq.heappop(self._queue)
            self.events += 1
            call()
            if stop is not None and stop():
                return
        self.now = end

    def note(self, what: str, *details: object) -> None:
        """Write something into the trace."""
        line = f"{self.now:.6f} {what} {' '.join(map(str, details))}"
        self._trace.update(line.encode())
        if self._heard is not None:
            self._heard(line)

    @property
    def trace(self) -> str:
        """A digest of everything that was noted."""
        return self._trace.hexdigest()

    def chance(self, probability: float) -> bool:
        """Return True as often as that."""
        return self.random.random() < probability

    def entropy(self, size: int) -> bytes:
        """Return random bytes."""
        return self.random.randbytes(size)

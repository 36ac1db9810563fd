# SPDX-License-Identifier: Apache-2.0
"""Connections between simulated servers: bytes in order, late, in pieces, or never."""

from __future__ import annotations

from collections import deque
from itertools import pairwise
from typing import Protocol

from attrs import define, field, frozen

from tests.support.simulation.world import World

#: What arrives at one moment is cut into at most so many pieces.
_MOST_PIECES = 4


@frozen(kw_only=True)
class Quality:
    """How good a connection is."""

    latency_seconds: float
    jitter_seconds: float
    bytes_per_second: float
    #: Whether what arrives is cut into pieces anew.
    cuts_pieces: bool


class Receiver(Protocol):
    """One end of a connection."""

    def received(self, data: bytes) -> None:
        """Bytes came."""

    def lost(self) -> None:
        """The connection is gone; nothing comes any more."""


@define(eq=False)
class _Direction:
    """Bytes on their way to one end."""

    receiver: Receiver
    due: deque[tuple[float, bytes]] = field(factory=deque)
    #: When the last byte that was sent arrives.
    last: float = 0.0
    is_waiting: bool = False
    is_ending: bool = False


class SimulatedConnection:
    """
    A connection between two ends, 0 and 1.

    :ivar stalled: while it is, nothing arrives, and nobody is told.
    """

    def __init__(self, world: World, quality: Quality, ends: tuple[Receiver, Receiver]) -> None:
        self._world = world
        self._quality = quality
        self._directions = (_Direction(ends[0]), _Direction(ends[1]))
        self.is_open = True
        self.stalled = False
        self.bytes_sent = 0

    def send(self, to: int, data: bytes) -> None:
        """Send bytes to an end."""
        if not self.is_open:
            return
        self.bytes_sent += len(data)
        world, quality = self._world, self._quality
        direction = self._directions[to]
        delay = quality.latency_seconds + world.random.random() * quality.jitter_seconds
        arrival = max(world.now + delay, direction.last)
        direction.last = arrival + len(data) / quality.bytes_per_second
        direction.due.append((direction.last, data))
        self._wait(to)

    def finish(self, to: int) -> None:
        """Close the connection once an end has got what was sent to it."""
        self._directions[to].is_ending = True
        self._wait(to)

    def cut(self) -> None:
        """Lose the connection and all that is on its way; both ends notice, not at once."""
        if not self.is_open:
            return
        self.is_open = False
        for direction in self._directions:
            direction.due.clear()
            self._world.soon(0.05, direction.receiver.lost)

    def stall(self, seconds: float) -> None:
        """Deliver nothing for a while."""
        self.stalled = True

        def go_on() -> None:
            self.stalled = False
            for to in (0, 1):
                self._wait(to)

        self._world.later(seconds, go_on)

    def _wait(self, to: int) -> None:
        direction = self._directions[to]
        if direction.is_waiting or self.stalled or not self.is_open:
            return
        if not direction.due:
            if direction.is_ending:
                self.cut()
            return
        direction.is_waiting = True
        delay = max(0.0, direction.due[0][0] - self._world.now)
        self._world.later(delay, lambda: self._arrive(to))

    def _arrive(self, to: int) -> None:
        direction = self._directions[to]
        direction.is_waiting = False
        if self.stalled or not self.is_open:
            return
        data = bytearray()
        while direction.due and direction.due[0][0] <= self._world.now + 1e-9:
            data += direction.due.popleft()[1]
        for piece in self._pieces(bytes(data)):
            if self.is_open:
                direction.receiver.received(piece)
        self._wait(to)

    def _pieces(self, data: bytes) -> list[bytes]:
        if not data:
            return []
        random = self._world.random
        if not self._quality.cuts_pieces or random.random() < 0.7:
            return [data]
        cuts = sorted(random.randrange(len(data)) for _ in range(random.randrange(_MOST_PIECES)))
        edges = [0, *cuts, len(data)]
        return [data[a:b] for a, b in pairwise(edges) if b > a]

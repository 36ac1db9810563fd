# SPDX-License-Identifier: Apache-2.0
"""A store that runs each unit of work twice, as a store on a network may have to."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from twisted.internet.defer import Deferred

from edge_twisted.store.interface import UnitOfWork
from edge_twisted.store.memory.store import MemoryStore
from edge_twisted.store.memory.unit import MemoryUnit
from edge_twisted.store.rows import UnitResult

T = TypeVar("T")


class RerunStore(MemoryStore):
    """
    A memory store whose units all run twice; what the first run wrote is discarded.

    A unit that changes something outside of the store, other than by `after_commit`, shows here:
    its change is made twice, or for a run that was never stored.
    """

    def write(self, name: str, work: Callable[[UnitOfWork], T]) -> Deferred[UnitResult[T]]:
        if self._is_open:
            lost = MemoryUnit(self._data, name, self._now_ms)
            try:
                work(lost)
            except Exception:
                # As if the connection had broken before the error was known: the second run tells.
                pass
            finally:
                lost.undo()
        return super().write(name, work)

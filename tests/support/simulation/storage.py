# SPDX-License-Identifier: Apache-2.0
"""What is left of a server when it crashes, and how it is opened, copied and restored."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Protocol, TypeVar, cast

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from edge_twisted.documents.clock import HybridClock
from edge_twisted.documents.versions import Dot, Replica, SiteId
from edge_twisted.store import epochs
from edge_twisted.store.hidden import PREFIX_BYTES, is_hidden
from edge_twisted.store.interface import Store
from edge_twisted.store.memory.data import Data
from edge_twisted.store.memory.store import MemoryStore
from edge_twisted.store.sqlite.files import Layout
from edge_twisted.store.sqlite.store import SqliteStore
from tests.support.simulation.world import World

T = TypeVar("T")


class Storage(Protocol):
    """Where one server keeps its data."""

    def open(self, now_ms: Callable[[], int]) -> Store:
        """Open what there is."""

    def close(self) -> None:
        """End the use, as a crash does: what was acknowledged is there at the next `open`."""

    def back_up(self) -> None:
        """Keep a copy of what there is now, instead of the last one."""

    def restore(self) -> bool:
        """Replace what there is by the copy, if there is one."""

    def wait(self, answer: Deferred[T]) -> T:
        """Return what a Deferred of the store's fires with."""


class MemoryStorage:
    """Data in memory."""

    def __init__(self, world: World, site: bytes) -> None:
        self._world = world
        self._data = Data(Replica(SiteId(site), 1))
        self._copy: Data | None = None

    def open(self, now_ms: Callable[[], int]) -> Store:
        store = MemoryStore(self._data, now_ms)
        self.wait(store.open())
        return store

    def close(self) -> None:
        """Nothing holds it."""

    def back_up(self) -> None:
        self._copy = _copied(self._data)

    def restore(self) -> bool:
        if self._copy is None:
            return False
        data = _copied(self._copy)
        last = Dot(data.replica, data.sequence)
        place = (epochs.SPACE, epochs.KEY)
        data.facts[place] = epochs.with_epoch(data.facts.get(place), last)
        epoch = data.replica.epoch + 1 + self._world.random.getrandbits(30)
        data.replica, data.sequence = Replica(data.replica.site, epoch), 0
        self._data = data
        return True

    def wait(self, answer: Deferred[T]) -> T:
        return _result(answer, _never)


def _never() -> None:
    raise AssertionError("a store in memory waits")


def _copied(data: Data) -> Data:
    """Return what a backup holds: nothing of what is kept for others."""
    copy = evolve(data.snapshot(), clock=HybridClock(data.clock.last))
    for name in [each for each in copy.collections if is_hidden(each)]:
        del copy.collections[name]
    for place in [each for each in copy.facts if each[1].startswith(PREFIX_BYTES)]:
        del copy.facts[place]
    return copy


class SqliteStorage:
    """A real file; its threads are waited for, so that they take no time of the simulation's."""

    def __init__(self, world: World, folder: Path) -> None:
        self._world = world
        self._folder = folder / "data"
        self._backup = folder / "backup"
        self._calls: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._store: SqliteStore | None = None

    def callFromThread(self, function: Any, *args: Any, **kwargs: Any) -> None:
        """Stand in for the reactor."""
        self._calls.put(lambda: function(*args, **kwargs))

    def open(self, now_ms: Callable[[], int]) -> Store:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._store = SqliteStore(
            Layout(self._folder, "db"),
            threads=self,  # type: ignore[arg-type]
            clock=Clock(),
            now_ms=now_ms,
            entropy=self._world.entropy,
        )
        self.wait(self._store.open())
        return self._store

    def close(self) -> None:
        if self._store is not None:
            self.wait(self._store.close())
            self._store = None

    def back_up(self) -> None:
        shutil.rmtree(self._backup, ignore_errors=True)
        assert self._store is not None
        # With its log beside it: what a copy of a folder between two commits holds.
        shutil.copytree(self._folder, self._backup)

    def restore(self) -> bool:
        if not self._backup.exists():
            return False
        shutil.rmtree(self._folder)
        shutil.copytree(self._backup, self._folder)
        return True

    def wait(self, answer: Deferred[T]) -> T:
        result = _result(answer, lambda: self._calls.get(timeout=30)())
        while not self._calls.empty():
            self._calls.get()()
        return result


def _result(answer: Deferred[T], turn: Callable[[], None]) -> T:
    found: list[Any] = []
    answer.addBoth(found.append)
    while not found:
        turn()
    if isinstance(found[0], Failure):
        found[0].raiseException()
    return cast(T, found[0])

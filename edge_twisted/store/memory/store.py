# SPDX-License-Identifier: Apache-2.0
"""The store in memory: units and reads run at once, and their Deferreds have fired already."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Generic, TypeVar

from twisted.internet.defer import Deferred, execute, fail, succeed

from edge_twisted.documents.clock import Timestamp
from edge_twisted.documents.versions import Replica
from edge_twisted.store.blobs.interface import BlobStore
from edge_twisted.store.blobs.memory import MemoryBlobStore
from edge_twisted.store.errors import ReadCancelled, StoreClosed, UnknownIndex
from edge_twisted.store.hooks import CommitHooks, RemovalHooks, call_effect
from edge_twisted.store.interface import RemovalHook, RowStream, Snapshot, UnitOfWork
from edge_twisted.store.memory.data import Data, MemoryCollection
from edge_twisted.store.memory.snapshot import MemorySnapshot
from edge_twisted.store.memory.unit import MemoryUnit
from edge_twisted.store.rows import Commit, DamageReport, UnitResult

T = TypeVar("T")


class MemoryStore:
    """
    A `edge_twisted.store.interface.Store` that forgets with its `data`.

    :param data: what an earlier store kept; a store that is opened on it goes on from there.
    """

    def __init__(self, data: Data, now_ms: Callable[[], int]) -> None:
        self._data = data
        self._now_ms = now_ms
        self._hooks = CommitHooks()
        self._reap_hooks = RemovalHooks()
        self._is_open = False
        self._blobs = MemoryBlobStore(self, data.blobs, now_ms)

    # -- life

    def open(self) -> Deferred[None]:
        self._is_open = True
        return succeed(None)

    def close(self) -> Deferred[None]:
        self._is_open = False
        return succeed(None)

    @property
    def replica(self) -> Replica:
        return self._data.replica

    @property
    def lsn(self) -> int:
        return self._data.lsn

    @property
    def hybrid_time(self) -> Timestamp:
        return self._data.clock.last

    @property
    def blobs(self) -> BlobStore:
        return self._blobs

    # -- work

    def write(self, name: str, work: Callable[[UnitOfWork], T]) -> Deferred[UnitResult[T]]:
        if not self._is_open:
            return fail(StoreClosed(name))
        transaction = MemoryUnit(self._data, name, self._now_ms)
        try:
            result = work(transaction)
        except BaseException:
            transaction.undo()
            return fail()
        changed = transaction.keep()
        for effect in transaction.effects:
            call_effect(effect)
        if changed:
            spaces = frozenset(transaction.spaces)
            self._hooks.call(Commit(lsn=self._data.lsn, collections=changed, spaces=spaces))
        return succeed(UnitResult(result, self._data.lsn))

    def read(self, name: str, work: Callable[[Snapshot], T]) -> Deferred[T]:
        if not self._is_open:
            return fail(StoreClosed(name))
        return execute(work, MemorySnapshot(self._data, name))

    def stream(self, name: str, work: Callable[[Snapshot], Iterator[T]]) -> RowStream[T]:
        if not self._is_open:
            raise StoreClosed(name)
        return MemoryRowStream(
            name, lambda: iter(work(MemorySnapshot(self._data.snapshot(), name)))
        )

    def snapshot(self) -> AbstractContextManager[Snapshot]:
        if not self._is_open:
            raise StoreClosed("snapshot")
        return nullcontext(MemorySnapshot(self._data, "read"))

    def hurried(self) -> AbstractContextManager[None]:
        return nullcontext()

    def reap(self, received_before: int, most: int) -> Deferred[int]:
        old = [
            (row.received, row.document.lsn, here, row.document)
            for here in self._data.collections.values()
            for row in here.rows.values()
            if row.received is not None and row.received < received_before
        ]
        chosen = sorted(old, key=lambda found: found[:2])[:most]
        transaction = MemoryUnit(self._data, "reap", self._now_ms)
        try:
            for _, _, here, document in chosen:
                self._reap_hooks.call(transaction, here.name, (document,))
        except BaseException:
            transaction.undo()
            return fail()
        for _, lsn, here, document in chosen:
            del here.rows[document.id_key]
            here.reaped_lsn = max(here.reaped_lsn, lsn)
        return succeed(len(chosen))

    def before_reap(self, hook: RemovalHook) -> Callable[[], None]:
        return self._reap_hooks.add(hook)

    def quarantine(self, collection: str, id_key: bytes) -> Deferred[bool]:
        return succeed(True)

    def before_quarantine(self, hook: RemovalHook) -> Callable[[], None]:
        return lambda: None

    @property
    def damage(self) -> DamageReport:
        return DamageReport()

    def index_ready(self, collection: str, name: str) -> Deferred[None]:
        here = self._data.collections.get(collection, MemoryCollection(collection))
        if name not in here.indexes:
            return fail(UnknownIndex(f"{collection}.{name}"))
        return succeed(None)

    def on_commit(self, hook: Callable[[Commit], None]) -> Callable[[], None]:
        return self._hooks.add(hook)


class MemoryRowStream(Generic[T]):
    """A `edge_twisted.store.interface.RowStream`; its snapshot is a copy, made when it begins."""

    def __init__(self, name: str, begin: Callable[[], Iterator[T]]) -> None:
        self._name = name
        self._begin = begin
        self._batches: Iterator[T] | None = None
        self._closed = False

    def next(self) -> Deferred[T | None]:
        if self._closed:
            return fail(ReadCancelled(self._name))
        if self._batches is None:
            self._batches = self._begin()
        try:
            return succeed(next(self._batches, None))
        except BaseException:
            self.close()
            return fail()

    def close(self) -> None:
        self._closed = True
        self._batches = None

# SPDX-License-Identifier: Apache-2.0
"""Units of work in memory: they write in place, and note how to undo each step."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TypeVar

from edge_twisted.documents.clock import BEGINNING, Timestamp
from edge_twisted.documents.values import Value
from edge_twisted.documents.versions import Dot, Replica
from edge_twisted.store import epochs
from edge_twisted.store.errors import IndexExists, TooManyCollections, UnknownIndex
from edge_twisted.store.hidden import shown_count
from edge_twisted.store.memory import data as kept
from edge_twisted.store.memory.snapshot import MemorySnapshot
from edge_twisted.store.rows import IndexDefinition, IndexInfo, StoredDocument

K = TypeVar("K")
V = TypeVar("V")


class MemoryUnit(MemorySnapshot):
    """A `edge_twisted.store.interface.UnitOfWork` on `kept.Data`."""

    def __init__(self, data: kept.Data, name: str, now_ms: Callable[[], int]) -> None:
        super().__init__(data, name)
        self._now_ms = now_ms
        self._undo: list[Callable[[], None]] = []
        self._touched: set[str] = set()
        self.effects: list[Callable[[], None]] = []
        self.spaces: set[str] = set()

    # -- the end of the unit

    def keep(self) -> frozenset[str]:
        """
        Keep what the unit wrote; return the names of the collections whose documents changed.

        If there are any, the unit becomes a commit with the next lsn.
        """
        if self._touched:
            self._data.lsn += 1
        return frozenset(self._touched)

    def undo(self) -> None:
        """Undo all that the unit wrote, the last step first."""
        for step in reversed(self._undo):
            step()

    def _set(self, owner: dict[K, V], key: K, value: V | None) -> None:
        before = owner.get(key)
        self._undo.append(lambda: _assign(owner, key, before))
        _assign(owner, key, value)

    # -- progress

    @property
    def lsn(self) -> int:
        return self._data.lsn + 1

    @property
    def replica(self) -> Replica:
        return self._data.replica

    def next_dot(self) -> Dot:
        data, before = self._data, self._data.sequence
        self._undo.append(lambda: setattr(data, "sequence", before))
        data.sequence += 1
        return Dot(data.replica, data.sequence)

    def tick(self) -> Timestamp:
        return self._data.clock.tick(self._now_ms())

    def see(self, remote: Timestamp, declared: Timestamp = BEGINNING) -> None:
        self._data.clock.see(remote, self._now_ms(), declared)

    def renew_epoch(self) -> Replica:
        data, replica, sequence = self._data, self._data.replica, self._data.sequence

        def back() -> None:
            data.replica, data.sequence = replica, sequence

        self._undo.append(back)
        left = epochs.with_epoch(self.fact(epochs.SPACE, epochs.KEY), Dot(replica, sequence))
        self.put_fact(epochs.SPACE, epochs.KEY, left)
        data.replica, data.sequence = Replica(replica.site, replica.epoch + 1), 0
        return data.replica

    def admit_collection(self, name: str) -> None:
        there, most = self._data.collections, self._data.most_collections
        if name not in there and len(there) >= most and shown_count(there) >= most:
            raise TooManyCollections(name, most)

    def after_commit(self, effect: Callable[[], None]) -> None:
        self.effects.append(effect)

    # -- documents

    def put(
        self,
        collection: str,
        id_key: bytes,
        *,
        body: bytes | None,
        state: bytes,
        digest: int = 0,
        attachments: Collection[str] = (),
        value: Mapping[str, Value] | None = None,
    ) -> None:
        received = self._now_ms() if body is None else None
        document = StoredDocument(id_key, self.lsn, body, state, digest)
        rows = self._touch(collection).rows
        self._set(rows, id_key, kept.MemoryRow(document, frozenset(attachments), received))

    def remove(self, collection: str, id_key: bytes) -> None:
        if self.get(collection, id_key) is not None:
            self._set(self._touch(collection).rows, id_key, None)

    def _touch(self, name: str) -> kept.MemoryCollection:
        here = self._collection(name)
        before = here.lsn
        self._undo.append(lambda: setattr(here, "lsn", before))
        here.lsn = self.lsn
        self._touched.add(name)
        return here

    def _collection(self, name: str) -> kept.MemoryCollection:
        if name not in self._data.collections:
            self._set(self._data.collections, name, kept.MemoryCollection(name))
            self._data.catalog += 1
        return self._data.collections[name]

    def forget_damaged(self, collection: str, id_key: bytes) -> None:
        pass

    def put_fact(self, space: str, key: bytes, value: bytes | None) -> None:
        self._set(self._data.facts, (space, key), value)
        self.spaces.add(space)

    # -- indexes

    def create_index(self, definition: IndexDefinition) -> None:
        here = self._collection(definition.collection)
        if definition.name in here.indexes:
            raise IndexExists(f"{definition.collection}.{definition.name}")
        info = IndexInfo(definition=definition, ready=True, exact=True)
        self._set(here.indexes, definition.name, info)
        self._data.catalog += 1

    def drop_index(self, collection: str, name: str) -> None:
        here = self._data.collections.get(collection)
        if here is None or name not in here.indexes:
            raise UnknownIndex(f"{collection}.{name}")
        self._set(here.indexes, name, None)
        self._data.catalog += 1


def _assign(owner: dict[K, V], key: K, value: V | None) -> None:
    if value is None:
        owner.pop(key, None)
    else:
        owner[key] = value

# SPDX-License-Identifier: Apache-2.0
"""
Upkeep of documents in transit: making room, and moves out of transit.

A document leaves transit for the collection that users see when this server begins to want it:
here at the start, and when a change of it comes (`TransitHomes`).  Without the setting, what is
left of earlier times is removed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from attrs import define

from edge_twisted.documents.ids import DocumentId
from edge_twisted.documents.state import DocumentState
from edge_twisted.records.documents import ID, DocumentWriter, document_of
from edge_twisted.records.facts import SPACES
from edge_twisted.replication.batches import BatchContext
from edge_twisted.replication.transit import (
    DroppedDocuments,
    TransitStore,
    drop_oldest,
    fetch_again,
)
from edge_twisted.store.hidden import PREFIX_BYTES, hidden_name, shown_name
from edge_twisted.store.interface import Snapshot, Store, UnitOfWork

#: Documents that are looked at, moved or removed with one request to the store.
AT_ONCE: Final = 500

#: Id keys of documents in transit that are wanted, the commit up to which was looked, and whether
#: there is more.
_Wanted = tuple[list[bytes], int, bool]


@define(eq=False)
class TransitUpkeep:
    """
    Looks after the documents in transit of one opened store; for the reactor thread.

    :param context: returns what `apply_batch` needs.
    """

    _store: Store
    _transit: TransitStore
    _context: Callable[[], BatchContext]

    async def start(self) -> None:
        """Move what this server has begun to want since it was stopped."""
        with self._store.snapshot() as snapshot:
            self._transit.refresh(snapshot)
        for name in await self._store.read("transit", _names):
            lsn, more = 0, True
            while more:
                found, lsn, more = await self._store.read("transit", self._wanted(name, lsn))
                if found:
                    await self._store.write("transit", _Leaving(name, found))

    def _wanted(self, name: str, after: int) -> Callable[[Snapshot], _Wanted]:
        own = self._context().own

        def read(snapshot: Snapshot) -> _Wanted:
            batch = snapshot.changes_after(after, (hidden_name(name),), limit=AT_ONCE)
            rows = [change.document for change in batch.changes]
            found = [
                row.id_key
                for row in rows
                if row.body is not None and own.wants(name, document_of(row.body))
            ]
            return found, batch.lsn, batch.more

        return read

    # -- room

    async def make_room(self, passed: Mapping[str, int]) -> DroppedDocuments:
        """
        Drop the oldest documents while there are too many, one unit of work at a time.

        :param passed: see `drop_oldest`.
        """
        transit = self._transit
        written = await self._store.write(
            "transit drop", lambda unit: drop_oldest(unit, transit, passed)
        )
        return written.result

    async def want_again(self, collection: str) -> None:
        """Have all of a collection fetched again that was dropped, by repairs."""
        self._transit.want_again(collection)
        await self._store.write("transit", lambda unit: fetch_again(unit, collection))


class _Leaving:
    """Moves documents out of transit: what is written is merged with what is in transit."""

    def __init__(self, name: str, id_keys: Sequence[bytes]) -> None:
        self._name = name
        self._id_keys = id_keys

    def __call__(self, unit: UnitOfWork) -> None:
        writer, hidden = DocumentWriter(unit), hidden_name(self._name)
        for id_key in self._id_keys:
            row = unit.get(hidden, id_key)
            if row is not None and row.body is not None:
                id_ = DocumentId.of(document_of(row.body)[ID])
                writer.save(self._name, id_, DocumentState())


def _names(snapshot: Snapshot) -> list[str]:
    return [shown_name(info.name) for info in snapshot.collections(hidden=True)]


async def purge(store: Store) -> None:
    """Remove all documents in transit, and the facts about them."""
    while await store.write("transit purge", _purge_some).addCallback(lambda done: done.result):
        pass


def _purge_some(unit: UnitOfWork) -> bool:
    """Remove some; return whether there may be more."""
    for info in unit.collections(hidden=True):
        rows = unit.changes_after(0, (info.name,), limit=AT_ONCE).changes
        for change in rows:
            unit.remove(info.name, change.document.id_key)
        if rows:
            return True
    for space in SPACES:
        facts = unit.facts(space.name, PREFIX_BYTES, limit=AT_ONCE)
        for key, _ in facts:
            unit.put_fact(space.name, key, None)
        if facts:
            return True
    return False

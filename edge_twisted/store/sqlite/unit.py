# SPDX-License-Identifier: Apache-2.0
"""Units of work, as they run on the writer's thread."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Concatenate, ParamSpec, TypeVar

import apsw

from edge_twisted.documents.clock import BEGINNING, Timestamp
from edge_twisted.documents.values import Value
from edge_twisted.documents.versions import Dot, Replica, VersionVector
from edge_twisted.store import epochs
from edge_twisted.store.errors import ReadCancelled, TooManyCollections
from edge_twisted.store.hidden import is_hidden, shown_count
from edge_twisted.store.rows import (
    Census,
    ChangeBatch,
    CollectionInfo,
    IndexDefinition,
    IndexInfo,
    ScanRow,
    StoredDocument,
    census_of,
    fingerprint,
)
from edge_twisted.store.sqlite import indexes
from edge_twisted.store.sqlite.group import CommitGroup, Job
from edge_twisted.store.sqlite.layers import (
    NO_ENTRIES,
    NOT_STORED,
    Entries,
    Layer,
    PendingRow,
    flush,
)
from edge_twisted.store.sqlite.log import changes_after
from edge_twisted.store.sqlite.quarantine import forget
from edge_twisted.store.sqlite.snapshot import SqliteSnapshot
from edge_twisted.store.sqlite.state import CollectionState, Totals

P = ParamSpec("P")
T = TypeVar("T")


def _of_snapshot(
    read: Callable[Concatenate[SqliteSnapshot, P], T],
) -> Callable[Concatenate[SqliteUnit, P], T]:
    """Return a read of snapshots as a method of units: SQL first gets what the unit wrote."""

    def read_settled(unit: SqliteUnit, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return read(unit.snapshot(), *args, **kwargs)

    return read_settled


class SqliteUnit:
    """
    A `edge_twisted.store.interface.UnitOfWork`.

    Documents and facts wait in the unit's own layer.  A unit that scans, or that grows big, writes
    its layer into the physical transaction early, under a savepoint, so that it can be undone.
    """

    # Defaults on the class: one object is made for every unit of work, and few change these.
    _savepoint = False
    _reads: SqliteSnapshot | None = None
    _changed = False
    _committing = False

    def __init__(self, group: CommitGroup, name: str, cancelled: Callable[[], bool]) -> None:
        self._group = group
        self._name = name
        self._cancelled = cancelled
        self.state = group.state
        self.now_ms = group.now_ms
        self._layer = Layer()
        self._loaded: dict[tuple[int, bytes], PendingRow] = {}
        #: The totals of collections before the unit changed them.
        self._totals: dict[CollectionState, Totals] = {}
        self._undo: list[Callable[[], None]] = []
        self._sequence = group.state.sequence
        #: Called on the reactor thread once the unit is durable.
        self.effects: list[Callable[[], None]] = []
        #: Jobs that begin once the unit is durable.
        self.jobs: list[Job] = []

    # -- the end of the unit, for the writer

    def keep(self) -> int:
        """Hand the writes of the unit to the group; return the newest lsn that contains them."""
        state = self.state
        if self._committing:
            state.lsn += 1
        for here in self._totals:
            state.touched.add(here.name)
            if self._committing:
                here.lsn = state.lsn
                self._group.collections.add(here.name)
        if self._reads is not None:
            self._finish_reads()
        if self._savepoint:
            self._group.connection.execute("RELEASE unit")
        if self._changed:
            self._group.keep(self._layer)
        return state.lsn

    def undo(self) -> None:
        """Undo all writes of the unit, in memory and in the transaction; for one that failed."""
        self._finish_reads()
        for here, totals in self._totals.items():
            here.restore(totals)
        for step in reversed(self._undo):
            step()
        self.state.sequence = self._sequence
        if self._savepoint and self._group.alive:
            self._group.connection.execute("ROLLBACK TO unit; RELEASE unit")

    def _finish_reads(self) -> None:
        if self._reads is not None:
            self._reads.finish()
            self._reads = None

    # -- for the other modules of this store (`DirectUnit`)

    def settled(self) -> apsw.Connection:
        """Return the connection for SQL that only reads, and sees what the unit wrote."""
        group = self._group
        self._loaded.clear()
        if not self._savepoint:
            self._layer.settle_on(group.layer)
            group.flush()
        connection = group.begin()
        if self._layer:
            if not self._savepoint:
                connection.execute("SAVEPOINT unit")
                self._savepoint = True
            flush(connection, self._layer)
        return connection

    def direct(self) -> apsw.Connection:
        """
        Return the connection for SQL that writes, and sees what the unit wrote.

        What it writes is undone with the unit.
        """
        connection = self.settled()
        if not self._savepoint:
            connection.execute("SAVEPOINT unit")
            self._savepoint = True
        self._changed = True
        return connection

    def touch(self, collection: CollectionState) -> None:
        """Note the totals of a collection before they are changed, to be restored by `undo`."""
        if collection not in self._totals:
            self._totals[collection] = collection.totals()

    def changes(self, collection: CollectionState) -> None:
        """Note that the unit changes what queries see of a collection, so that it takes an lsn."""
        self.touch(collection)
        self._changed = self._committing = True

    def on_undo(self, step: Callable[[], None]) -> None:
        """Call `step` if the unit fails; of several, the one added last is called first."""
        self._undo.append(step)

    def index_changed(self, collection: str, name: str) -> None:
        """Tell those who wait for an index that it is ready or gone, once the unit is durable."""
        notice = self._group.index_changed
        self.after_commit(lambda: notice(collection, name))

    def snapshot(self) -> SqliteSnapshot:
        """Return a snapshot that sees what the unit wrote, until the unit writes again."""
        connection = self.settled()
        if self._reads is None:
            self._reads = SqliteSnapshot(
                connection, self._number_of, self._name, self._cancelled, self._group.damage
            )
        return self._reads

    def _number_of(self, name: str) -> int | None:
        collection = self.state.collections.get(name)
        return None if collection is None else collection.number

    # -- progress

    @property
    def lsn(self) -> int:
        return self.state.lsn + 1

    @property
    def catalog_version(self) -> int:
        return self.state.catalog

    @property
    def written(self) -> VersionVector:
        last = Dot(self.state.replica, self.state.sequence)
        return epochs.written(self, last)

    def check_cancelled(self) -> None:
        if self._cancelled():
            raise ReadCancelled(self._name)

    @property
    def replica(self) -> Replica:
        return self.state.replica

    def next_dot(self) -> Dot:
        state = self.state
        state.sequence += 1
        return Dot(state.replica, state.sequence)

    def tick(self) -> Timestamp:
        return self.state.clock.tick(self.now_ms())

    def see(self, remote: Timestamp, declared: Timestamp = BEGINNING) -> None:
        self.state.clock.see(remote, self.now_ms(), declared)

    def renew_epoch(self) -> Replica:
        state, old, sequence = self.state, self.state.replica, self._sequence
        left = epochs.with_epoch(self.fact(epochs.SPACE, epochs.KEY), Dot(old, state.sequence))
        self.put_fact(epochs.SPACE, epochs.KEY, left)
        state.replica = Replica(old.site, self._group.new_epoch(old.epoch))
        state.sequence = 0
        self._changed = True

        def back() -> None:
            state.replica = old
            self._sequence = sequence

        self.on_undo(back)
        return state.replica

    def after_commit(self, effect: Callable[[], None]) -> None:
        self.effects.append(effect)

    # -- reading documents

    def get(self, collection: str, id_key: bytes) -> StoredDocument | None:
        here = self.state.collections.get(collection)
        if here is None or id_key > here.greatest_id:
            return None
        found = self._find(here, id_key)
        if found.row is None:
            return None
        return StoredDocument(id_key, found.lsn, found.body, found.state, found.digest)

    def body(self, collection: str, id_key: bytes) -> bytes | None:
        here = self.state.collections.get(collection)
        return None if here is None else self._find(here, id_key).body

    def damaged(self, collection: str, id_key: bytes) -> int | None:
        here = self.state.collections.get(collection) if self.state.quarantined else None
        found = None if here is None else self.state.quarantined.get((here.number, id_key))
        return None if found is None else found.digest

    def bodies(self, collection: str, id_keys: Sequence[bytes]) -> Iterator[list[ScanRow]]:
        for id_key in id_keys:
            body = self.body(collection, id_key)
            if body is not None:
                yield [(id_key, body)]

    scan = _of_snapshot(SqliteSnapshot.scan)
    count = _of_snapshot(SqliteSnapshot.count)
    digests = _of_snapshot(SqliteSnapshot.digests)

    def _find(self, here: CollectionState, id_key: bytes) -> PendingRow:
        place = (here.number, id_key)
        found = self._layer.documents.get(place) or self._loaded.get(place)
        if found is None:
            found = self._loaded[place] = self._group.find(here, id_key)
        return found

    # -- indexes

    def indexes(self, collection: str) -> Sequence[IndexInfo]:
        here = self.state.collections.get(collection)
        return [] if here is None else [index.info() for index in here.indexes]

    index_bodies = _of_snapshot(SqliteSnapshot.index_bodies)
    index_texts = _of_snapshot(SqliteSnapshot.index_texts)
    index_ids = _of_snapshot(SqliteSnapshot.index_ids)
    index_count = _of_snapshot(SqliteSnapshot.index_count)

    def create_index(self, definition: IndexDefinition) -> None:
        indexes.create(self, self._collection(definition.collection), definition)

    def drop_index(self, collection: str, name: str) -> None:
        indexes.drop(self, collection, name)

    # -- collections and the log

    def collection(self, name: str) -> CollectionInfo | None:
        here = self.state.collections.get(name)
        if here is None:
            return None
        return CollectionInfo(
            name=name,
            count=here.live,
            lsn=self.lsn if here in self._totals and self._committing else here.lsn,
            reaped_lsn=here.reaped_lsn,
            fingerprint=fingerprint(here.digest_sum, here.digest_xor),
        )

    def collections(self, *, hidden: bool = False) -> Sequence[CollectionInfo]:
        names = sorted(name for name in self.state.collections if is_hidden(name) is hidden)
        found = [self.collection(name) for name in names]
        return [info for info in found if info is not None]

    def census(self, largest: int) -> Census:
        return census_of(self.collections(), largest)

    def changes_after(
        self,
        lsn: int,
        collections: Collection[str] | None = None,
        *,
        limit: int = 1000,
        limit_bytes: int = 1 << 20,
    ) -> ChangeBatch:
        cursors = self.snapshot().cursors
        here = self.state.collections
        names = here if collections is None else [name for name in collections if name in here]
        changed = sorted((here[name].number, name) for name in names)
        newest = self.lsn if self._committing else self.state.lsn
        return changes_after(cursors, changed, (lsn, newest), (limit, limit_bytes))

    # -- facts and attachments

    def fact(self, space: str, key: bytes) -> bytes | None:
        place = (space, key)
        for layer in (self._layer, self._group.layer):
            if place in layer.facts:
                return layer.facts[place]
        return self._stored_fact(space, key)

    def _stored_fact(self, space: str, key: bytes) -> bytes | None:
        if space not in self.state.spaces:
            return None
        value: bytes | None = (
            self._group.begin()
            .execute("SELECT value FROM facts WHERE space = ? AND key = ?", (space, key))
            .get
        )
        return value

    facts = _of_snapshot(SqliteSnapshot.facts)
    referrers = _of_snapshot(SqliteSnapshot.referrers)

    def put_fact(self, space: str, key: bytes, value: bytes | None) -> None:
        self._changed = True
        self._layer.facts[space, key] = value
        self.state.spaces.add(space)
        self._group.spaces.add(space)
        if self._layer.is_big:
            self.settled()

    # -- writing documents

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
        here = self.state.collections.get(collection) or self._collection(collection)
        live = body is not None
        # Before `_find`: it may write the layers, and what was found would be stale.
        entries = indexes.entries_of(self, here, body, value) if here.indexes else NO_ENTRIES
        if id_key > here.greatest_id:
            # The common case, kept short: nothing to look up, nothing to undo.
            here.greatest_id = id_key
            found, before, row = None, NOT_STORED, here.new_row(live)
        else:
            found = self._find(here, id_key)
            before = (found.stored_row, self._stored_entries(here, found), found.stored_mentions)
            row = found.row if live and found.live and found.row else here.new_row(live)
        names, received, lsn = (
            tuple(attachments),
            None if live else self.now_ms(),
            self.state.lsn + 1,
        )
        pending = PendingRow(
            here.number, id_key, *before, row, lsn, digest, received, body, state, names, entries
        )
        self._layer.put(pending)
        self._count(here, found, digest if live else None)

    def remove(self, collection: str, id_key: bytes) -> None:
        here = self.state.collections.get(collection)
        if here is None:
            return
        found = self._find(here, id_key)
        if found.row is None:
            return
        entries = self._stored_entries(here, found)
        self._layer.put(
            PendingRow(here.number, id_key, found.stored_row, entries, found.stored_mentions, None)
        )
        self._count(here, found, None)

    def forget_damaged(self, collection: str, id_key: bytes) -> None:
        if self.state.quarantined:
            forget(self, collection, id_key)

    def _stored_entries(self, here: CollectionState, found: PendingRow) -> Entries:
        if found.stored_entries is not None:
            return found.stored_entries
        return indexes.entries_of(self, here, found.body, None, stored=True)

    def _count(self, here: CollectionState, found: PendingRow | None, digest: int | None) -> None:
        self._changed = self._committing = True
        if here not in self._totals:
            self._totals[here] = here.totals()
        if found is not None and found.row is not None and found.live:
            here.count(found.digest, -1)
        if digest is not None:
            here.count(digest, 1)
        if self._layer.is_big:
            self.settled()

    def admit_collection(self, name: str) -> None:
        there, most = self.state.collections, self._group.most_collections
        if name not in there and len(there) >= most and shown_count(there) >= most:
            raise TooManyCollections(name, most)

    def _collection(self, name: str) -> CollectionState:
        state = self.state
        here = state.collections.get(name)
        if here is None:
            here = state.new_collection(name)
            state.touched.add(name)

            def forget() -> None:
                del state.collections[name]
                state.touched.discard(name)

            self.on_undo(forget)
        return here

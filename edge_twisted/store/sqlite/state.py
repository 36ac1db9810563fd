# SPDX-License-Identifier: Apache-2.0
"""
The writer's state in memory: replica, counters, collections with their totals, and indexes.

It belongs to the writer's thread.  A unit of work changes it as it runs, and restores it if the
unit fails.  It is saved with the physical transaction, and read again if the transaction fails.
"""

from __future__ import annotations

import json
from typing import NamedTuple

import apsw
from attrs import define, field, frozen

from edge_twisted.documents.clock import HybridClock, Timestamp
from edge_twisted.documents.versions import Replica, SiteId
from edge_twisted.store.rows import IndexDefinition, IndexInfo, IndexKey
from edge_twisted.store.sqlite.rowids import COUNT_MASK, dead_rows, live_rows

_64_BITS = (1 << 64) - 1

#: Of one collection: live documents, sum and exclusive or of their digests, the reaper's horizon.
Totals = tuple[int, int, int, int]


@frozen(kw_only=True)
class StoredIndex:
    """An index as the file has it; `progress` is None when it is complete."""

    number: int
    definition: IndexDefinition
    progress: int | None
    exact: bool

    def info(self) -> IndexInfo:
        """Return the public description of the index."""
        return IndexInfo(definition=self.definition, ready=self.progress is None, exact=self.exact)


@define(eq=False)
class CollectionState:
    """A collection: its totals, its indexes, and where its next rows go."""

    number: int
    name: str
    live: int = 0
    lsn: int = 0
    reaped_lsn: int = 0
    digest_sum: int = 0
    digest_xor: int = 0
    indexes: tuple[StoredIndex, ...] = ()
    #: Next free rows.  Numbers given to a unit that failed are not used again: a gap is harmless.
    next_live: int = 0
    next_dead: int = 0
    #: No id key here, live or dead, is above this one: a new id above it needs no look-up.
    greatest_id: bytes = b""

    def totals(self) -> Totals:
        """Return (live documents, digest sum, digest xor, lsn of the reaper's horizon)."""
        return (self.live, self.digest_sum, self.digest_xor, self.reaped_lsn)

    def restore(self, totals: Totals) -> None:
        """Set the totals to what `totals` returned earlier."""
        self.live, self.digest_sum, self.digest_xor, self.reaped_lsn = totals

    def count(self, digest: int, sign: int) -> None:
        """Count a live document with this digest that came (sign 1) or went (sign -1)."""
        self.live += sign
        # The sum may leave 64 bits until it is saved.
        self.digest_sum += sign * digest
        self.digest_xor ^= digest

    def new_row(self, live: bool) -> int:
        """Take the next free row, of a live document or of a tombstone; return its number."""
        if live:
            self.next_live += 1
            return self.next_live - 1
        self.next_dead += 1
        return self.next_dead - 1


def signed(number: int) -> int:
    """Return a number modulo 2^64 as the signed 64-bit integer that SQLite keeps."""
    number &= _64_BITS
    return number - (1 << 64) if number >> 63 else number


class QuarantinedRow(NamedTuple):
    """A document in quarantine: the row that it had, and its digest, which may be damaged too."""

    row: int
    digest: int


@define(eq=False)
class WriterState:
    """The state of one file, as its writer keeps it in memory."""

    replica: Replica
    sequence: int
    clock: HybridClock
    lsn: int
    catalog: int
    collections: dict[str, CollectionState] = field(factory=dict)
    next_collection: int = 1
    next_index: int = 1
    #: Names of the collections whose totals are not saved yet.
    touched: set[str] = field(factory=set)
    #: Documents in quarantine, by (collection number, id key).
    quarantined: dict[tuple[int, bytes], QuarantinedRow] = field(factory=dict)
    #: Spaces that may hold facts; no fact is looked up in any other.
    spaces: set[str] = field(factory=set)

    @classmethod
    def load(cls, connection: apsw.Connection) -> WriterState:
        """
        Return the state of an open file, read from it: a line for each collection and index.

        :raises apsw.Error: the file cannot be read; for a block of `translating`.
        """
        site, epoch, sequence, clock, lsn, catalog = connection.execute(
            "SELECT site, epoch, sequence, clock, lsn, catalog FROM site"
        ).get
        state = cls(
            replica=Replica(SiteId(site), epoch),
            sequence=sequence,
            clock=HybridClock(Timestamp(clock)),
            lsn=lsn,
            catalog=catalog,
        )
        for row in connection.execute(
            "SELECT number, name, live, lsn, reaped_lsn, digest_sum, digest_xor FROM collections"
            " ORDER BY number"
        ):
            collection = CollectionState(*row)
            _find_ends(connection, collection)
            collection.indexes = read_indexes(connection, collection)
            state.collections[collection.name] = collection
            state.next_collection = max(state.next_collection, collection.number + 1)
        _load_quarantine(connection, state)
        state.spaces = _spaces(connection)
        newest = connection.execute("SELECT max(number) FROM indexes").get
        state.next_index = (newest or 0) + 1
        return state

    def new_collection(self, name: str) -> CollectionState:
        """Begin and return a collection of this name, which `save` writes if it is in `touched`."""
        number = self.next_collection
        self.next_collection += 1
        collection = CollectionState(
            number, name, next_live=live_rows(number)[0], next_dead=dead_rows(number)[0]
        )
        self.collections[name] = collection
        self.catalog += 1
        return collection

    def save(self, connection: apsw.Connection) -> None:
        """
        Write what has changed since the last call, inside the physical transaction.

        That is progress and clock, and the totals of the collections in `touched`.
        """
        if self.touched:
            changed = [self.collections[name] for name in self.touched]
            for collection in changed:
                collection.digest_sum = signed(collection.digest_sum)
            connection.executemany(
                "INSERT INTO collections"
                " (number, name, live, lsn, reaped_lsn, digest_sum, digest_xor)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (number) DO UPDATE SET live = excluded.live, lsn = excluded.lsn,"
                " reaped_lsn = excluded.reaped_lsn, digest_sum = excluded.digest_sum,"
                " digest_xor = excluded.digest_xor",
                [
                    (c.number, c.name, c.live, c.lsn, c.reaped_lsn, c.digest_sum, c.digest_xor)
                    for c in changed
                ],
            )
        connection.execute(
            "UPDATE site SET epoch = ?, sequence = ?, clock = ?, lsn = ?, catalog = ?",
            (self.replica.epoch, self.sequence, self.clock.last, self.lsn, self.catalog),
        )


def read_indexes(
    connection: apsw.Connection, collection: CollectionState
) -> tuple[StoredIndex, ...]:
    """Return the indexes of a collection from the file, by name, without dropped ones."""
    return tuple(
        StoredIndex(
            number=number,
            definition=IndexDefinition(
                collection=collection.name,
                name=name,
                keys=tuple(IndexKey(path=tuple(p), direction=d) for p, d in json.loads(keys)),
                include_missing=bool(include_missing),
            ),
            progress=progress,
            exact=bool(exact),
        )
        for number, name, keys, include_missing, progress, exact in connection.execute(
            "SELECT number, name, keys, include_missing, progress, exact FROM indexes"
            " WHERE collection = ? AND NOT dropped ORDER BY name",
            (collection.number,),
        )
    )


def _spaces(connection: apsw.Connection) -> set[str]:
    """Return the spaces of facts: few, each with up to a million."""
    found: set[str] = set()
    space: str | None = ""
    while space is not None:
        found.add(space)
        space = connection.execute("SELECT min(space) FROM facts WHERE space > ?", (space,)).get
    return found


def _load_quarantine(connection: apsw.Connection, state: WriterState) -> None:
    """Read the quarantine: its rows are not free, and its ids count for `greatest_id`."""
    numbered = {each.number: each for each in state.collections.values()}
    for number, id_key, row, digest in connection.execute(
        "SELECT collection, id, row, digest FROM quarantine"
    ):
        state.quarantined[number, id_key] = QuarantinedRow(row, digest)
        collection = numbered.get(number)
        if collection is None:
            continue
        collection.greatest_id = max(collection.greatest_id, id_key)
        if row <= live_rows(number)[1]:
            collection.next_live = max(collection.next_live, row + 1)
        else:
            collection.next_dead = max(collection.next_dead, row + 1)


def _find_ends(connection: apsw.Connection, collection: CollectionState) -> None:
    for live, (first, last) in (
        (True, live_rows(collection.number)),
        (False, dead_rows(collection.number)),
    ):
        highest = connection.execute(
            "SELECT max(row) FROM documents WHERE row BETWEEN ? AND ?", (first, last)
        ).get
        following = first if highest is None else highest + 1
        assert following & COUNT_MASK or following == first, "a collection ran out of rows"
        if live:
            collection.next_live = following
        else:
            collection.next_dead = following
    greatest = connection.execute(
        "SELECT max(id) FROM documents WHERE collection = ?", (collection.number,)
    ).get
    collection.greatest_id = greatest if greatest is not None else b""

# SPDX-License-Identifier: Apache-2.0
"""Snapshots: reads of one consistent state of the file, over a connection with a transaction."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any
from zlib import crc32

import apsw

from edge_twisted.documents.keys import after as above
from edge_twisted.documents.versions import VersionVector
from edge_twisted.store import epochs
from edge_twisted.store.errors import StoreError, UnknownIndex
from edge_twisted.store.fields import Fields
from edge_twisted.store.hidden import PREFIX, PREFIX_END
from edge_twisted.store.index_read import IndexRead
from edge_twisted.store.prefilter import Prefilter
from edge_twisted.store.rows import (
    BodyRow,
    Census,
    ChangeBatch,
    CollectionInfo,
    IndexInfo,
    ReadLimit,
    ScanRow,
    StoredDocument,
    fingerprint,
    never,
)
from edge_twisted.store.sqlite import scans
from edge_twisted.store.sqlite.checksums import BODY_HALF, is_body_whole, is_whole
from edge_twisted.store.sqlite.connection import UNREADABLE, is_unreadable
from edge_twisted.store.sqlite.damage import DamageReporter
from edge_twisted.store.sqlite.log import changes_after
from edge_twisted.store.sqlite.rowids import dead_rows, live_rows
from edge_twisted.store.sqlite.selection import TEXT
from edge_twisted.store.sqlite.state import CollectionState, StoredIndex, read_indexes

_GET = f"SELECT lsn, {TEXT}, state, digest, checksum FROM documents WHERE collection = ? AND id = ?"
_BODY = f"SELECT {TEXT}, checksum FROM documents WHERE collection = ? AND id = ?"
#: Collections that are shown, and hidden ones; with `_SPAN` as bindings.
_SHOWN = "NOT (name >= ? AND name < ?)"
_HIDDEN = "name >= ? AND name < ?"
_SPAN = (PREFIX, PREFIX_END)
_INFO = "SELECT name, live, lsn, reaped_lsn, digest_sum, digest_xor FROM collections"

_NOTHING = "SELECT 1 WHERE 0"

#: Ids looked up between two looks at whether the read was cancelled.
_LOOKUPS = 64


class SqliteSnapshot:
    """
    A `edge_twisted.store.interface.Snapshot` over a connection in a read transaction.

    SQLite's errors leave it as the store's errors.  The owner ends it by `finish`, before the
    transaction; iterators that are still open fail from then on.

    :param number_of: returns the number of a collection, None if it does not exist.
    :param what: names the read in errors.
    :param cancelled: returns whether the caller has given up; asked between batches.
    :param damage: makes and reports the errors of damaged bytes.
    """

    def __init__(
        self,
        connection: apsw.Connection,
        number_of: Callable[[str], int | None],
        what: str,
        cancelled: Callable[[], bool] = never,
        damage: DamageReporter | None = None,
    ) -> None:
        self._connection = connection
        self._number_of = number_of
        self._what = what
        self._damage = damage or DamageReporter()
        self.cursors = scans.Cursors(connection, what, cancelled, self._damage)
        self._point = connection.cursor()
        self._site: tuple[int, int] | None = None
        #: Whether definitions of indexes are kept for later transactions of this object, until the
        #: catalog's version changes.  Not for a unit of work, which changes the indexes first.
        self.keeps_indexes = False
        self._indexes: dict[str, tuple[int, Sequence[StoredIndex]]] = {}

    @property
    def connection(self) -> apsw.Connection:
        """The connection, for SQL of other modules of this store."""
        return self._connection

    def finish(self) -> None:
        """Close all cursors, so that the owner of the connection can end the transaction."""
        self.cursors.finish()
        self._point.close(True)

    def renew(self) -> None:
        """Close all iterators and forget lsn and catalog version, for the next transaction."""
        self.cursors.close()
        self._site = None

    def check_cancelled(self) -> None:
        self.cursors.check_cancelled()

    def _one(self, sql: str, bindings: Sequence[Any] = ()) -> Any:
        try:
            return self._point.execute(sql, bindings).get
        except apsw.Error as error:
            raise self._damage.translated(self._what, error) from error

    def _all(self, sql: str, bindings: Sequence[Any] = ()) -> list[Any]:
        try:
            return self._point.execute(sql, bindings).fetchall()
        except apsw.Error as error:
            raise self._damage.translated(self._what, error) from error

    @property
    def lsn(self) -> int:
        return (self._site or self._progress())[0]

    @property
    def catalog_version(self) -> int:
        return (self._site or self._progress())[1]

    def _progress(self) -> tuple[int, int]:
        if self._site is None:
            try:
                self._site = self._point.execute("SELECT lsn, catalog FROM site").get
            except apsw.Error as error:
                raise self._damage.translated(self._what, error) from error
        return self._site

    @property
    def written(self) -> VersionVector:
        last = epochs.last_of(*self._one("SELECT site, epoch, sequence FROM site"))
        return epochs.written(self, last)

    # -- documents

    def get(self, collection: str, id_key: bytes) -> StoredDocument | None:
        number = self._number_of(collection)
        if number is None:
            return None
        try:
            row = self._point.execute(_GET, (number, id_key)).get
        except UNREADABLE as error:
            raise self._unread(collection, id_key, error) from error
        if row is None:
            return None
        lsn, body, state, digest, checksum = row
        if not is_whole(checksum, id_key, digest, body, state):
            raise self._damage.document(collection, id_key)
        return StoredDocument(id_key, lsn, body, state, digest)

    def body(self, collection: str, id_key: bytes) -> bytes | None:
        number = self._number_of(collection)
        if number is None:
            return None
        try:
            row = self._point.execute(_BODY, (number, id_key)).get
        except UNREADABLE as error:
            raise self._unread(collection, id_key, error) from error
        if row is None:
            return None
        body: bytes | None
        body, checksum = row
        # `is_body_whole`, without its calls for what is read most often.
        if body is not None and checksum is not None:
            if checksum & BODY_HALF == crc32(body, crc32(id_key)):
                return body
        elif is_body_whole(checksum, id_key, body):
            return body
        raise self._damage.document(collection, id_key)

    def _unread(
        self, collection: str, id_key: bytes, error: apsw.Error | UnicodeDecodeError
    ) -> StoreError:
        """Return the store's error for SQLite's while it read a document, and report damage."""
        if is_unreadable(error):
            return self._damage.document(collection, id_key)
        return self._damage.translated(self._what, error)

    def damaged(self, collection: str, id_key: bytes) -> int | None:
        number = self._number_of(collection) if self._damage.any_quarantined else None
        if number is None:
            return None
        digest: int | None = self._one(
            "SELECT digest FROM quarantine WHERE collection = ? AND id = ?", (number, id_key)
        )
        return digest

    def bodies(self, collection: str, id_keys: Sequence[bytes]) -> Iterator[list[ScanRow]]:
        for begin in range(0, len(id_keys), _LOOKUPS):
            self.check_cancelled()
            batch = []
            for id_key in id_keys[begin : begin + _LOOKUPS]:
                body = self.body(collection, id_key)
                if body is not None:
                    batch.append((id_key, body))
            if batch:
                yield batch

    def scan(
        self, collection: str, prefilter: Prefilter | None = None, fields: Fields | None = None
    ) -> Iterator[list[ScanRow]]:
        number = self._number_of(collection)
        return iter(()) if number is None else scans.scan(self.cursors, number, prefilter, fields)

    def count(self, collection: str, prefilter: Prefilter) -> int:
        number = self._number_of(collection)
        return 0 if number is None else scans.count(self.cursors, number, prefilter)

    def digests(
        self, collection: str, *, tombstones: bool = False
    ) -> Iterator[list[tuple[bytes, int]]]:
        number = self._number_of(collection)
        if number is None:
            return iter(())
        # Tombstones have the rows behind those of live documents.
        first, last = live_rows(number)
        last = dead_rows(number)[1] if tombstones else last
        return self.cursors.batches(
            "SELECT id, digest FROM documents WHERE row BETWEEN ? AND ?", (first, last)
        )

    # -- indexes

    def indexes(self, collection: str) -> Sequence[IndexInfo]:
        return [index.info() for index in self._stored_indexes(collection)]

    def _stored_indexes(self, collection: str) -> Sequence[StoredIndex]:
        known = self._indexes.get(collection)
        if known is not None and known[0] == (self._site or self._progress())[1]:
            return known[1]
        number = self._number_of(collection)
        if number is None:
            return ()
        try:
            found = read_indexes(self._connection, CollectionState(number, collection))
        except apsw.Error as error:
            raise self._damage.translated(self._what, error) from error
        if self.keeps_indexes:
            self._indexes[collection] = self.catalog_version, found
        return found

    def _ready_index(self, collection: str, name: str) -> int:
        for index in self._stored_indexes(collection):
            if index.definition.name == name and index.progress is None:
                return index.number
        raise UnknownIndex(f"{collection}.{name}")

    def index_bodies(self, read: IndexRead) -> Iterator[list[BodyRow]]:
        number = self._ready_index(read.collection, read.name)
        return scans.index_bodies(self.cursors, number, read)

    def index_texts(
        self, read: IndexRead, most: ReadLimit, first: int | None = None
    ) -> list[bytes] | None:
        number = self._ready_index(read.collection, read.name)
        try:
            return scans.index_texts(self._point, number, read, most, first)
        except UNREADABLE as error:
            raise self._damage.translated(self._what, error) from error
        finally:
            # A statement with rows left would keep SQLite's read transaction open: replace it.
            self._point.execute(_NOTHING)

    def index_ids(self, read: IndexRead) -> Iterator[list[bytes]]:
        number = self._ready_index(read.collection, read.name)
        return scans.index_ids(self.cursors, number, read.spans)

    def index_count(self, read: IndexRead) -> int:
        number = self._ready_index(read.collection, read.name)
        return scans.index_count(self.cursors, number, read)

    # -- collections and the log

    def collection(self, name: str) -> CollectionInfo | None:
        row = self._one(f"{_INFO} WHERE name = ?", (name,))
        return None if row is None else _info(*row)

    def collections(self, *, hidden: bool = False) -> Sequence[CollectionInfo]:
        which = _HIDDEN if hidden else _SHOWN
        return [_info(*row) for row in self._all(f"{_INFO} WHERE {which} ORDER BY name", _SPAN)]

    def census(self, largest: int) -> Census:
        collections, documents = self._one(
            f"SELECT count(*), coalesce(sum(live), 0) FROM collections WHERE {_SHOWN}", _SPAN
        )
        found = self._all(
            f"SELECT name, live FROM collections WHERE {_SHOWN} ORDER BY live DESC, name LIMIT ?",
            (*_SPAN, largest),
        )
        return Census(collections=collections, documents=documents, largest=found)

    def changes_after(
        self,
        lsn: int,
        collections: Collection[str] | None = None,
        *,
        limit: int = 1000,
        limit_bytes: int = 1 << 20,
    ) -> ChangeBatch:
        if collections is None:
            changed = self._all("SELECT number, name FROM collections WHERE lsn > ?", (lsn,))
        else:
            # Look the names up one by one: the table of collections may be long, and every
            # stream of the mesh asks for a single collection.
            numbered = [(self._number_of(name), name) for name in collections]
            changed = sorted((number, name) for number, name in numbered if number is not None)
        span = (lsn, self.lsn)
        return changes_after(self.cursors, changed, span, (limit, limit_bytes))

    # -- facts and attachments

    def fact(self, space: str, key: bytes) -> bytes | None:
        value: bytes | None = self._one(
            "SELECT value FROM facts WHERE space = ? AND key = ?", (space, key)
        )
        return value

    def facts(
        self, space: str, prefix: bytes = b"", *, after: bytes | None = None, limit: int = 1000
    ) -> Sequence[tuple[bytes, bytes]]:
        # A caller that reads page after page can be stopped here, between two pages.
        self.check_cancelled()
        low = prefix if after is None else max(prefix, after + b"\x00")
        high = above(prefix)
        condition = "space = ? AND key >= ?" + (" AND key < ?" if high is not None else "")
        bindings = (space, low) if high is None else (space, low, high)
        return self._all(
            f"SELECT key, value FROM facts WHERE {condition} ORDER BY key LIMIT ?",
            (*bindings, limit),
        )

    def referrers(
        self, attachment: str, *, limit: int = 1000, hidden: bool = False
    ) -> Sequence[tuple[str, bytes]]:
        among = "" if hidden else f" AND {_SHOWN}"
        span = () if hidden else _SPAN
        tables = ("documents", "quarantine") if self._damage.any_quarantined else ("documents",)
        found: list[tuple[str, bytes]] = []
        for table in tables:
            found += self._all(
                f"SELECT name, id FROM mentions CROSS JOIN {table} USING (row) JOIN collections"
                f" ON number = collection WHERE attachment = ?{among} ORDER BY row LIMIT ?",
                (attachment, *span, limit - len(found)),
            )
        return found


def _info(
    name: str, live: int, lsn: int, reaped_lsn: int, digest_sum: int, digest_xor: int
) -> CollectionInfo:
    return CollectionInfo(
        name=name,
        count=live,
        lsn=lsn,
        reaped_lsn=reaped_lsn,
        fingerprint=fingerprint(digest_sum, digest_xor),
    )

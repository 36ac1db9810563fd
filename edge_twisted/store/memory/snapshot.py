# SPDX-License-Identifier: Apache-2.0
"""Snapshots in memory: each read looks at everything."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import islice
from typing import TypeVar

from edge_twisted.documents.json_text import from_text
from edge_twisted.documents.versions import Dot, VersionVector
from edge_twisted.store import epochs
from edge_twisted.store.errors import ReadCancelled, UnknownIndex
from edge_twisted.store.fields import Fields, row_of
from edge_twisted.store.hidden import is_hidden
from edge_twisted.store.index_read import IndexRead
from edge_twisted.store.keys import entry
from edge_twisted.store.memory import data as kept
from edge_twisted.store.prefilter import Prefilter, holds
from edge_twisted.store.rows import (
    BodyRow,
    ByteRange,
    Census,
    Change,
    ChangeBatch,
    CollectionInfo,
    IndexInfo,
    ReadLimit,
    ScanRow,
    StoredDocument,
    census_of,
    never,
    whole_commits,
)

T = TypeVar("T")

_BATCH_ROWS = 256


class MemorySnapshot:
    """A `edge_twisted.store.interface.Snapshot` of `kept.Data`."""

    def __init__(self, data: kept.Data, name: str, cancelled: Callable[[], bool] = never) -> None:
        self._data = data
        self._name = name
        self._cancelled = cancelled

    @property
    def lsn(self) -> int:
        return self._data.lsn

    @property
    def catalog_version(self) -> int:
        return self._data.catalog

    @property
    def written(self) -> VersionVector:
        last = Dot(self._data.replica, self._data.sequence)
        return epochs.written(self, last)

    def check_cancelled(self) -> None:
        if self._cancelled():
            raise ReadCancelled(self._name)

    def _batches(self, rows: Iterable[T]) -> Iterator[list[T]]:
        iterator = iter(rows)
        while batch := list(islice(iterator, _BATCH_ROWS)):
            self.check_cancelled()
            yield batch

    # -- documents

    def get(self, collection: str, id_key: bytes) -> StoredDocument | None:
        here = self._data.collections.get(collection)
        row = here.rows.get(id_key) if here else None
        return row.document if row else None

    def body(self, collection: str, id_key: bytes) -> bytes | None:
        document = self.get(collection, id_key)
        return document.body if document else None

    def damaged(self, collection: str, id_key: bytes) -> int | None:
        # Memory does not rot.
        return None

    def bodies(self, collection: str, id_keys: Sequence[bytes]) -> Iterator[list[ScanRow]]:
        found = [(id_key, self.body(collection, id_key)) for id_key in id_keys]
        return self._batches((id_key, body) for id_key, body in found if body is not None)

    def scan(
        self, collection: str, prefilter: Prefilter | None = None, fields: Fields | None = None
    ) -> Iterator[list[ScanRow]]:
        return self._batches(
            [
                (id_key, body if fields is None else row_of(body, fields))
                for id_key, body, _ in self._live(collection)
                if prefilter is None or holds(prefilter, from_text(body))
            ]
        )

    def count(self, collection: str, prefilter: Prefilter) -> int:
        return sum(map(len, self.scan(collection, prefilter)))

    def digests(
        self, collection: str, *, tombstones: bool = False
    ) -> Iterator[list[tuple[bytes, int]]]:
        here = self._data.collections.get(collection)
        documents = [row.document for row in here.rows.values()] if here else []
        return self._batches(
            [(doc.id_key, doc.digest) for doc in documents if tombstones or doc.body is not None]
        )

    def _live(self, collection: str) -> Iterable[tuple[bytes, bytes, StoredDocument]]:
        here = self._data.collections.get(collection)
        return here.live() if here else ()

    # -- indexes

    def indexes(self, collection: str) -> Sequence[IndexInfo]:
        here = self._data.collections.get(collection)
        return [here.indexes[name] for name in sorted(here.indexes)] if here else []

    def index_bodies(self, read: IndexRead) -> Iterator[list[BodyRow]]:
        rows = self._entries(read)
        prefilter, fields = read.prefilter, read.fields
        bodies = [
            (body if fields is None else row_of(body, fields),)
            for _, _, body in rows
            if prefilter is None or holds(prefilter, from_text(body))
        ]
        return self._batches(reversed(bodies) if read.descending else bodies)

    def index_texts(
        self, read: IndexRead, most: ReadLimit, first: int | None = None
    ) -> list[bytes] | None:
        texts = [body for batch in self.index_bodies(read) for (body,) in batch][:first]
        fits = len(texts) <= most.rows and sum(map(len, texts)) <= most.size
        return texts if fits else None

    def index_ids(self, read: IndexRead) -> Iterator[list[bytes]]:
        return self._batches([id_key for _, id_key, _ in self._entries(read)])

    def index_count(self, read: IndexRead) -> int:
        return sum(map(len, self.index_bodies(read)))

    def _entries(self, read: IndexRead) -> list[tuple[bytes, bytes, bytes]]:
        """Return (index key, id key, body) of what the spans of a read hold, by index key."""
        here = self._data.collections.get(read.collection)
        info = here.indexes.get(read.name) if here else None
        if info is None:
            raise UnknownIndex(f"{read.collection}.{read.name}")
        keyed = (
            (entry(info.definition, from_text(body)), id_key, body)
            for id_key, body, _ in self._live(read.collection)
        )
        return sorted(
            (key, id_key, body)
            for key, id_key, body in keyed
            if key is not None and any(_within(key, span) for span in read.spans)
        )

    # -- collections and the log

    def collection(self, name: str) -> CollectionInfo | None:
        here = self._data.collections.get(name)
        return here.info() if here else None

    def collections(self, *, hidden: bool = False) -> Sequence[CollectionInfo]:
        names = sorted(name for name in self._data.collections if is_hidden(name) is hidden)
        return [self._data.collections[name].info() for name in names]

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
        changed = sorted(
            (row.document.lsn, here.name, row.document)
            for here in self._data.collections.values()
            if collections is None or here.name in collections
            for row in here.rows.values()
            if row.document.lsn > lsn
        )
        changes = (Change(name, document) for _, name, document in changed)
        return whole_commits(changes, (lsn, self.lsn), (limit, limit_bytes))

    # -- facts and attachments

    def fact(self, space: str, key: bytes) -> bytes | None:
        return self._data.facts.get((space, key))

    def facts(
        self, space: str, prefix: bytes = b"", *, after: bytes | None = None, limit: int = 1000
    ) -> Sequence[tuple[bytes, bytes]]:
        found = [
            (key, value)
            for (owner, key), value in self._data.facts.items()
            if owner == space and key.startswith(prefix) and (after is None or key > after)
        ]
        return sorted(found)[:limit]

    def referrers(
        self, attachment: str, *, limit: int = 1000, hidden: bool = False
    ) -> Sequence[tuple[str, bytes]]:
        return [
            (here.name, id_key)
            for here in self._data.collections.values()
            if hidden or not is_hidden(here.name)
            for id_key, row in here.rows.items()
            if attachment in row.attachments
        ][:limit]


def _within(key: bytes, span: ByteRange) -> bool:
    return span.low <= key and (span.high is None or key < span.high)

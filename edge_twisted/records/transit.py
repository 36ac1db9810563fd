# SPDX-License-Identifier: Apache-2.0
"""
Documents in transit: kept for neighbours, in a hidden collection beside the one that users see.

An id is in a collection or in the hidden one beside it (`edge_twisted.store.hidden`), never in
both: a statement that makes a document of an id in transit merges the two (`DocumentWriter`).
Facts about documents in transit are under the name of the hidden collection.  `join_transit` shows
both as one collection to reads for peers: what is known of the two is known of the one.

A `DropMark` tells how far the documents of a hidden collection were dropped to make room.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from struct import Struct
from typing import Final, NamedTuple

from attrs import evolve

from edge_twisted.documents.versions import (
    NO_VERSION,
    VersionVector,
    decode_vector,
    encode_vector,
)
from edge_twisted.records.evictions import Evictions, prefix_of
from edge_twisted.records.facts import (
    EVICTED,
    EVICTIONS,
    INITIAL_DELETES,
    KNOWLEDGE,
    REAPED,
    REAPED_FOLDED,
    TRANSIT_BLOBS,
    TRANSIT_DROPPED,
)
from edge_twisted.records.folded_deletes import FoldedDeletes
from edge_twisted.store.fields import Fields
from edge_twisted.store.hidden import PREFIX_BYTES, hidden_name, shown_name
from edge_twisted.store.index_read import IndexRead
from edge_twisted.store.interface import Snapshot, UnitOfWork
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
)

_DROPPED: Final = Struct(">qq")
_HALVES: Final = Struct(">QQ")
_WORD: Final = (1 << 64) - 1
#: Spaces with a version vector for a collection, a document or a bucket: the two are joined.
_VECTORS: Final = frozenset({KNOWLEDGE, REAPED, REAPED_FOLDED, EVICTED})


class DropMark(NamedTuple):
    """
    How far a hidden collection was dropped: newest commit of a document, and of a tombstone.

    Whoever has read less far may lack something that is not here any more.
    """

    lsn: int = 0
    tombstone_lsn: int = 0

    @classmethod
    def of(cls, snapshot: Snapshot, collection: str) -> DropMark:
        """Return how far the collection that is hidden beside this one was dropped."""
        fact = snapshot.fact(TRANSIT_DROPPED, prefix_of(hidden_name(collection)))
        return cls() if fact is None else cls(*_DROPPED.unpack(fact))

    def store(self, unit: UnitOfWork, collection: str) -> None:
        """Remember this."""
        unit.put_fact(TRANSIT_DROPPED, prefix_of(hidden_name(collection)), _DROPPED.pack(*self))


def join_transit(snapshot: Snapshot) -> Snapshot:
    """Return a snapshot that shows each collection with the documents in transit in it."""
    return _JoinedSnapshot(snapshot)


class _JoinedSnapshot:
    """
    The snapshot of `join_transit`.

    Indexes and `bodies` are of the shown collection alone: peers are not answered from them.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    @property
    def lsn(self) -> int:
        return self._snapshot.lsn

    @property
    def catalog_version(self) -> int:
        return self._snapshot.catalog_version

    @property
    def written(self) -> VersionVector:
        return self._snapshot.written

    def check_cancelled(self) -> None:
        self._snapshot.check_cancelled()

    # -- documents

    def get(self, collection: str, id_key: bytes) -> StoredDocument | None:
        found = self._snapshot.get(collection, id_key)
        return self._snapshot.get(hidden_name(collection), id_key) if found is None else found

    def body(self, collection: str, id_key: bytes) -> bytes | None:
        found = self.get(collection, id_key)
        return None if found is None else found.body

    def damaged(self, collection: str, id_key: bytes) -> int | None:
        found = self._snapshot.damaged(collection, id_key)
        return self._snapshot.damaged(hidden_name(collection), id_key) if found is None else found

    def bodies(self, collection: str, id_keys: Sequence[bytes]) -> Iterator[list[ScanRow]]:
        return self._snapshot.bodies(collection, id_keys)

    def scan(
        self, collection: str, prefilter: Prefilter | None = None, fields: Fields | None = None
    ) -> Iterator[list[ScanRow]]:
        yield from self._snapshot.scan(collection, prefilter, fields)
        yield from self._snapshot.scan(hidden_name(collection), prefilter, fields)

    def count(self, collection: str, prefilter: Prefilter) -> int:
        hidden = self._snapshot.count(hidden_name(collection), prefilter)
        return self._snapshot.count(collection, prefilter) + hidden

    def digests(
        self, collection: str, *, tombstones: bool = False
    ) -> Iterator[list[tuple[bytes, int]]]:
        yield from self._snapshot.digests(collection, tombstones=tombstones)
        yield from self._snapshot.digests(hidden_name(collection), tombstones=tombstones)

    # -- indexes

    def indexes(self, collection: str) -> Sequence[IndexInfo]:
        return self._snapshot.indexes(collection)

    def index_bodies(self, read: IndexRead) -> Iterator[list[BodyRow]]:
        return self._snapshot.index_bodies(read)

    def index_texts(
        self, read: IndexRead, most: ReadLimit, first: int | None = None
    ) -> list[bytes] | None:
        return self._snapshot.index_texts(read, most, first)

    def index_ids(self, read: IndexRead) -> Iterator[list[bytes]]:
        return self._snapshot.index_ids(read)

    def index_count(self, read: IndexRead) -> int:
        return self._snapshot.index_count(read)

    # -- collections and the log

    def collection(self, name: str) -> CollectionInfo | None:
        shown = self._snapshot.collection(name)
        hidden = self._snapshot.collection(hidden_name(name))
        if hidden is None:
            return shown
        reaped = max(hidden.reaped_lsn, DropMark.of(self._snapshot, name).tombstone_lsn)
        if shown is None:
            return evolve(hidden, name=name, reaped_lsn=reaped)
        return CollectionInfo(
            name=name,
            count=shown.count + hidden.count,
            lsn=max(shown.lsn, hidden.lsn),
            reaped_lsn=max(shown.reaped_lsn, reaped),
            fingerprint=_sum_of(shown.fingerprint, hidden.fingerprint),
        )

    def collections(self, *, hidden: bool = False) -> Sequence[CollectionInfo]:
        return self._snapshot.collections(hidden=hidden)

    def census(self, largest: int) -> Census:
        return self._snapshot.census(largest)

    def changes_after(
        self,
        lsn: int,
        collections: Collection[str] | None = None,
        *,
        limit: int = 1000,
        limit_bytes: int = 1 << 20,
    ) -> ChangeBatch:
        names = None
        if collections is not None:
            names = [name for each in collections for name in (each, hidden_name(each))]
        batch = self._snapshot.changes_after(lsn, names, limit=limit, limit_bytes=limit_bytes)
        changes = [
            change._replace(collection=shown_name(change.collection)) for change in batch.changes
        ]
        return evolve(batch, changes=tuple(changes))

    # -- facts

    def fact(self, space: str, key: bytes) -> bytes | None:
        shown = self._snapshot.fact(space, key)
        if space not in _VECTORS and space not in (EVICTIONS, INITIAL_DELETES):
            return shown
        hidden = self._snapshot.fact(space, PREFIX_BYTES + key)
        if hidden is None:
            return shown
        if space == EVICTIONS:
            found = Evictions() if shown is None else Evictions.decode(shown)
            return found.join(Evictions.decode(hidden)).encode()
        if shown is None:
            return hidden
        if space == REAPED_FOLDED:
            folded = FoldedDeletes.decode(shown)
            return folded.join(FoldedDeletes.decode(hidden)).encode()
        return encode_vector(decode_vector(shown).join(decode_vector(hidden)))

    def facts(
        self, space: str, prefix: bytes = b"", *, after: bytes | None = None, limit: int = 1000
    ) -> Sequence[tuple[bytes, bytes]]:
        found = self._snapshot.facts(space, prefix, after=after, limit=limit)
        if not found and space in _VECTORS and prefix and after is None:
            return self._snapshot.facts(space, PREFIX_BYTES + prefix, limit=limit)
        return found

    def referrers(
        self, attachment: str, *, limit: int = 1000, hidden: bool = False
    ) -> Sequence[tuple[str, bytes]]:
        return self._snapshot.referrers(attachment, limit=limit, hidden=hidden)


def _sum_of(one: bytes, other: bytes) -> bytes:
    """Return the fingerprint of two sets without a common document together."""
    (sum_1, xor_1), (sum_2, xor_2) = _HALVES.unpack(one), _HALVES.unpack(other)
    return _HALVES.pack((sum_1 + sum_2) & _WORD, xor_1 ^ xor_2)


def home_of(snapshot: Snapshot, collection: str, id_key: bytes) -> str:
    """Return the collection, hidden or not, that has a document of this id; else this one."""
    if snapshot.get(collection, id_key) is None:
        hidden = hidden_name(collection)
        if snapshot.get(hidden, id_key) is not None:
            return hidden
    return collection


def collections_of_blob(snapshot: Snapshot, blob: str) -> list[str]:
    """Return the collections of dropped documents that named a blob."""
    prefix = PREFIX_BYTES + blob.encode() + b"\x00"
    return [key[len(prefix) :].decode() for key, _ in snapshot.facts(TRANSIT_BLOBS, prefix)]


def was_dropped(snapshot: Snapshot, collection: str, id_key: bytes) -> bool:
    """Return whether a document was in transit once, and dropped, and has not come back."""
    hidden = hidden_name(collection)
    if snapshot.fact(EVICTED, prefix_of(hidden) + id_key) is not None:
        return True
    found = Evictions.of(snapshot, hidden)
    return found.folded and found.vector != NO_VERSION

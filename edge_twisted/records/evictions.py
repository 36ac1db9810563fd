# SPDX-License-Identifier: Apache-2.0
"""
Facts about documents that were removed from this server: evictions, and deletes of INITIAL ones.

EVICT leaves no tombstone, so sync, which must tell a deleted document from an unknown one, needs a
fact that the document was evicted.  An eviction also drops the cursors of the collection, because
a cursor says that all documents before it are here.
A document of INITIAL has no writer whose version could show that its deletion is known.  So each
such deletion is a fact of its own, and is kept forever; otherwise the document would come back.

The spaces of these facts are in `edge_twisted.records.facts`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import product
from typing import Final

import msgspec.msgpack
from attrs import evolve, frozen
from twisted.logger import Logger

from edge_twisted.documents.headers import INITIAL_EPOCH, read_header, without_initial
from edge_twisted.documents.versions import (
    NO_VERSION,
    Dot,
    VersionVector,
    decode_vector,
    encode_vector,
)
from edge_twisted.records.facts import (
    ACKNOWLEDGED,
    BASES,
    CURSORS,
    EVICTED,
    EVICTIONS,
    INITIAL_DELETES,
)
from edge_twisted.store.errors import shown_id
from edge_twisted.store.hidden import hidden_name, shown_name
from edge_twisted.store.interface import Snapshot, UnitOfWork
from edge_twisted.store.rows import StoredDocument

log = Logger()


#: Evicted documents of a collection that have a fact each, of about 50 bytes.  With more of them,
#: some deletes of long ago can no longer be told from evictions.
MOST_EVICTED: Final = 100_000

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[int, int, bool, bytes]).decode


def prefix_of(collection: str) -> bytes:
    """Return how the keys of a collection's facts begin: its name in UTF-8, and a zero byte."""
    return collection.encode("utf-8", "surrogatepass") + b"\x00"


@frozen(kw_only=True)
class Evictions:
    """
    The evictions of one collection that have not come back.

    :ivar generation: grows with each EVICT.
    :ivar count: documents that have a fact of their own.
    :ivar folded: there were too many documents for facts; `vector` alone covers the others.
    :ivar vector: covers the versions of all evicted documents.
    """

    generation: int = 0
    count: int = 0
    folded: bool = False
    vector: VersionVector = NO_VERSION

    @classmethod
    def of(cls, snapshot: Snapshot, collection: str) -> Evictions:
        """Return the evictions of a collection from their fact; those of none without a fact."""
        fact = snapshot.fact(EVICTIONS, prefix_of(collection))
        return cls() if fact is None else cls.decode(fact)

    @classmethod
    def decode(cls, fact: bytes) -> Evictions:
        """Return the evictions that `encode` made `fact` of."""
        generation, count, folded, vector = _decode(fact)
        return cls(generation=generation, count=count, folded=folded, vector=decode_vector(vector))

    def encode(self) -> bytes:
        """Return the fact's value: MessagePack of [generation, count, folded, encoded vector]."""
        vector = encode_vector(self.vector)
        return _encode([self.generation, self.count, self.folded, vector])

    def join(self, other: Evictions) -> Evictions:
        """Return the evictions of two collections, shown and hidden, that peers see as one."""
        return Evictions(
            generation=self.generation + other.generation,
            count=self.count + other.count,
            folded=self.folded or other.folded,
            vector=self.vector.join(other.vector),
        )

    def store(self, unit: UnitOfWork, collection: str) -> None:
        """Store the evictions as the fact of a collection."""
        unit.put_fact(EVICTIONS, prefix_of(collection), self.encode())

    def covers(
        self, snapshot: Snapshot, collection: str, id_key: bytes, version: VersionVector
    ) -> bool:
        """
        Return whether an absent document may have been evicted at this version, and not deleted.

        It was evicted if all writes of the version were, but for INITIAL ones.  If the version has
        all that was evicted and more, no delete has seen it: a delete that had seen what was
        evicted would have brought that back.

        :param version: all of it, INITIAL writes included.
        """
        if not any(map(self.vector.seen, version)):
            return False
        evicted = self.of_document(snapshot, collection, id_key)
        if evicted.includes(without_initial(version)):
            return True
        return bool(evicted) and version.includes(evicted)

    def concern(
        self, snapshot: Snapshot, collection: str, id_key: bytes, version: VersionVector
    ) -> bool:
        """
        Return whether a write of a document's version may have been evicted, or one before it.

        One before it is an earlier write of the same replica to the same document.
        """
        if not any(map(self.vector.seen, version)):
            return False
        return any(map(self.of_document(snapshot, collection, id_key).seen, version))

    def hold(
        self, snapshot: Snapshot, collection: str, id_key: bytes, writes: Iterable[Dot]
    ) -> bool:
        """Return whether one of these writes of a document may have been evicted."""
        return any(map(self.of_document(snapshot, collection, id_key).covers, writes))

    def of_document(self, snapshot: Snapshot, collection: str, id_key: bytes) -> VersionVector:
        """Return an upper bound of a document's evicted versions: all of `vector` if folded."""
        if self.folded:
            return self.vector
        return evicted_of(snapshot, collection, id_key)


def load_generations(snapshot: Snapshot) -> dict[str, int]:
    """Return collection -> generation of its evictions, of each that ever had an EVICT."""
    found: dict[str, int] = {}
    after: bytes | None = None
    while facts := snapshot.facts(EVICTIONS, after=after):
        for key, fact in facts:
            found[key[:-1].decode("utf-8", "surrogatepass")] = _decode(fact)[0]
        after = facts[-1][0]
    return found


def evicted_of(snapshot: Snapshot, collection: str, id_key: bytes) -> VersionVector:
    """Return the evicted version of a document from the fact of its own; empty without one."""
    return decode_vector(snapshot.fact(EVICTED, prefix_of(collection) + id_key))


def note_evicted(
    unit: UnitOfWork,
    collection: str,
    rows: Sequence[StoredDocument],
    *,
    positions_hold: bool = False,
) -> None:
    """
    Record that documents are removed in this unit of work without being deleted.

    Drops the cursors of the collection, so that the documents can come again.

    :param rows: the rows of the documents before they were removed.
    :param positions_hold: keep the cursors, because the documents are not to come back.
    """
    versions = [(row.id_key, read_header(row.state).version) for row in rows]
    note_versions_evicted(unit, collection, versions, positions_hold=positions_hold)


def note_versions_evicted(
    unit: UnitOfWork,
    collection: str,
    removed: Sequence[tuple[bytes, VersionVector]],
    *,
    positions_hold: bool = False,
) -> None:
    """
    Record evictions as `note_evicted` does, where no rows are at hand.

    :param removed: (id key, version) of each document.
    """
    if not removed:
        return
    prefix = prefix_of(collection)
    known = Evictions.of(unit, collection)
    vector, count, folded = known.vector, known.count, known.folded
    for id_key, version in removed:
        vector = vector.join(VersionVector(version))
        place = prefix + id_key
        before = unit.fact(EVICTED, place)
        if before is None and (folded or count >= MOST_EVICTED):
            folded = True
            continue
        count += before is None
        unit.put_fact(EVICTED, place, encode_vector(version.join(decode_vector(before))))
    generation = known.generation + (not positions_hold)
    Evictions(generation=generation, count=count, folded=folded, vector=vector).store(
        unit, collection
    )
    if not positions_hold:
        drop_positions(unit, collection)


def count_unsynced(unit: Snapshot, rows: Sequence[StoredDocument]) -> int:
    """
    Return how many of these documents have own writes that no peer has acknowledged.

    :param unit: a snapshot, or the unit of work that removes them.
    """
    if not rows:
        return 0
    fact = unit.fact(ACKNOWLEDGED, b"")
    acknowledged = -1 if fact is None else int.from_bytes(fact, "big")
    written = unit.written
    return sum(
        row.lsn > acknowledged and any(map(written.seen, read_header(row.state).version))
        for row in rows
    )


def note_returned(unit: UnitOfWork, collection: str, id_key: bytes, version: VersionVector) -> None:
    """
    Remove the fact that a document was evicted, if `version` includes all that was evicted.

    Another version may arrive first, such as a delete that had not seen the evicted one.  Then the
    fact stays: the evicted version is still on other servers, and not deleted.
    """
    place = prefix_of(collection) + id_key
    evicted = unit.fact(EVICTED, place)
    if evicted is None or not version.includes(decode_vector(evicted)):
        return
    unit.put_fact(EVICTED, place, None)
    known = Evictions.of(unit, collection)
    left = evolve(known, count=known.count - 1)
    if left.count == 0 and not left.folded:
        left = evolve(left, vector=NO_VERSION)
    left.store(unit, collection)


def note_whole(unit: UnitOfWork, collection: str, id_key: bytes, digest: int) -> None:
    """
    Remove a document that was just stored from quarantine, if it is complete again.

    Call this after `note_returned`.

    :param digest: the digest of the stored version.
    """
    damaged = unit.damaged(collection, id_key)
    if damaged is None:
        return
    place = prefix_of(collection) + id_key
    if damaged == digest:
        # The same version as before the damage.  The fact may name too much, if damage hid it.
        evicted = unit.fact(EVICTED, place)
        if evicted is not None:
            note_returned(unit, collection, id_key, decode_vector(evicted))
    elif unit.fact(EVICTED, place) is not None or Evictions.of(unit, collection).folded:
        return
    unit.forget_damaged(collection, id_key)
    unit.after_commit(
        lambda: log.info(
            "Document {document} of collection {collection} is whole again",
            document=shown_id(id_key),
            collection=collection,
        )
    )


def drop_positions(unit: UnitOfWork, collection: str) -> None:
    """
    Drop the cursors, and their bases, of a collection and of its documents in transit.

    Peers then send all documents of the collection again.
    """
    names = dict.fromkeys((collection, hidden_name(shown_name(collection))))
    for space, name in product((CURSORS, BASES), names):
        after = None
        while found := unit.facts(space, prefix_of(name), after=after):
            for key, _ in found:
                unit.put_fact(space, key, None)
            after = found[-1][0]


def note_initial_delete(
    unit: UnitOfWork, collection: str, id_key: bytes, version: VersionVector
) -> None:
    """
    Record that a document is deleted, if its version has writes of INITIAL.

    No version vector of knowledge covers such writes, so the delete needs a fact of its own.
    """
    if any(replica.epoch == INITIAL_EPOCH for replica in version):
        unit.put_fact(INITIAL_DELETES, prefix_of(collection) + id_key, b"")


def was_initial_deleted(snapshot: Snapshot, collection: str, id_key: bytes) -> bool:
    """Return whether `note_initial_delete` has recorded the deletion of a document."""
    return snapshot.fact(INITIAL_DELETES, prefix_of(collection) + id_key) is not None

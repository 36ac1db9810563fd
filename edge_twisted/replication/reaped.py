# SPDX-License-Identifier: Apache-2.0
"""
Deletes that were reaped before knowledge covered them: what is kept of them, and its bound.

For each such delete, the version of its tombstone is a fact of its own, some 60 bytes, until
knowledge covers it (`edge_twisted.replication.knowledge`).  On a server that subscribes with
conditions only, knowledge may never come to that.  So a collection has at most `MOST_REAPED` of
these facts; further deletes are *folded*.

What folded deletes say of a document (`edge_twisted.records.folded_deletes`) is an upper bound.
Whether it was deleted, only somebody can tell who knows all the writes of which the bound is made.

Deletes by this server itself that no peer has acknowledged are never folded, for nobody else could
tell of them; they count, and are as many as were made, and reaped, without any link.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

import msgspec.msgpack
from twisted.logger import Logger

from edge_twisted.documents.versions import (
    NO_VERSION,
    VersionVector,
    decode_vector,
    encode_vector,
)
from edge_twisted.records.evictions import prefix_of
from edge_twisted.records.facts import REAPED, REAPED_COUNT, REAPED_FOLDED
from edge_twisted.records.folded_deletes import FoldedDeletes, bucket_of
from edge_twisted.store.interface import Snapshot, UnitOfWork

log = Logger()

#: Deletes of one collection that are remembered one by one, some 100 bytes each with their keys:
#: 10 MB.  With more, a document that comes for the first time may have to be fetched again.
MOST_REAPED: Final = 100_000
#: For each delete that is noted, so many facts of others are checked, and removed if covered.
_CHECKED_PER_DELETE: Final = 2
#: Buckets that are checked, and removed if covered, whenever deletes are noted.
_BUCKETS_CHECKED: Final = 4

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(int).decode


class ReapedDelete(NamedTuple):
    """A tombstone that is reaped."""

    id_key: bytes
    #: Without INITIAL writes.
    version: VersionVector
    #: Whether it has writes of this server, and no peer is known to have them.
    is_unsynced: bool


def has_reaped(snapshot: Snapshot, collection: str) -> bool:
    """Return whether some reaped delete of a collection is remembered one by one."""
    return bool(snapshot.facts(REAPED, prefix_of(collection), limit=1))


def reaped_of(snapshot: Snapshot, collection: str, id_key: bytes) -> VersionVector:
    """Return the version of a document's reaped tombstone, if remembered by itself; else empty."""
    return decode_vector(snapshot.fact(REAPED, prefix_of(collection) + id_key))


def has_folded(snapshot: Snapshot, collection: str) -> bool:
    """Return whether some reaped delete of a collection was folded."""
    return bool(snapshot.facts(REAPED_FOLDED, prefix_of(collection), limit=1))


def folded_of(snapshot: Snapshot, collection: str, id_key: bytes) -> VersionVector:
    """Return an upper bound of what folded deletes deleted of a document; empty: nothing."""
    fact = snapshot.fact(REAPED_FOLDED, prefix_of(collection) + bucket_of(id_key))
    if fact is None:
        return NO_VERSION
    return FoldedDeletes.decode(fact).of_document(id_key)


def note_deletes(
    unit: UnitOfWork,
    collection: str,
    deletes: Iterable[ReapedDelete],
    known: VersionVector,
) -> None:
    """
    Remember tombstones that are reaped in this unit, unless knowledge covers them.

    Beyond `MOST_REAPED` in a collection they are folded, but for those that no peer has.

    :param known: the knowledge of the collection.
    """
    prefix = prefix_of(collection)
    uncovered = [each for each in deletes if not known.includes(each.version)]
    if not uncovered:
        return
    count = counted = _count(unit, prefix)
    folded: dict[bytes, FoldedDeletes] = {}
    for id_key, version, is_unsynced in uncovered:
        place = prefix + id_key
        before = unit.fact(REAPED, place)
        if before is None and count >= MOST_REAPED and not is_unsynced:
            name = bucket_of(id_key)
            bucket = folded.get(name) or FoldedDeletes.decode(
                unit.fact(REAPED_FOLDED, prefix + name)
            )
            bucket.add(id_key, version)
            folded[name] = bucket
            continue
        count += before is None
        unit.put_fact(REAPED, place, encode_vector(decode_vector(before).join(version)))
    _put_buckets(unit, collection, folded)
    last = uncovered[-1].id_key
    count -= _forget_covered(unit, prefix, last, len(uncovered), known)
    _forget_buckets(unit, prefix, bucket_of(last), known)
    if count != counted:
        unit.put_fact(REAPED_COUNT, prefix, _encode(count))


def _put_buckets(unit: UnitOfWork, collection: str, folded: dict[bytes, FoldedDeletes]) -> None:
    if not folded:
        return
    if not has_folded(unit, collection):
        unit.after_commit(
            lambda: log.warn(
                "Collection {collection} has {count} reaped deletes that are not known to all:"
                " further ones are not remembered one by one",
                collection=collection,
                count=MOST_REAPED,
            )
        )
    for name, bucket in folded.items():
        unit.put_fact(REAPED_FOLDED, prefix_of(collection) + name, bucket.encode())


def _forget_covered(
    unit: UnitOfWork, prefix: bytes, after: bytes, deletes: int, known: VersionVector
) -> int:
    """Remove some facts that knowledge has come to cover; return how many."""
    limit, removed = _CHECKED_PER_DELETE * deletes, 0
    for key, fact in unit.facts(REAPED, prefix, after=prefix + after, limit=limit):
        if known.includes(decode_vector(fact)):
            unit.put_fact(REAPED, key, None)
            removed += 1
    return removed


def _forget_buckets(unit: UnitOfWork, prefix: bytes, after: bytes, known: VersionVector) -> None:
    """Remove some buckets that knowledge has come to cover."""
    for key, fact in unit.facts(
        REAPED_FOLDED, prefix, after=prefix + after, limit=_BUCKETS_CHECKED
    ):
        if known.includes(FoldedDeletes.decode(fact).vector):
            unit.put_fact(REAPED_FOLDED, key, None)


def _count(unit: UnitOfWork, prefix: bytes) -> int:
    """Return how many deletes are remembered one by one."""
    fact = unit.fact(REAPED_COUNT, prefix)
    if fact is not None:
        return _decode(fact)
    # An earlier version kept no count.
    found, after = 0, None
    while facts := unit.facts(REAPED, prefix, after=after):
        found += len(facts)
        after = facts[-1][0]
    return found

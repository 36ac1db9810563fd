# SPDX-License-Identifier: Apache-2.0
"""
What is known of a collection as a whole, and the positions in what others send of it.

Knowledge is a version vector: every write that it covers, on any document of the collection, is
incorporated in the copy here, or the document was deleted here and its tombstone reaped, or it was
evicted.  It is our own writes, and what senders knew when we had caught up with all they have.
INITIAL writes are never part of it: they have no order.

Who subscribes with conditions never learns what others know, and others may not have told yet, or
never will because they were restored from a backup.  So what knowledge does not cover of a deleted
document is kept when its tombstone is reaped: it is a fact of the space ``reaped``, a version
vector by collection, NUL and id key, until knowledge covers it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cached_property
from struct import Struct
from typing import Final

from edge_twisted.documents.digest import digest
from edge_twisted.documents.encoding import CorruptState
from edge_twisted.documents.headers import INITIAL_EPOCH, read_header, servers_part
from edge_twisted.documents.state import DocumentState
from edge_twisted.documents.versions import (
    NO_VERSION,
    Dot,
    Replica,
    VersionVector,
    decode_vector,
    encode_vector,
)
from edge_twisted.mesh.ports.requests import Scope
from edge_twisted.records.evictions import (
    CURSORS,
    Evictions,
    note_versions_evicted,
    prefix_of,
    was_initial_deleted,
)
from edge_twisted.store.interface import Snapshot, UnitOfWork
from edge_twisted.store.rows import StoredDocument

_KNOWLEDGE: Final = "knowledge"
_REAPED: Final = "reaped"
#: For each reaped document that is noted, so many others are looked at: are they covered by now?
_LOOKED_AT: Final = 2
_EPOCH: Final = Struct(">Q")
_LSN: Final = Struct(">q")


class Knowledge:
    """What one snapshot knows of one collection; read when it is asked for."""

    def __init__(self, snapshot: Snapshot, collection: str) -> None:
        self._snapshot = snapshot
        self._collection = collection

    @cached_property
    def vector(self) -> VersionVector:
        """What is incorporated, or known to be deleted, or evicted."""
        fact = self._snapshot.fact(_KNOWLEDGE, prefix_of(self._collection))
        return decode_vector(fact).joined(self._snapshot.written)

    @cached_property
    def evictions(self) -> Evictions:
        """What was evicted."""
        return Evictions.of(self._snapshot, self._collection)

    @property
    def shareable(self) -> VersionVector:
        """
        What a peer knows once it has all that is here.

        Not what those wrote of whose writes some were evicted: the peer does not get those, and
        would take them for deleted.
        """
        evicted = self.evictions.vector
        if not evicted:
            return self.vector
        return VersionVector({r: n for r, n in self.vector.items() if not evicted.seen(r)})

    def is_new(self, write: Dot) -> bool:
        """Return whether a server's write was never seen here; quicker than `is_gone`."""
        is_unknown = write.replica.epoch != INITIAL_EPOCH and not self.vector.covers(write)
        return is_unknown and not self._has_reaped

    @cached_property
    def _has_reaped(self) -> bool:
        return bool(self._snapshot.facts(_REAPED, prefix_of(self._collection), limit=1))

    def of_document(self, id_key: bytes) -> VersionVector:
        """Return what is known of one document."""
        if not self._has_reaped:
            return self.vector
        fact = self._snapshot.fact(_REAPED, prefix_of(self._collection) + id_key)
        return self.vector if fact is None else self.vector.joined(decode_vector(fact))

    def is_gone(self, id_key: bytes, version: VersionVector) -> bool:
        """Return whether a version of a document that is not here is known to be deleted."""
        written = servers_part(version)
        if not written:
            return was_initial_deleted(self._snapshot, self._collection, id_key)
        if not self.of_document(id_key).includes(written):
            return False
        # What INITIAL wrote of it may have been written without us.
        return not self.evictions.covers(self._snapshot, self._collection, id_key, written)

    def has_ended(self, id_key: bytes, life: Collection[Dot]) -> bool:
        """
        Return whether a document that is deleted or unknown here lives by nothing that is news.

        What else is new in it may be a delete, of another life, or one that knew less; or a write
        that only told of a merge.

        :param life: the writes by which it lives.
        """
        written = [dot for dot in life if dot.replica.epoch != INITIAL_EPOCH]
        if not life or not all(map(self.of_document(id_key).covers, written)):
            return False
        if len(written) < len(life) and not was_initial_deleted(
            self._snapshot, self._collection, id_key
        ):
            return False
        return not self.evictions.hold(self._snapshot, self._collection, id_key, life)

    def former(self, id_key: bytes, here: VersionVector, there: DocumentState) -> VersionVector:
        """
        Return what of a state that came belongs to a former life of a document that lives here.

        What is known and not in the copy here was deleted with an earlier one, whose tombstone was
        reaped, and then the document was written anew.  All or nothing: an edit that nobody here
        knew, or an INITIAL write, brings the former life back, and has done so if the copy here has
        some of its writers.  A write that nothing is due to is no edit: it only told of a merge.
        """
        news = VersionVector({r: n for r, n in there.version.items() if n > here.seen(r)})
        known = self.of_document(id_key)
        old = VersionVector(
            {r: n for r, n in news.items() if not here.seen(r) and known.seen(r) >= n}
        )
        if not old:
            return NO_VERSION
        if len(old) < len(news):
            stands = there.standing
            if any(stands.seen(r) > (here.seen(r) or known.seen(r)) for r in news if r not in old):
                return NO_VERSION
        is_evicted = self.evictions.concern(self._snapshot, self._collection, id_key, old)
        return NO_VERSION if is_evicted else news


def join_knowledge(unit: UnitOfWork, collection: str, news: VersionVector) -> None:
    """Remember what a sender knows with whom we have caught up."""
    key = prefix_of(collection)
    before = decode_vector(unit.fact(_KNOWLEDGE, key))
    after = before.joined(servers_part(news))
    if after is not before:
        unit.put_fact(_KNOWLEDGE, key, encode_vector(after))


def note_reaped(unit: UnitOfWork, collection: str, rows: Sequence[StoredDocument]) -> None:
    """Remember of tombstones that are reaped in this unit what is not known otherwise."""
    known = Knowledge(unit, collection).vector
    prefix = prefix_of(collection)
    noted: list[bytes] = []
    for row in rows:
        version = servers_part(read_header(row.state).version)
        if not known.includes(version):
            noted.append(prefix + row.id_key)
            kept = decode_vector(unit.fact(_REAPED, noted[-1])).joined(version)
            unit.put_fact(_REAPED, noted[-1], encode_vector(kept))
    if not noted:
        return
    limit = _LOOKED_AT * len(noted)
    for key, fact in unit.facts(_REAPED, prefix, after=noted[-1], limit=limit):
        if known.includes(decode_vector(fact)):
            unit.put_fact(_REAPED, key, None)


def note_quarantined(unit: UnitOfWork, collection: str, rows: Sequence[StoredDocument]) -> None:
    """
    Remember of damaged documents that they are unknown here, and not deleted.

    Positions in what others send are dropped, so that a repair fetches them again.
    """
    versions = [(row.id_key, _most_of(unit, collection, row)) for row in rows]
    note_versions_evicted(unit, collection, versions)


def _most_of(unit: UnitOfWork, collection: str, row: StoredDocument) -> VersionVector:
    """Return the version of a damaged document, or more than that where the damage hides it."""
    try:
        version = read_header(row.state).version
        if digest(row.id_key, version) == row.digest:
            return version
    except (CorruptState, TypeError):
        pass
    # All that anybody could call deleted of it.
    return Knowledge(unit, collection).of_document(row.id_key)


def cursor(snapshot: Snapshot, scope: Scope, sender: Replica) -> int | None:
    """Return up to which of the sender's commits everything of the scope is here; None: unknown."""
    fact = snapshot.fact(CURSORS, _cursor_key(scope, sender))
    return None if fact is None else int(_LSN.unpack(fact)[0])


def put_cursor(unit: UnitOfWork, scope: Scope, sender: Replica, lsn: int) -> None:
    """Remember a position."""
    unit.put_fact(CURSORS, _cursor_key(scope, sender), _LSN.pack(lsn))


def _cursor_key(scope: Scope, sender: Replica) -> bytes:
    place = sender.site + _EPOCH.pack(sender.epoch)
    return prefix_of(scope.collection) + place + scope.key

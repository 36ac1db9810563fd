# SPDX-License-Identifier: Apache-2.0
"""
Knowledge of a collection as a whole, and cursors in the streams of its senders.

Knowledge is a version vector.  For each write that it covers, on any document of the collection,
one of these holds: the copy here incorporates the write; or the document was deleted here and its
tombstone reaped; or the document was evicted.  Knowledge is made of this server's own writes, and
of what senders knew at moments when this server had caught up with them.  INITIAL writes are never
part of it, for they have no order.

Knowledge may lack writes of a deleted document: a server that subscribes with a condition never
gets the knowledge of senders, and others may not have got it yet.  When the tombstone is reaped,
those writes are kept apart until knowledge covers them (`edge_twisted.replication.reaped`): most
of them document by document, and beyond a bound folded together.  A document that folded deletes
may have deleted is *doubtful*: it was deleted here, or it never was here.  It is taken only from a
sender that knows all of these deletes, and has the document all the same.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cached_property
from struct import Struct
from typing import Final

from edge_twisted.documents.digest import digest
from edge_twisted.documents.encoding import CorruptState
from edge_twisted.documents.headers import INITIAL_EPOCH, read_header, without_initial
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
from edge_twisted.mesh.wire.messages import MAX_BASE
from edge_twisted.records.evictions import (
    Evictions,
    count_unsynced,
    note_versions_evicted,
    prefix_of,
    was_initial_deleted,
)
from edge_twisted.records.facts import BASES, CURSORS, KNOWLEDGE
from edge_twisted.replication.reaped import (
    ReapedDelete,
    folded_of,
    has_folded,
    has_reaped,
    note_deletes,
    reaped_of,
)
from edge_twisted.store.hidden import hidden_name
from edge_twisted.store.interface import Snapshot, UnitOfWork
from edge_twisted.store.rows import StoredDocument

_EPOCH: Final = Struct(">Q")
_LSN: Final = Struct(">q")


class Knowledge:
    """
    The knowledge of one collection in one snapshot, read on demand.

    :param vouched: what the sender of a batch has said that it knows; None: it has not.
    """

    def __init__(
        self, snapshot: Snapshot, collection: str, vouched: VersionVector | None = None
    ) -> None:
        self._snapshot = snapshot
        self._collection = collection
        self._vouched = vouched

    @cached_property
    def vector(self) -> VersionVector:
        """All writes that this server knows of in the collection, its own ones included."""
        fact = self._snapshot.fact(KNOWLEDGE, prefix_of(self._collection))
        return decode_vector(fact).join(self._snapshot.written)

    @cached_property
    def evictions(self) -> Evictions:
        """The evictions of the collection, see `Evictions.of`."""
        return Evictions.of(self._snapshot, self._collection)

    @property
    def shareable(self) -> VersionVector:
        """
        What a peer knows that has got all documents of the collection from here.

        It leaves out every replica some of whose writes were evicted here: the peer does not get
        those, and would take their documents for deleted.
        """
        evicted = self.evictions.vector
        if not evicted:
            return self.vector
        return VersionVector({r: n for r, n in self.vector.items() if not evicted.seen(r)})

    def is_new(self, write: Dot) -> bool:
        """
        Return whether a write was surely never seen here; quicker than `is_gone`.

        False also if the collection has reaped deletes, which would have to be looked up.
        """
        is_unknown = write.replica.epoch != INITIAL_EPOCH and not self.vector.covers(write)
        return is_unknown and not self._has_reaped and not self._has_folded

    @cached_property
    def _has_reaped(self) -> bool:
        return has_reaped(self._snapshot, self._collection)

    @cached_property
    def _has_folded(self) -> bool:
        return has_folded(self._snapshot, self._collection)

    def of_document(self, id_key: bytes) -> VersionVector:
        """Return the known writes of one document: `vector`, and what its reaped tombstone had."""
        if not self._has_reaped:
            return self.vector
        return self.vector.join(reaped_of(self._snapshot, self._collection, id_key))

    def most_of_document(self, id_key: bytes) -> VersionVector:
        """Return an upper bound of one document's known writes, with what folded deletes had."""
        known = self.of_document(id_key)
        if not self._has_folded:
            return known
        return known.join(folded_of(self._snapshot, self._collection, id_key))

    @property
    def forgets(self) -> bool:
        """Whether some deletes were folded, so that this knowledge is not sure of all documents."""
        return self._has_folded

    def _doubtful(self, id_key: bytes) -> VersionVector | None:
        """Return `most_of_document` if that is more than is known, and the sender cannot tell."""
        if not self._has_folded:
            return None
        folded = folded_of(self._snapshot, self._collection, id_key)
        if not folded or self.of_document(id_key).includes(folded):
            return None
        if self._vouched is not None and self._vouched.includes(folded):
            return None
        return self.of_document(id_key).join(folded)

    def is_gone(self, id_key: bytes, version: VersionVector) -> bool:
        """
        Return whether a document that is not here is known to be deleted, at this version.

        That is so if all its writes are known and none was evicted.
        """
        written = without_initial(version)
        if not written:
            return was_initial_deleted(self._snapshot, self._collection, id_key)
        if not self.of_document(id_key).includes(written):
            return False
        # Evicted writes are covered, and not deleted.
        return not self.evictions.covers(self._snapshot, self._collection, id_key, version)

    def has_ended(self, id_key: bytes, life: Collection[Dot]) -> bool:
        """
        Return whether the writes by which a peer's document lives were all deleted here.

        For a document that is deleted or unknown here: these writes are all known.  New in the
        peer's version may be a delete, or a write that only records a merge.

        :param life: the writes by which the document lives at the peer.
        """
        return self._has_ended(id_key, life, self.of_document(id_key))

    def may_have_ended(self, id_key: bytes, life: Collection[Dot]) -> bool:
        """
        Return whether folded deletes leave a doubt, where `has_ended` is false.

        The delete may have been folded, and the sender has not said that it knows of it.
        """
        most = self._doubtful(id_key)
        return most is not None and self._has_ended(id_key, life, most)

    def may_be_deleted(
        self, id_key: bytes, version: VersionVector, here: VersionVector | None
    ) -> bool:
        """
        Return whether folded deletes may have deleted some of a peer's version of a document.

        :param here: the version of the copy here, if there is one.
        """
        most = self._doubtful(id_key)
        if most is None:
            return False
        seen = NO_VERSION if here is None else here
        return any(seen.seen(r) < n <= most.seen(r) for r, n in without_initial(version).items())

    def _has_ended(self, id_key: bytes, life: Collection[Dot], known: VersionVector) -> bool:
        written = [dot for dot in life if dot.replica.epoch != INITIAL_EPOCH]
        if not life or not all(map(known.covers, written)):
            return False
        if len(written) < len(life) and not was_initial_deleted(
            self._snapshot, self._collection, id_key
        ):
            return False
        return not self.evictions.hold(self._snapshot, self._collection, id_key, life)

    def former(self, id_key: bytes, here: VersionVector, there: DocumentState) -> VersionVector:
        """
        Return the new writes of a merged document if they are of a former life; else none.

        Writes that are known, and not in the copy here, were deleted with a former life; its
        tombstone was reaped, and the document was written again.  They belong to the former life
        all together or not at all: an unknown edit, or an INITIAL write, brings it back, and has
        done so before if the copy here has writes of the same replicas.  A write that no entry
        stands for is no edit; it only records a merge.

        :param here: the version of the copy here.
        :param there: that copy, merged with the state that came.
        """
        return self._former(id_key, here, there, self.of_document(id_key))

    def may_be_former(self, id_key: bytes, here: VersionVector, there: DocumentState) -> bool:
        """
        Return whether `former` may find nothing only because deletes were folded: a doubt.

        The parameters are those of `former`.
        """
        most = self._doubtful(id_key)
        return most is not None and bool(self._former(id_key, here, there, most))

    def _former(
        self, id_key: bytes, here: VersionVector, there: DocumentState, known: VersionVector
    ) -> VersionVector:
        news = VersionVector({r: n for r, n in there.version.items() if n > here.seen(r)})
        old = VersionVector(
            {r: n for r, n in news.items() if not here.seen(r) and known.seen(r) >= n}
        )
        if not old:
            return NO_VERSION
        if len(old) < len(news):
            stands = there.newest_dots
            if any(stands.seen(r) > (here.seen(r) or known.seen(r)) for r in news if r not in old):
                return NO_VERSION
        is_evicted = self.evictions.concern(self._snapshot, self._collection, id_key, old)
        return NO_VERSION if is_evicted else news


def join_knowledge(unit: UnitOfWork, collection: str, news: VersionVector) -> None:
    """
    Add what a sender knows, with whom this server has caught up, to the stored knowledge.

    :param news: the sender's vector; INITIAL writes in it are left out.
    """
    key = prefix_of(collection)
    before = decode_vector(unit.fact(KNOWLEDGE, key))
    after = before.join(without_initial(news))
    if after is not before:
        unit.put_fact(KNOWLEDGE, key, encode_vector(after))


def note_reaped(unit: UnitOfWork, collection: str, rows: Sequence[StoredDocument]) -> None:
    """
    Keep the writes of tombstones, reaped in this unit, that knowledge does not cover.

    A hook of `Store.before_reap`.

    :param rows: the tombstones, all of `collection`.
    """
    deletes = [
        ReapedDelete(
            row.id_key,
            without_initial(read_header(row.state).version),
            count_unsynced(unit, [row]) > 0,
        )
        for row in rows
    ]
    note_deletes(unit, collection, deletes, Knowledge(unit, collection).vector)


def note_quarantined(unit: UnitOfWork, collection: str, rows: Sequence[StoredDocument]) -> None:
    """
    Note damaged documents as unknown here, so that they do not count as deleted.

    The cursors of the collection are dropped, so that a repair fetches the documents again.  A hook
    of `Store.before_quarantine`.

    :param rows: the documents, as far as they can be read.
    """
    versions = [(row.id_key, _most_of(unit, collection, row)) for row in rows]
    note_versions_evicted(unit, collection, versions)


def _most_of(unit: UnitOfWork, collection: str, row: StoredDocument) -> VersionVector:
    """Return the version of a damaged document, or one that covers it where it is unreadable."""
    try:
        version = read_header(row.state).version
        if digest(row.id_key, version) == row.digest:
            return version
    except (CorruptState, TypeError):
        pass
    # Every write of the document that could be called deleted.
    return Knowledge(unit, collection).most_of_document(row.id_key)


def cursor(snapshot: Snapshot, scope: Scope, sender: Replica) -> int | None:
    """Return the sender's commit (its lsn) up to which all of a scope is here; None: unknown."""
    fact = snapshot.fact(CURSORS, _cursor_key(scope, sender))
    return None if fact is None else int(_LSN.unpack(fact)[0])


def drop_cursor(unit: UnitOfWork, scope: Scope, sender: Replica) -> None:
    """Forget cursor and base of a scope at a sender: not all that came up to it was taken."""
    key = _cursor_key(scope, sender)
    for space in (CURSORS, BASES):
        if unit.fact(space, key) is not None:
            unit.put_fact(space, key, None)


def put_cursor(unit: UnitOfWork, scope: Scope, sender: Replica, lsn: int) -> None:
    """Set the cursor of a scope at a sender: all up to the sender's commit `lsn` is here."""
    unit.put_fact(CURSORS, _cursor_key(scope, sender), _LSN.pack(lsn))


def stored_base(snapshot: Snapshot, scope: Scope, sender: Replica) -> VersionVector | None:
    """Return the base of a scope at a sender: what is here of it, as it told; None: unknown."""
    fact = snapshot.fact(BASES, _cursor_key(scope, sender))
    return None if fact is None else decode_vector(fact)


def join_base(unit: UnitOfWork, scope: Scope, sender: Replica, news: VersionVector) -> None:
    """
    Add what a sender knew to the base of its stream, once this server has caught up with it.

    The base stays valid while there is a cursor, for what came stays.  One of more than `MAX_BASE`
    entries is not kept: documents then come whole after an absence.
    """
    key = _cursor_key(scope, sender)
    before = decode_vector(unit.fact(BASES, key))
    after = before.join(news)
    if len(after) > MAX_BASE:
        unit.put_fact(BASES, key, None)
    elif after is not before:
        unit.put_fact(BASES, key, encode_vector(after))


def facts_name(scope: Scope) -> str:
    """Return the collection, hidden or not, under which facts about a scope are."""
    return scope.collection if scope.route is None else hidden_name(scope.collection)


def _cursor_key(scope: Scope, sender: Replica) -> bytes:
    place = sender.site + _EPOCH.pack(sender.epoch)
    return prefix_of(facts_name(scope)) + place + scope.key

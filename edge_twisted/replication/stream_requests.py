# SPDX-License-Identifier: Apache-2.0
"""Requests of the sender of a stream: the next batch of changes, and single documents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from edge_twisted.documents.deltas import delta, encode_delta
from edge_twisted.documents.encoding import decode
from edge_twisted.documents.headers import read_header
from edge_twisted.documents.nodes import nodes_of
from edge_twisted.documents.slot_records import stamps_of
from edge_twisted.documents.state import DocumentState
from edge_twisted.documents.values import Value
from edge_twisted.documents.versions import VersionVector
from edge_twisted.mesh.ports.requests import (
    Changes,
    CursorUnknown,
    Delivered,
    ReadChanges,
    ReadDocuments,
    Scope,
    ScopeClosed,
    ScopeReading,
)
from edge_twisted.mesh.wire.items import Announced, Item, Left, Partial, Whole
from edge_twisted.records.documents import ID, document_of
from edge_twisted.replication.knowledge import Knowledge
from edge_twisted.replication.scopes import Scopes, is_open
from edge_twisted.store.interface import Snapshot
from edge_twisted.store.rows import CollectionInfo, StoredDocument

#: What one batch examines, matching or not: documents, and each once more for each condition beyond
#: the first that it is matched against.  Some tens of milliseconds of a reader.
MOST_EXAMINED: Final = 4_000
#: Documents that are read from the log at once, at most.
_READ_AT_ONCE: Final = 1_000
#: Size of an `Announced` or `Left` on the wire, about.
_NOTICE_BYTES: Final = 24
_NO_DOCUMENTS: Final = bytes(16)


def read_changes(
    snapshot: Snapshot, request: ReadChanges, scopes: Scopes
) -> Changes | CursorUnknown | ScopeClosed:
    """Perform `ReadChanges`: the next batch for some scopes, in the order of commits."""
    collection = request.scope.collection
    readings = request.readings
    if not is_open(snapshot, collection):
        return ScopeClosed()
    info = snapshot.collection(collection)
    reaped = 0 if info is None else info.reaped_lsn
    problem = _problem(readings, snapshot.lsn, reaped)
    if problem:
        return CursorUnknown(reason=problem)
    if scopes.subscription(request.scope).is_virtual:
        return Changes(items=(), lsn=snapshot.lsn, more=False)
    items, lsn, more = _read_batch(snapshot, request, scopes)
    if more:
        return Changes(items=tuple(items), lsn=lsn, more=True, reaped_lsn=reaped)
    is_whole = any(each.scope.is_whole for each in readings)
    return Changes(
        items=tuple(items),
        lsn=lsn,
        more=False,
        knowledge=Knowledge(snapshot, collection).shareable,
        fingerprint=_fingerprint(info) if is_whole else None,
        reaped_lsn=reaped,
    )


def _read_batch(
    snapshot: Snapshot, request: ReadChanges, scopes: Scopes
) -> tuple[list[Item], int, bool]:
    """Return the items of the next batch, the lsn where it ends, and whether more follows."""
    items: list[Item] = []
    maker = _ItemMaker(request, scopes)
    lsn, size, more = min(each.after for each in request.readings), 0, True
    while more and size < request.limit_bytes and maker.examined < MOST_EXAMINED:
        batch = snapshot.changes_after(
            lsn,
            (request.scope.collection,),
            limit=maker.most_documents,
            limit_bytes=request.limit_bytes - size,
        )
        for change in batch.changes:
            item = maker.item(change.document)
            if item is not None:
                items.append(item)
                size += _size(item)
        lsn, more = batch.lsn, batch.more
    return items, lsn, more


def _fingerprint(info: CollectionInfo | None) -> bytes:
    return _NO_DOCUMENTS if info is None else info.fingerprint


def _problem(readings: Sequence[ScopeReading], newest: int, reaped: int) -> str:
    """Return why a cursor is of no use; else nothing."""
    if any(each.after > newest for each in readings):
        return "it is beyond what this server ever committed"
    # Who began from nothing needs no tombstones from before: else a first sync in several batches
    # would be stale after the first one, and begin again for ever.
    if any(0 < each.after < reaped and each.horizon < reaped for each in readings):
        return "tombstones were reaped that it had not passed"
    return ""


def read_documents(snapshot: Snapshot, request: ReadDocuments) -> tuple[Whole, ...] | ScopeClosed:
    """
    Perform `ReadDocuments`: whole documents by id key, then by digest; absent ones left out.

    `ScopeClosed` if the collection is not sent to peers.
    """
    collection = request.scope.collection
    if not is_open(snapshot, collection):
        return ScopeClosed()
    found: dict[bytes, Whole] = {}
    wanted = [*request.id_keys, *ids_of(snapshot, collection, request.digests)]
    for id_key in wanted:
        document = snapshot.get(collection, id_key)
        if document is not None:
            found[id_key] = Whole(id_key, document.body, document.state)
    return tuple(found.values())


def ids_of(snapshot: Snapshot, collection: str, digests: tuple[int, ...]) -> list[bytes]:
    """
    Return the id keys of the documents, tombstones included, that have these digests.

    In no order; reads the digests of the whole collection.
    """
    if not digests:
        return []
    wanted = set(digests)
    return [
        id_key
        for batch in snapshot.digests(collection, tombstones=True)
        for id_key, number in batch
        if number in wanted
    ]


class _ItemMaker:
    """
    Maker of the items of one batch.

    :ivar examined: see `MOST_EXAMINED`.
    """

    def __init__(self, request: ReadChanges, scopes: Scopes) -> None:
        self._scopes = scopes
        # The first scope that matches decides the base: one that has a base, or is quick to match.
        self._readings = sorted(request.readings, key=_rank)
        self._skip = request.skip
        # Scopes that stand further on than others have their part of what is between.
        lowest = min(each.after for each in self._readings)
        ahead = (Delivered(r.scope, r.after) for r in self._readings if r.after > lowest)
        self._delivered = (*request.delivered, *ahead)
        most = request.announce_above
        self._most: float = float("inf") if most is None else most
        self._conditions = len(self._readings) + len(self._delivered)
        self.examined = 0
        #: The body that was matched last, and the document in it.
        self._parsed: tuple[bytes, dict[str, Value]] | None = None

    @property
    def most_documents(self) -> int:
        """How many documents to read next, if each is matched against every condition."""
        left = (MOST_EXAMINED - self.examined) // self._conditions
        return min(max(left, 1), _READ_AT_ONCE)

    def item(self, document: StoredDocument) -> Item | None:
        """Return the item for a document; None: the receiver has that very version."""
        id_key, lsn, body, state, number = document
        self.examined += 1
        if self._skip and self._skip.get(id_key) == number:
            return None
        if self._is_delivered(lsn, body):
            return None
        found = self._first_match(lsn, body)
        if found is None:
            return Left(id_key, number)
        size = len(state) + (0 if body is None else len(body))
        if found.base:
            partial = _partial(document, found.base, size)
            if partial is not None:
                return partial
        if size > self._most:
            return Announced(id_key, number, size)
        return Whole(id_key, body, state)

    def _first_match(self, lsn: int, body: bytes | None) -> ScopeReading | None:
        for at, reading in enumerate(self._readings):
            if lsn > reading.after and self._matches(reading.scope, body):
                self.examined += at
                return reading
        self.examined += len(self._readings) - 1
        return None

    def _is_delivered(self, lsn: int, body: bytes | None) -> bool:
        """Return whether the document came to the receiver for another scope."""
        return any(lsn <= each.upto and self._matches(each.scope, body) for each in self._delivered)

    def _matches(self, scope: Scope, body: bytes | None) -> bool:
        if scope.is_whole:
            return True
        if body is None:
            return False
        if self._parsed is None or self._parsed[0] is not body:
            # Once for all scopes.
            self._parsed = body, document_of(body)
        subscription = self._scopes.subscription(scope)
        return not subscription.is_virtual and subscription.matches(self._parsed[1])


def _rank(reading: ScopeReading) -> tuple[bool, bool]:
    return not reading.base, not reading.scope.is_whole


def _partial(document: StoredDocument, base: VersionVector, size: int) -> Partial | None:
    """Return the changes since `base` if the receiver has the rest, and they are smaller."""
    header = read_header(document.state)
    if header.write is not None or not any(map(base.seen, header.version)):
        return None
    fields = None
    if document.body is not None:
        fields = document_of(document.body)
        del fields[ID]
    state = decode(document.state, fields)
    if not _knows(state, base):
        return None
    data = encode_delta(delta(state, base))
    return Partial(document.id_key, data) if len(data) < size else None


def _knows(state: DocumentState, base: VersionVector) -> bool:
    """Return whether a peer that has seen `base` has seen some write of this document."""
    if any(base.covers(entry.stamp.dot) for entry in state.life):
        return True
    return any(base.covers(stamp.dot) for node in nodes_of(state.root) for stamp in stamps_of(node))


def _size(item: Item) -> int:
    if isinstance(item, Whole):
        return len(item.state) + len(item.body or b"")
    return len(item.delta) if isinstance(item, Partial) else _NOTICE_BYTES

# SPDX-License-Identifier: Apache-2.0
"""Requests of repair: the digests of a scope, the documents behind them, and their deletes."""

from __future__ import annotations

from array import array

from edge_twisted.database.mutations import delete
from edge_twisted.documents.encoding import decode
from edge_twisted.documents.headers import read_header, read_life
from edge_twisted.documents.ids import DocumentId
from edge_twisted.documents.versions import NO_VERSION
from edge_twisted.mesh.ports.requests import (
    DeleteGone,
    Digests,
    Fates,
    FindGone,
    FindSeen,
    ReadDigests,
    Scope,
    ScopeClosed,
)
from edge_twisted.mesh.wire.items import Seen
from edge_twisted.records.documents import ID, DocumentWriter, document_of
from edge_twisted.records.transit import home_of
from edge_twisted.records.transit_size import count_change
from edge_twisted.replication.knowledge import Knowledge
from edge_twisted.replication.scopes import Scopes, is_open
from edge_twisted.replication.stream_requests import ids_of
from edge_twisted.store.hidden import is_hidden
from edge_twisted.store.interface import Snapshot, UnitOfWork


def read_digests(snapshot: Snapshot, request: ReadDigests, scopes: Scopes) -> Digests | ScopeClosed:
    """
    Perform `ReadDigests`: the digests of all documents in a scope, and of all tombstones.

    `ScopeClosed` if a peer asks for a collection that is not sent to peers.
    """
    scope = request.scope
    if request.for_peer and not is_open(snapshot, scope.collection):
        return ScopeClosed()
    knowledge = Knowledge(snapshot, scope.collection)
    return Digests(
        lsn=snapshot.lsn,
        values=_values(snapshot, scope, scopes),
        knowledge=knowledge.shareable if scope.is_whole else None,
        vouched=knowledge.vector,
        forgets=knowledge.forgets,
    )


def _values(snapshot: Snapshot, scope: Scope, scopes: Scopes) -> array[int]:
    values = array("q")
    if scopes.subscription(scope).is_virtual:
        return values
    outside: set[bytes] = set()
    if not scope.is_whole:
        outside = {
            id_key
            for batch in snapshot.scan(scope.collection)
            for id_key, body in batch
            if not scopes.matches(scope, body)
        }
    for batch in snapshot.digests(scope.collection, tombstones=True):
        values.extend([number for id_key, number in batch if id_key not in outside])
    return values


def find_seen(snapshot: Snapshot, request: FindSeen) -> tuple[Seen, ...]:
    """Perform `FindSeen`: id key, version and life of the documents that have these digests."""
    collection = request.scope.collection
    found: list[Seen] = []
    for id_key in ids_of(snapshot, collection, request.digests):
        document = snapshot.get(collection, id_key)
        if document is not None:
            version = read_header(document.state).version
            found.append(Seen(id_key, version, read_life(document.state)))
    return tuple(found)


def find_gone(snapshot: Snapshot, request: FindGone, scopes: Scopes) -> Fates | ScopeClosed:
    """
    Perform `FindGone`: which documents of a peer are deleted here, or have left the scope.

    An empty version stands for a document that the peer dropped in transit: it has left the scope,
    or there is nothing to say of it.

    `ScopeClosed` if the collection is not sent to peers.
    """
    scope = request.scope
    if not is_open(snapshot, scope.collection):
        return ScopeClosed()
    knowledge = Knowledge(snapshot, scope.collection)
    gone: list[Seen] = []
    moved_out: list[bytes] = []
    is_unsure = False
    for seen in request.seen:
        document = snapshot.get(scope.collection, seen.id_key)
        here = None if document is None else read_header(document.state).version
        if here is None and not seen.version:
            continue
        if here is None and (
            knowledge.is_gone(seen.id_key, seen.version)
            or knowledge.has_ended(seen.id_key, seen.life)
        ):
            gone.append(Seen(seen.id_key, seen.version))
            continue
        if seen.life and not is_unsure:
            is_unsure = knowledge.may_be_deleted(seen.id_key, seen.version, here)
        if (
            document is not None
            and document.body is not None
            and not scopes.matches(scope, document.body)
            and not seen.version.includes(here or NO_VERSION)
        ):
            moved_out.append(seen.id_key)
    return Fates(gone=tuple(gone), moved_out=tuple(moved_out), is_unsure=is_unsure)


def delete_gone(unit: UnitOfWork, request: DeleteGone, *, has_transit: bool = False) -> None:
    """
    Perform `DeleteGone`: delete documents whose whole life a peer has seen deleted.

    Each delete is a write of this server, so that it reaches all who have the document.  Two
    servers that delete the same document at the same time agree in the end.

    :param has_transit: look for the documents among those in transit as well.
    """
    writer = DocumentWriter(unit)
    for seen in request.seen:
        collection = request.collection
        if has_transit:
            collection = home_of(unit, collection, seen.id_key)
        document = unit.get(collection, seen.id_key)
        if document is None or document.body is None:
            continue
        if not all(map(seen.version.covers, read_life(document.state))):
            # It has a life that the peer has not seen deleted.
            continue
        fields = document_of(document.body)
        id_ = DocumentId.of(fields.pop(ID))
        delete(writer, collection, id_, decode(document.state, fields))
        if is_hidden(collection):
            count_change(unit, document, unit.get(collection, seen.id_key))

# SPDX-License-Identifier: Apache-2.0
"""Writing of merged documents to the store, with the notes on evictions that belong to them."""

from __future__ import annotations

from edge_twisted.records.documents import document_of
from edge_twisted.records.evictions import (
    Evictions,
    note_evicted,
    note_initial_delete,
    note_returned,
    note_whole,
)
from edge_twisted.replication import moved_out
from edge_twisted.replication.merges import MergedDocument
from edge_twisted.replication.scopes import OwnSubscriptions
from edge_twisted.replication.transit import TransitHomes
from edge_twisted.store.hidden import hidden_name
from edge_twisted.store.interface import UnitOfWork
from edge_twisted.store.rows import StoredDocument


class MergeWriter:
    """
    Writer of the merged documents of one batch, in its unit of work.

    :param transit: where documents go that came for others; None: this server keeps none.
    :ivar attachments: ids of the attachments that the documents name, but for those in transit.
    :ivar any_shown: whether some document was stored where users see it.
    """

    def __init__(
        self,
        unit: UnitOfWork,
        collection: str,
        own: OwnSubscriptions,
        now_ms: int,
        *,
        transit: TransitHomes | None = None,
    ) -> None:
        self._unit = unit
        self._collection = collection
        self._drops = own.drop
        self._subscriptions = own.conditional(collection)
        self._now_ms = now_ms
        self._transit = transit
        names = (collection,) if transit is None else (collection, hidden_name(collection))
        self._evicting = [name for name in names if Evictions.of(unit, name).count > 0]
        self._dropped: list[StoredDocument] = []
        self.attachments: list[str] = []
        self.any_shown = False

    def store(self, document: MergedDocument) -> None:
        """
        Store one document, where users see it or in transit; or drop one that moved out.

        One that moved out of all subscriptions stays, and is listed, if the server does not drop
        such ones or has edits in it that the peer lacks.
        """
        unit, collection, id_key = self._unit, self._collection, document.id_key
        if self._transit is not None:
            home = self._transit.home(unit, collection, id_key, document.value)
            if home != collection:
                self._put_in_transit(home, document)
                return
            self._transit.leave(unit, collection, id_key)
        if self._subscriptions and document.before is not None and self._moved_out(document):
            return
        self.attachments.extend(document.attachments)
        self.any_shown = True
        self._put(collection, document)

    def _put_in_transit(self, hidden: str, document: MergedDocument) -> None:
        assert self._transit is not None
        before = self._unit.get(hidden, document.id_key)
        self._put(hidden, document)
        self._transit.have_put(self._unit, hidden, document.id_key, before)

    def _put(self, collection: str, document: MergedDocument) -> None:
        unit, id_key = self._unit, document.id_key
        unit.put(
            collection,
            id_key,
            body=document.body,
            state=document.state,
            digest=document.digest,
            attachments=document.attachments,
            value=document.value,
        )
        if document.body is None:
            note_initial_delete(unit, collection, id_key, document.version)
        for name in self._evicting:
            note_returned(unit, name, id_key, document.version)
            note_whole(unit, name, id_key, document.digest)

    def finish(self) -> None:
        """Note the documents that `store` dropped as evicted; call it after the last `store`."""
        note_evicted(self._unit, self._collection, self._dropped, positions_hold=True)

    def _moved_out(self, document: MergedDocument) -> bool:
        """List, unlist or drop a document; return whether it was dropped."""
        before = document.before
        assert before is not None
        if document.value is None or moved_out.matches_any(self._subscriptions, document.value):
            moved_out.unlist(self._unit, self._collection, document.id_key)
            return False
        if before.body is None:
            return False
        if not moved_out.matches_any(self._subscriptions, document_of(before.body)):
            return False
        # The peer has all of the document: it is safe there.  Else it has a local edit, and stays.
        if self._drops and document.is_theirs:
            self._unit.remove(self._collection, document.id_key)
            if self._transit is None:
                self._dropped.append(before)
            else:
                # Neighbours may still want it, or have to hear that it has left what they want.
                self._put_in_transit(hidden_name(self._collection), document)
            return True
        moved_out.list_moved_out(self._unit, self._collection, document.id_key, self._now_ms)
        return False

# SPDX-License-Identifier: Apache-2.0
"""How merged documents reach the store, and what must be noted with them."""

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
from edge_twisted.store.interface import UnitOfWork
from edge_twisted.store.rows import StoredDocument


class MergeWriter:
    """
    Stores the results of one batch in its unit of work.

    :ivar attachments: ids of the blobs that the documents name.
    """

    def __init__(
        self, unit: UnitOfWork, collection: str, own: OwnSubscriptions, now_ms: int
    ) -> None:
        self._unit = unit
        self._collection = collection
        self._drops = own.drop
        self._subscriptions = own.conditional(collection)
        self._now_ms = now_ms
        self._any_evicted = Evictions.of(unit, collection).count > 0
        self._dropped: list[StoredDocument] = []
        self.attachments: list[str] = []

    def store(self, result: MergedDocument) -> None:
        """Store one document, or drop it if it moved out of all subscriptions."""
        unit, collection, id_key = self._unit, self._collection, result.id_key
        if self._subscriptions and result.before is not None and self._moved_out(result):
            return
        self.attachments.extend(result.attachments)
        unit.put(
            collection,
            id_key,
            body=result.body,
            state=result.state,
            digest=result.digest,
            attachments=result.attachments,
            value=result.value,
        )
        if result.body is None:
            note_initial_delete(unit, collection, id_key, result.version)
        if self._any_evicted:
            note_returned(unit, collection, id_key, result.version)
            note_whole(unit, collection, id_key, result.digest)

    def finish(self) -> None:
        """Note what was dropped."""
        note_evicted(self._unit, self._collection, self._dropped, positions_hold=True)

    def _moved_out(self, result: MergedDocument) -> bool:
        """List, unlist or drop a document; return whether it was dropped."""
        before = result.before
        assert before is not None
        if result.value is None or moved_out.matches_any(self._subscriptions, result.value):
            moved_out.unlist(self._unit, self._collection, result.id_key)
            return False
        if before.body is None:
            return False
        if not moved_out.matches_any(self._subscriptions, document_of(before.body)):
            return False
        # What the peer has all of is safe there; anything else is a local edit that may be lost.
        if self._drops and result.is_theirs:
            self._unit.remove(self._collection, result.id_key)
            self._dropped.append(before)
            return True
        moved_out.list_moved_out(self._unit, self._collection, result.id_key, self._now_ms)
        return False

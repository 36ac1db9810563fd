# SPDX-License-Identifier: Apache-2.0
"""What one server holds at one time, and what it let go of knowingly."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import field, frozen

from edge_twisted.documents.headers import read_header
from edge_twisted.documents.versions import NO_VERSION, VersionVector, decode_vector
from edge_twisted.records.facts import EVICTED
from edge_twisted.store.hidden import is_hidden, shown_name
from edge_twisted.store.interface import Snapshot, Store
from edge_twisted.store.rows import StoredDocument

#: Collection and id key.
Place = tuple[str, bytes]


@frozen(eq=False)
class Contents:
    """
    Everything that was in a store, tombstones included; it stays what it was.

    :ivar departed: of documents that were evicted, or dropped as they moved out, and are not back:
        the version that went.
    """

    documents: Mapping[Place, StoredDocument] = field(factory=dict)
    departed: Mapping[Place, VersionVector] = field(factory=dict)

    @classmethod
    def of(cls, store: Store) -> Contents:
        """Return what an open store holds now."""
        with store.snapshot() as snapshot:
            held = {**_in_transit(snapshot), **_documents(snapshot)}
            return cls(held, _departed(snapshot))

    def holds(self, place: Place, version: VersionVector) -> bool:
        """Return whether all of a version of a document is here."""
        found = self.documents.get(place)
        return found is not None and read_header(found.state).version.includes(version)

    def let_go(self, place: Place, version: VersionVector) -> bool:
        """
        Return whether a version of a document is not here because it was evicted or dropped.

        What is not here without a fact that says why was not let go of: it vanished.
        """
        departed = self.departed.get(place)
        is_explained = departed is not None and departed.includes(version)
        return is_explained and not self.holds(place, version)


def documents_of(store: Store) -> dict[Place, StoredDocument]:
    """Return all that users see of a store, and its tombstones."""
    with store.snapshot() as snapshot:
        return _documents(snapshot)


def _documents(snapshot: Snapshot) -> dict[Place, StoredDocument]:
    batch = snapshot.changes_after(0, limit=1 << 30, limit_bytes=1 << 40)
    return {
        (each.collection, each.document.id_key): each.document
        for each in batch.changes
        if not is_hidden(each.collection)
    }


def _in_transit(snapshot: Snapshot) -> dict[Place, StoredDocument]:
    batch = snapshot.changes_after(0, limit=1 << 30, limit_bytes=1 << 40)
    return {
        (shown_name(each.collection), each.document.id_key): each.document
        for each in batch.changes
        if is_hidden(each.collection)
    }


def _departed(snapshot: Snapshot) -> dict[Place, VersionVector]:
    found: dict[Place, VersionVector] = {}
    for key, value in snapshot.facts(EVICTED, limit=1 << 30):
        collection, _, id_key = key.partition(b"\x00")
        place = (shown_name(collection.decode("utf-8", "surrogatepass")), id_key)
        found[place] = decode_vector(value).join(found.get(place, NO_VERSION))
    return found

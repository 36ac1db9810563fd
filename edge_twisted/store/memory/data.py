# SPDX-License-Identifier: Apache-2.0
"""The data of a memory store: the counterpart of a file."""

from __future__ import annotations

from collections.abc import Iterator

from attrs import define, evolve, field

from edge_twisted.documents.clock import HybridClock
from edge_twisted.documents.versions import Replica
from edge_twisted.store.blobs.memory import MemoryBlobFolder
from edge_twisted.store.interface import MOST_COLLECTIONS
from edge_twisted.store.rows import CollectionInfo, IndexInfo, StoredDocument, fingerprint


@define(eq=False)
class MemoryRow:
    """A document as it is kept; `received` (ms since 1970) is None unless it is a tombstone."""

    document: StoredDocument
    attachments: frozenset[str]
    received: int | None


@define(eq=False)
class MemoryCollection:
    """The rows of a collection by id key, and its indexes by name."""

    name: str
    rows: dict[bytes, MemoryRow] = field(factory=dict)
    indexes: dict[str, IndexInfo] = field(factory=dict)
    lsn: int = 0
    reaped_lsn: int = 0

    def live(self) -> Iterator[tuple[bytes, bytes, StoredDocument]]:
        """Yield (id key, stored text, document) of each live document, in order of insertion."""
        for id_key, row in self.rows.items():
            if row.document.body is not None:
                yield id_key, row.document.body, row.document

    def info(self) -> CollectionInfo:
        """Return the totals of the collection, computed from all its rows."""
        digests = [document.digest for _, _, document in self.live()]
        combined = 0
        for digest in digests:
            combined ^= digest
        return CollectionInfo(
            name=self.name,
            count=len(digests),
            lsn=self.lsn,
            reaped_lsn=self.reaped_lsn,
            fingerprint=fingerprint(sum(digests), combined),
        )

    def copy(self) -> MemoryCollection:
        """Return a copy of the collection that later writes to this one do not change."""
        return evolve(self, rows=dict(self.rows), indexes=dict(self.indexes))


@define(eq=False)
class Data:
    """Everything in one database; give it to a new store to open the same one again."""

    replica: Replica
    sequence: int = 0
    lsn: int = 0
    catalog: int = 0
    clock: HybridClock = field(factory=HybridClock)
    collections: dict[str, MemoryCollection] = field(factory=dict)
    facts: dict[tuple[str, bytes], bytes] = field(factory=dict)
    blobs: MemoryBlobFolder = field(factory=MemoryBlobFolder)
    #: As many collections may statements make.
    most_collections: int = MOST_COLLECTIONS

    def snapshot(self) -> Data:
        """Return a copy of the data that later writes to this one do not change."""
        copies = {name: collection.copy() for name, collection in self.collections.items()}
        return evolve(self, collections=copies, facts=dict(self.facts))

# SPDX-License-Identifier: Apache-2.0
"""
The size of all documents in transit together: a fact, kept by each unit of work that changes one.
"""

from __future__ import annotations

from struct import Struct
from typing import Final, NamedTuple

from edge_twisted.records.facts import TRANSIT_SIZE
from edge_twisted.store.hidden import PREFIX_BYTES
from edge_twisted.store.interface import Snapshot, UnitOfWork
from edge_twisted.store.rows import StoredDocument

#: Bytes that a row takes beside its id, text and state, about: columns, indexes, facts.
ROW_BYTES: Final = 200
_PAIR: Final = Struct(">qq")


class TransitSize(NamedTuple):
    """Bytes and number of documents in transit, tombstones included."""

    size: int = 0
    documents: int = 0

    @classmethod
    def of(cls, snapshot: Snapshot) -> TransitSize:
        """Return what there is."""
        fact = snapshot.fact(TRANSIT_SIZE, PREFIX_BYTES)
        return cls() if fact is None else cls(*_PAIR.unpack(fact))


def size_of(row: StoredDocument) -> int:
    """Return the bytes for which a document in transit counts."""
    return ROW_BYTES + len(row.id_key) + len(row.state) + len(row.body or b"")


def count_change(
    unit: UnitOfWork, before: StoredDocument | None, after: StoredDocument | None
) -> None:
    """Account for a document in transit that this unit makes, changes or removes."""
    here = TransitSize.of(unit)
    size, documents = here
    if before is not None:
        size, documents = size - size_of(before), documents - 1
    if after is not None:
        size, documents = size + size_of(after), documents + 1
    if (size, documents) != here:
        unit.put_fact(TRANSIT_SIZE, PREFIX_BYTES, _PAIR.pack(size, documents))

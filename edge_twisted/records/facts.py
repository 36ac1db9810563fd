# SPDX-License-Identifier: Apache-2.0
"""
All spaces of facts of a store, in one place.

A fact is a small value under a space and a key (`UnitOfWork.put_fact`), written in the same unit of
work as the documents that it is about.  `SPACES` describes the keys and values of each space and
names the module that writes it.  A new space needs a name here.  Names are part of the file format,
so an old name must not be used for something else.
"""

from __future__ import annotations

from typing import Final

from attrs import frozen

from edge_twisted.store import epochs
from edge_twisted.store.blobs import ledger

ACKNOWLEDGED: Final = "acknowledged"
BASES: Final = "bases"
CURSORS: Final = "cursors"
EVICTED: Final = "evicted"
EVICTIONS: Final = "evictions"
HEARD: Final = "heard"
HIDDEN_VARIANTS: Final = "hidden_variants"
INITIAL_DELETES: Final = "initial-deletes"
KNOWLEDGE: Final = "knowledge"
MOVED_OUT: Final = "moved-out"
PARAMETERS: Final = "parameters"
PEERS: Final = "peers"
REAPED: Final = "reaped"
REAPED_COUNT: Final = "reaped-count"
REAPED_FOLDED: Final = "reaped-folded"
TRANSIT_BLOBS: Final = "transit-blobs"
TRANSIT_DROPPED: Final = "transit-dropped"
TRANSIT_PEERS: Final = "transit-peers"
TRANSIT_SIZE: Final = "transit-size"
#: Shared with the store, which keeps the epochs of this site there under another key.
SITE: Final = epochs.SPACE


@frozen
class FactSpace:
    """One space of facts: what its keys and values are, and the module that writes them."""

    name: str
    key: str
    value: str
    writer: str


#: Every space; `collection` in a key is the name in UTF-8, followed by NUL unless noted.  Facts
#: about documents in transit are under the name of their hidden collection (`store.hidden`).
SPACES: Final = (
    FactSpace(
        EVICTED, "collection, id key", "version vector of the evicted copy", "records/evictions"
    ),
    FactSpace(EVICTIONS, "collection", "[generation, count, folded, vector]", "records/evictions"),
    FactSpace(INITIAL_DELETES, "collection, id key", "empty", "records/evictions"),
    FactSpace(HIDDEN_VARIANTS, "collection without NUL", "1", "records/documents"),
    FactSpace(
        PARAMETERS, "name of a system parameter", "its value as JSON", "database/system_parameters"
    ),
    FactSpace(
        CURSORS,
        "collection, the rest of a scope's key, sender",
        "position in what the sender sends; dropped by prefix on EVICT",
        "replication/knowledge",
    ),
    FactSpace(
        BASES,
        "as of a cursor",
        "version vector that the sender's deltas may build on; goes with the cursor",
        "replication/knowledge",
    ),
    FactSpace(KNOWLEDGE, "collection", "version vector", "replication/knowledge"),
    FactSpace(
        REAPED, "collection, id key", "version of the tombstone removed", "replication/reaped"
    ),
    FactSpace(REAPED_COUNT, "collection", "number of its facts in reaped", "replication/reaped"),
    FactSpace(
        REAPED_FOLDED,
        "collection, hash of id key (1 byte)",
        "[join of versions of tombstones removed, filter of their ids]",
        "replication/reaped",
    ),
    FactSpace(
        ACKNOWLEDGED, "empty", "newest of our commits that a peer acknowledged", "replication/peers"
    ),
    FactSpace(PEERS, "peer key", "[acknowledged lsn, received at]", "replication/peers"),
    FactSpace(MOVED_OUT, "collection, id key", "when, in ms since 1970", "replication/moved_out"),
    FactSpace(
        TRANSIT_BLOBS,
        "prefix of hidden names, blob, NUL, collection without NUL",
        "empty",
        "records/transit",
    ),
    FactSpace(
        TRANSIT_DROPPED,
        "hidden collection",
        "newest commit of a document, and of a tombstone, that was dropped",
        "records/transit",
    ),
    FactSpace(
        TRANSIT_PEERS,
        "prefix of hidden names, peer key",
        "when it was linked last, its site, its subscriptions",
        "replication/transit",
    ),
    FactSpace(
        TRANSIT_SIZE,
        "prefix of hidden names",
        "bytes and number of all documents in transit",
        "records/transit_size",
    ),
    FactSpace(HEARD, "replica", "highest number heard of", "replication/epoch_renewal"),
    FactSpace(
        SITE, "purpose", "epochs; times of renewals", "replication/epoch_renewal, store/epochs"
    ),
    FactSpace(ledger.SPACE, "id of a blob", "its booking", "store/blobs/ledger"),
    FactSpace(ledger.UPLOADERS, "id of a blob", "who uploaded it", "store/blobs/ledger"),
)

# SPDX-License-Identifier: Apache-2.0
"""A store's indexes as the planner sees them."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from edge_twisted.dql.plan.catalog import Index, KeyPart
from edge_twisted.store.interface import Snapshot
from edge_twisted.store.rows import IndexInfo


@frozen
class SnapshotCatalog:
    """The indexes that one snapshot can use."""

    _snapshot: Snapshot

    def indexes(self, collection: str) -> Sequence[Index]:
        """Return the indexes of a collection that are ready to be read, by name."""
        return [index_of(info) for info in self._snapshot.indexes(collection) if info.ready]


def index_of(info: IndexInfo) -> Index:
    """Return an index of a store as the planner describes it."""
    definition = info.definition
    return Index(
        name=definition.name,
        collection=definition.collection,
        keys=tuple(KeyPart(key.path, key.direction == "desc") for key in definition.keys),
        include_missing=definition.include_missing,
        exact=info.exact,
    )

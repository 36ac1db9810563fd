# SPDX-License-Identifier: Apache-2.0
"""The store without storage of `bench.dql` has all that INSERT asks of one."""

from __future__ import annotations

from typing import cast

from bench.dql import INSERT, WriteNothing, document, new_database, run_one
from edge_twisted.documents.versions import Replica, SiteId
from edge_twisted.store.interface import Store
from edge_twisted.store.memory.data import Data
from edge_twisted.store.memory.store import MemoryStore
from tests.support.dql_examples import outcome


def test_insert_above_the_store() -> None:
    memory = MemoryStore(Data(Replica(SiteId(b"a site's 16 byte"), 1)), now_ms=lambda: 0)
    memory.open()
    database = new_database(cast(Store, WriteNothing(memory)))
    result = outcome(run_one(database, INSERT, {"document": document(7)}))
    assert result.mutated_ids == ["order-000000007"]

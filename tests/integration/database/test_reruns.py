# SPDX-License-Identifier: Apache-2.0
"""Statements over a store that runs each unit of work twice: nothing is done twice."""

from __future__ import annotations

from edge_twisted.documents.versions import Replica, SiteId
from edge_twisted.store.interface import Store
from edge_twisted.store.memory.data import Data
from tests.integration.database import (
    test_attachment_rights,
    test_many_collections,
    test_statements,
)
from tests.integration.database.harness import DatabaseTestCase
from tests.support.rerun_store import RerunStore


class OnRerunStore(DatabaseTestCase):
    """Opens the database over such a store."""

    def make_store(self) -> Store:
        data = Data(Replica(SiteId(b"a site's 16 byte"), 1))
        return RerunStore(data, lambda: 1_790_000_000_000)


class Selects(OnRerunStore, test_statements.SelectTests):
    pass


class Mutations(OnRerunStore, test_statements.MutationTests):
    async def test_generated_ids(self) -> None:
        """Chance may fall otherwise in each run; the answer is that of the run that was stored."""
        result = await self.run_("INSERT INTO t DOCUMENTS ({'a': 1}) RETURNING _id")
        stored = await self.rows("SELECT _id FROM t")
        self.assertEqual([stored, result.items], [[{"_id": "new-2"}]] * 2)


class Naming(OnRerunStore, test_attachment_rights.NamingBlobs):
    pass


class Evictions(OnRerunStore, test_many_collections.EvictionTests):
    pass

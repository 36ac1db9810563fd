# SPDX-License-Identifier: Apache-2.0
"""Every store keeps the same contract."""

from __future__ import annotations

import os
import time
from pathlib import Path

from edge_twisted.documents.versions import Replica, SiteId
from edge_twisted.store.interface import Store
from edge_twisted.store.memory.data import Data
from edge_twisted.store.memory.store import MemoryStore
from edge_twisted.store.sqlite.files import Layout
from edge_twisted.store.sqlite.store import SqliteStore
from tests.integration.reactor import reactor
from tests.support import store_contract


def now_ms() -> int:
    return int(time.time() * 1000)


class MemoryStoreTests(store_contract.StoreContract):
    """The store that tests and simulations use."""

    async def make_store(self) -> Store:
        self.data = Data(Replica(SiteId(os.urandom(16)), 0))
        return await self._opened_on(self.data)

    async def reopen(self, store: Store) -> Store:
        await store.close()
        return await self._opened_on(self.data)

    async def _opened_on(self, data: Data) -> Store:
        store = MemoryStore(data, now_ms)
        await store.open()
        return store


class SqliteStoreTests(store_contract.StoreContract):
    """The store that servers use."""

    async def make_store(self) -> Store:
        self.folder = Path(self.mktemp())
        self.folder.mkdir(parents=True)
        return await self._opened_in(self.folder)

    async def reopen(self, store: Store) -> Store:
        await store.close()
        return await self._opened_in(self.folder)

    async def _opened_in(self, folder: Path) -> Store:
        store = SqliteStore(
            Layout(folder, "test"),
            threads=reactor,
            clock=reactor,
            now_ms=now_ms,
            entropy=os.urandom,
        )
        await store.open()
        return store

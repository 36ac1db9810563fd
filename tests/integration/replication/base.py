# SPDX-License-Identifier: Apache-2.0
"""Makes replicas on either store, with a clock that tests move."""

from __future__ import annotations

import os
from itertools import permutations
from pathlib import Path
from typing import Any

from attrs import evolve
from twisted.internet import reactor
from twisted.trial.unittest import TestCase

from edge_twisted.documents.versions import Replica as ReplicaName
from edge_twisted.documents.versions import SiteId
from edge_twisted.mesh.ports.requests import Scope, TransitRoute
from edge_twisted.store.interface import Store
from edge_twisted.store.memory.data import Data
from edge_twisted.store.memory.store import MemoryStore
from edge_twisted.store.sqlite.files import Layout
from edge_twisted.store.sqlite.store import SqliteStore
from tests.support.replica import ReplicaServer, ReplicaStream

START_MS = 1_790_000_000_000


class ReplicationTestCase(TestCase):
    """Stores in memory; see the subclasses for SQLite."""

    timeout = 60
    sqlite = False
    #: What a store in memory is made by.
    memory_store: type[MemoryStore] = MemoryStore

    def setUp(self) -> None:
        self.now = START_MS
        self.made = 0

    def now_ms(self) -> int:
        self.now += 1
        return self.now

    async def replica(
        self, name: str, *, drop_moved_out: bool = False, transit_bytes: int | None = None
    ) -> ReplicaServer:
        self.made += 1
        if self.sqlite:
            folder = Path(self.mktemp())
            folder.mkdir(parents=True)
            store: Store = SqliteStore(
                Layout(folder, "test"),
                threads=reactor,  # type: ignore[arg-type]
                clock=reactor,
                now_ms=self.now_ms,
                entropy=os.urandom,
            )
        else:
            data = Data(ReplicaName(SiteId(bytes([self.made]) * 16), 1))
            store = self.memory_store(data, self.now_ms)
        await store.open()
        self.addCleanup(store.close)
        replica = ReplicaServer(
            name, store, self.now_ms, drop_moved_out=drop_moved_out, transit_bytes=transit_bytes
        )
        # Before the store closes: the end of a test may come before who watches hears of a commit.
        self.addCleanup(replica.documents.stop)
        return replica

    def stream(
        self, sender: ReplicaServer, receiver: ReplicaServer, query: str, **more: Any
    ) -> ReplicaStream:
        arguments = more.pop("arguments", {})
        scope = receiver.documents.scope(query, arguments)
        if more.pop("in_transit", False):
            scope = evolve(scope, route=TransitRoute(()))
        return ReplicaStream(receiver=receiver, sender=sender, scope=scope, **more)

    def links(self, query: str, *replicas: ReplicaServer) -> list[ReplicaStream]:
        """Streams from each of some replicas to each other one."""
        return [self.stream(a, b, query) for a, b in permutations(replicas, 2)]

    async def pair(
        self, query: str = "SELECT * FROM c"
    ) -> tuple[ReplicaServer, ReplicaServer, ReplicaStream, ReplicaStream]:
        """Two replicas that subscribe to each other."""
        a, b = await self.replica("a"), await self.replica("b")
        return a, b, self.stream(b, a, query), self.stream(a, b, query)

    async def exchange(self, *streams: ReplicaStream) -> None:
        """Sync each stream until nothing changes any more."""
        for _ in range(10):
            before = [s.receiver.store.lsn for s in streams]
            for each in streams:
                await each.sync()
            if before == [s.receiver.store.lsn for s in streams]:
                return
        raise AssertionError("it never ends")

    async def reap(self, *replicas: ReplicaServer) -> None:
        """Forget all tombstones."""
        self.now += 10
        for each in replicas:
            await each.store.reap(self.now, 1000)

    def same(self, *replicas: ReplicaServer, tombstones: bool = True) -> None:
        """The replicas have the same documents, byte for byte."""
        found = [everything(each, tombstones) for each in replicas]
        for each in found[1:]:
            self.assertEqual(each, found[0])


def everything(replica: ReplicaServer, tombstones: bool = True) -> dict[str, Any]:
    """Return all documents with their states, and the fingerprints."""
    result: dict[str, Any] = {}
    with replica.store.snapshot() as snapshot:
        for change in snapshot.changes_after(0, limit=10**6, limit_bytes=10**9).changes:
            document = change.document
            if document.body is not None or tombstones:
                place = f"{change.collection}/{document.id_key.hex()}"
                result[place] = (document.body, document.state, document.digest)
        for info in snapshot.collections():
            if info.count:
                result[info.name] = info.fingerprint
    return result


def key_scope(replica: ReplicaServer, query: str) -> Scope:
    return replica.documents.scope(query, {})

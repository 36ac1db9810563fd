# SPDX-License-Identifier: Apache-2.0
"""What the oracle of the simulation still holds for certain after a loss that is allowed."""

from __future__ import annotations

from typing import Any

from edge_twisted.documents.headers import read_header
from edge_twisted.documents.ids import DocumentId
from edge_twisted.store.interface import UnitOfWork
from tests.integration.replication.base import ReplicationTestCase
from tests.support.replica import ReplicaServer
from tests.support.simulation.contents import Contents
from tests.support.simulation.node import Server
from tests.support.simulation.oracle import ObservedState, Oracle
from tests.support.simulation.scenario import WHOLE, Mesh
from tests.support.simulation.storage import MemoryStorage
from tests.support.simulation.workload import WorkloadStatement
from tests.support.simulation.world import World

X = ("c", DocumentId.of("x").key)
OPEN = "SELECT * FROM c WHERE open = true"


def _everything(record: ObservedState) -> bool:
    return True


def _nothing(record: ObservedState) -> bool:
    return False


class ForgettingTests(ReplicationTestCase):
    """
    `a` and `c` hold everything; `b` wants what is open, and drops the rest.

    `b` writes x, `a` closes it, and so `b` drops it.
    """

    async def _dropped(self) -> tuple[ReplicaServer, ReplicaServer]:
        a = self.a = await self.replica("a")
        b = self.b = await self.replica("b", drop_moved_out=True)
        self.c = await self.replica("c")
        self.oracle = Oracle()
        to_a, to_b = self.stream(b, a, "SELECT * FROM c"), self.stream(a, b, OPEN)
        b.documents.subscribe([to_b.scope])
        await b.insert("c", {"_id": "x", "open": True})
        self._record(1, b)
        self.backup = Contents.of(b.store)
        self.written = read_header(self.backup.documents[X].state).version
        await to_a.sync()
        await a.run("UPDATE c SET open = false")
        self._record(0, a)
        await to_b.sync()
        self.assertEqual(await b.rows("SELECT * FROM c"), [])
        return a, b

    def _record(self, number: int, replica: ReplicaServer) -> None:
        self.oracle.wrote(number, X, Contents.of(replica.store).documents[X])

    def _now(self) -> dict[int, Contents]:
        return {n: Contents.of(each.store) for n, each in enumerate((self.a, self.b, self.c))}

    def _is_certain(self) -> bool:
        """Return whether what `b` wrote must be there in the end."""
        return self.oracle.bounds()[X].must.version.includes(self.written)

    async def _evict_from(self, number: int, replica: ReplicaServer) -> None:
        before = Contents.of(replica.store)
        await replica.run("EVICT FROM c WHERE _id = 'x'")
        self.oracle.forget(number, _everything, before=before, now=self._now())

    async def test_what_was_dropped_goes_with_the_copy_that_it_was_safe_in(self) -> None:
        a, _ = await self._dropped()
        self.assertTrue(self._is_certain())
        await self._evict_from(0, a)
        self.assertFalse(self._is_certain())

    async def test_who_is_restored_loses_what_others_dropped(self) -> None:
        a, _ = await self._dropped()
        now = {**self._now(), 0: Contents()}
        self.oracle.forget(0, _everything, before=Contents.of(a.store), now=now)
        self.assertFalse(self._is_certain())

    async def test_a_backup_that_still_has_it_keeps_it(self) -> None:
        a, _ = await self._dropped()
        self.oracle.forget(0, _nothing, before=Contents.of(a.store), now=self._now())
        self.assertFalse(self.oracle.records[0].lost)

    async def test_a_backup_brings_back_what_was_lost(self) -> None:
        a, b = await self._dropped()
        await self._evict_from(0, a)
        now = {**self._now(), 1: self.backup}
        self.oracle.forget(1, _nothing, before=Contents.of(b.store), now=now)
        self.assertTrue(self._is_certain())

    async def test_what_a_third_one_holds_stays(self) -> None:
        a, _ = await self._dropped()
        await self.stream(a, self.c, "SELECT * FROM c").sync()
        await self._evict_from(0, a)
        self.assertTrue(self._is_certain())
        await self._evict_from(2, self.c)
        self.assertFalse(self._is_certain())

    async def test_who_never_had_it_does_not_lose_it_for_others(self) -> None:
        a, _ = await self._dropped()
        await a.store.write("vanish", self._vanish)
        await self._evict_from(2, self.c)
        self.assertFalse(self.oracle.records[0].lost)

    async def test_what_vanished_was_not_dropped(self) -> None:
        """It was there and is not, and nothing says why: that is what the oracle is there for."""
        a, b = await self._dropped()
        await b.store.write("vanish", self._forget_why)
        await self._evict_from(0, a)
        self.assertTrue(self._is_certain())

    async def test_what_came_back_was_not_let_go(self) -> None:
        a, _ = await self._dropped()
        now = self._now()
        now[1] = Contents(self.backup.documents, now[1].departed)
        self.oracle.forget(0, _nothing, before=Contents.of(a.store), now={**now, 0: Contents()})
        self.assertFalse(self.oracle.records[0].lost)

    async def test_what_was_dropped_and_written_anew_counts_by_its_version(self) -> None:
        a, b = await self._dropped()
        await b.insert("c", {"_id": "x", "open": True})
        self._record(1, b)
        anew = read_header(Contents.of(b.store).documents[X].state).version
        await self._evict_from(0, a)
        self.assertEqual(self.oracle.bounds()[X].must.version, anew)

    def _vanish(self, unit: UnitOfWork) -> None:
        unit.remove(*X)

    def _forget_why(self, unit: UnitOfWork) -> None:
        ((key, _),) = unit.facts("evicted")
        unit.put_fact("evicted", key, None)


class HeldWhileDownTests(ReplicationTestCase):
    """Crashing loses nothing, and a backup is known before it is opened."""

    def _mesh(self) -> tuple[Mesh, Server]:
        world = World(1, None)
        mesh = Mesh(world, None)
        mesh.servers = [
            Server(world, number, MemoryStorage(world, bytes([number]) * 16), WHOLE)
            for number in range(2)
        ]
        return mesh, mesh.servers[1]

    def _insert(self, mesh: Mesh, server: Server, id_: Any) -> None:
        text = "INSERT INTO c DOCUMENTS (:d)"
        mesh.run(server, WorkloadStatement("insert", text, {"d": {"_id": id_}}, "c"))

    def test_who_is_down_holds_what_it_had(self) -> None:
        mesh, server = self._mesh()
        self._insert(mesh, server, "x")
        server.crash()
        self.assertEqual(list(server.held.documents), [X])
        server.start()
        self.assertEqual(list(server.held.documents), [X])

    def test_who_is_being_restored_holds_its_backup(self) -> None:
        mesh, server = self._mesh()
        self._insert(mesh, server, "x")
        mesh._fault_restore(server)
        while server.is_up:
            # Each time it may be backed up once more instead; so there is more to lose.
            self._insert(mesh, server, f"more-{mesh.oracle.serial}")
            mesh._fault_restore(server)
        held = mesh.backups[1][1]
        self.assertIs(server.held, held)
        bounds = mesh.oracle.bounds()
        certain = {place for place, each in bounds.items() if each.must.version}
        self.assertEqual(certain, held.documents.keys())
        self.assertLess(certain, bounds.keys())
        server.start()
        self.assertEqual(server.held.documents.keys(), held.documents.keys())

# SPDX-License-Identifier: Apache-2.0
"""The reaper over many collections: every step is small, and goes on where the last one ended."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Event
from typing import cast

from twisted.internet.defer import CancelledError, Deferred

from edge_twisted.store.hooks import RemovalHooks
from edge_twisted.store.housekeeping import Housekeeping, Retention
from edge_twisted.store.interface import Store, UnitOfWork
from edge_twisted.store.rows import StoredDocument
from edge_twisted.store.sqlite import reaper
from edge_twisted.store.sqlite import writer as writing
from edge_twisted.store.sqlite.store import SqliteStore
from edge_twisted.store.sqlite.unit import SqliteUnit
from edge_twisted.store.sqlite.writer import QueuedUnit
from tests.integration.reactor import reactor
from tests.integration.store.base import SqliteTestCase
from tests.support.failing_disk import FailingDisk, Fault, Plan
from tests.support.stored_documents import deleting, key, put

COLLECTIONS = 30
#: Everything that was ever deleted is older than this.
ALWAYS = 2**47


class Broken(Exception):
    """What a hook raises in these tests."""


def names(count: int) -> list[str]:
    return [f"c{number:02}" for number in range(count)]


class ReapingTests(SqliteTestCase):
    timeout = 60

    def setUp(self) -> None:
        super().setUp()
        # The clock of a slow machine: each step is over after the first look at anything.
        self.patch(reaper, "STEP_SECONDS", 0.0)
        self.heard: list[str] = []

    async def deleted_in(self, count: int, each: int = 1, vfs: str | None = None) -> Store:
        """Return a store with tombstones in so many collections."""
        store = await self.opened(vfs=vfs)

        def insert(unit: UnitOfWork) -> None:
            for name in names(count):
                for number in range(each):
                    put(unit, name, number, {})

        await store.write("insert", insert)
        for name in names(count):
            for number in range(each):
                await store.write("delete", deleting(name, number))
        store.before_reap(self.hear)
        return store

    def hear(self, unit: UnitOfWork, collection: str, rows: Sequence[StoredDocument]) -> None:
        self.heard.extend([collection] * len(rows))

    def left_in(self, store: Store, count: int) -> list[str]:
        with store.snapshot() as snapshot:
            return [name for name in names(count) if snapshot.get(name, key(0)) is not None]

    async def test_a_run_ends_though_every_step_ends_early(self) -> None:
        store = await self.deleted_in(COLLECTIONS)
        self.assertEqual(await store.reap(1, 100), 0, "nothing is old enough")
        self.assertEqual(await store.reap(ALWAYS, 1_000), COLLECTIONS)
        self.assertEqual(self.heard, names(COLLECTIONS), "each was looked at once")
        self.assertEqual(self.left_in(store, COLLECTIONS), [])

    async def test_many_tombstones_of_one_collection_take_many_steps(self) -> None:
        self.patch(reaper, "STEP_ROWS", 3)
        store = await self.deleted_in(2, each=10)
        self.assertEqual(await store.reap(ALWAYS, 14), 14)
        self.assertEqual(self.heard, ["c00"] * 10 + ["c01"] * 4)
        self.assertEqual(await store.reap(ALWAYS, 14), 6)

    async def test_a_run_begins_where_the_last_one_ended(self) -> None:
        """So that one collection with ever new tombstones does not keep the others waiting."""
        store = await self.deleted_in(3, each=4)
        for _ in range(4):
            await store.reap(ALWAYS, 3)
        self.assertEqual(self.heard[:6], ["c00"] * 4 + ["c01"] * 2)
        self.heard.clear()
        await store.write("insert", lambda unit: put(unit, "c00", 9, {}))
        await store.write("delete", deleting("c00", 9))
        await store.reap(ALWAYS, 100)
        self.assertEqual(self.heard, ["c00"])

    async def test_a_collection_that_cannot_be_reaped_keeps_no_other_waiting(self) -> None:
        store = await self.deleted_in(3)

        def breaking(unit: UnitOfWork, collection: str, rows: Sequence[StoredDocument]) -> None:
            if collection == "c01":
                raise Broken

        store.before_reap(breaking)
        with self.assertRaises(Broken):
            await store.reap(ALWAYS, 100)
        self.flushLoggedErrors(Broken)
        with self.assertRaises(Broken):
            await store.reap(ALWAYS, 100)
        self.flushLoggedErrors(Broken)
        self.assertEqual(self.left_in(store, 3), ["c01"])

    async def test_looking_writes_nothing(self) -> None:
        """Steps that find nothing old cost no fsync."""
        store = await self.deleted_in(COLLECTIONS)
        log = self.layout.database.with_name(self.layout.database.name + "-wal")
        before = log.stat().st_size, log.stat().st_mtime_ns
        self.assertEqual(await store.reap(1, 100), 0)
        self.assertEqual((log.stat().st_size, log.stat().st_mtime_ns), before)

    async def test_a_run_that_is_cancelled_ends_after_its_step(self) -> None:
        store = await self.deleted_in(COLLECTIONS)
        run = store.reap(ALWAYS, 1_000)
        cancelled = Event()

        def cancel() -> None:
            run.cancel()
            cancelled.set()

        def wait(unit: UnitOfWork, collection: str, rows: Sequence[StoredDocument]) -> None:
            if collection == "c04":
                reactor.callFromThread(cancel)
                cancelled.wait(30)

        store.before_reap(wait)
        with self.assertRaises(CancelledError):
            await run
        await store.close()
        self.assertEqual(self.heard, names(5))

    async def test_housekeeping_stops_in_the_middle(self) -> None:
        """Stopping neither waits for the end of a run nor calls it a failure."""
        store = await self.deleted_in(COLLECTIONS)
        retention = Retention(first_run_seconds=0.0)
        keeping = Housekeeping(store, reactor, lambda: ALWAYS, retention)
        stopped: Deferred[None] = Deferred()
        stopping = Event()

        def stop() -> None:
            Deferred.fromCoroutine(keeping.stop()).chainDeferred(stopped)
            stopping.set()

        def wait(unit: UnitOfWork, collection: str, rows: Sequence[StoredDocument]) -> None:
            if collection == "c04":
                reactor.callFromThread(stop)
                stopping.wait(30)

        store.before_reap(wait)
        keeping.start()
        await stopped
        await store.close()
        self.assertEqual(self.heard, names(5))
        self.assertEqual(self.flushLoggedErrors(), [])

    async def test_a_step_that_was_lost_is_done_again(self) -> None:
        """The disk fails under a step: what it reaped is there again, and goes in the next try."""
        disk = FailingDisk()
        store = await self.deleted_in(6, vfs=disk.name)
        sqlite = cast("SqliteStore", store)
        assert sqlite._open is not None
        writer = sqlite._open.writer
        execute, steps = writer._execute, [0]

        def failing(units: list[QueuedUnit]) -> object:
            steps[0] += units[0].name == "maintenance"
            if steps[0] == 3:
                disk.arm(Plan(Fault.FULL, 1))
            return execute(units)

        self.patch(writer, "_execute", failing)
        self.patch(writing, "REST_SECONDS", 0.0)
        self.assertEqual(await store.reap(ALWAYS, 100), 6)
        self.assertEqual(self.left_in(store, 6), [])
        self.assertEqual(self.heard.count("c02"), 2, "the third step was lost once")
        self.flushLoggedErrors()


class StepTests(SqliteTestCase):
    async def test_a_step_is_bounded_in_time(self) -> None:
        """It ends at the first look at the watch after its time, however much there is to do."""
        store = await self.opened()
        for name in names(10):
            await store.write("insert", lambda unit, name=name: put(unit, name, 1, {}))  # type: ignore[misc]
            await store.write("delete", deleting(name, 1))
        times = iter([0.0, 1.0, 2.0, 100.0, 101.0, 200.0])
        self.patch(reaper, "STEP_SECONDS", 50.0)
        self.patch(reaper, "perf_counter", lambda: next(times))
        job: Callable[[SqliteUnit], bool] = reaper.ReapJob(ALWAYS, 100, RemovalHooks())
        step = cast("Callable[[UnitOfWork], bool]", job)
        self.assertTrue((await store.write("step", step)).result)
        with store.snapshot() as snapshot:
            gone = [name for name in names(10) if snapshot.get(name, key(1)) is None]
        self.assertEqual(gone, names(3))

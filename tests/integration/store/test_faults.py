# SPDX-License-Identifier: Apache-2.0
"""The disk fails at every place of a small workload; nothing that was acknowledged is lost."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from typing import Any

from attrs import define, field
from twisted.internet.defer import DeferredList
from twisted.python.failure import Failure

from edge_twisted.records.documents import document_of
from edge_twisted.store.errors import StoreError, StoreFull, StoreIOError, StoreReadOnly
from edge_twisted.store.interface import Snapshot, Store
from edge_twisted.store.rows import IndexDefinition, IndexKey
from edge_twisted.store.sqlite import writer
from edge_twisted.store.sqlite.files import Layout
from edge_twisted.store.sqlite.tools.checks import check
from tests.integration.store.base import SqliteTestCase, delete, ids_in, insert
from tests.support.failing_disk import FailingDisk, Fault, Plan

ERRORS: dict[Fault, type[StoreError]] = {
    Fault.FULL: StoreFull,
    Fault.SHORT_WRITE: StoreFull,
    Fault.WRITE_ERROR: StoreIOError,
    Fault.SYNC_ERROR: StoreIOError,
    Fault.READ_ONLY: StoreReadOnly,
}
BEFORE = set(range(4))
AFTER, LAST = 998, 999
#: Fills more than one page, so that a unit can be torn.
LONG = "x" * 4500


def ids(snapshot: Snapshot) -> set[Any]:
    return {document_of(body)["_id"] for batch in snapshot.scan("c") for _, body in batch}


@define(eq=False)
class Account:
    """What the store said of each write."""

    present: set[int] = field(factory=lambda: set(BEFORE))
    doubtful: set[int] = field(factory=set)
    errors: list[BaseException | None] = field(factory=list)

    async def tell(self, store: Store, work: dict[int, Any]) -> None:
        """Do units of work at once: each inserts or deletes one document."""
        units = [store.write(f"unit {n}", unit) for n, unit in work.items()]
        outcomes: list[tuple[bool, Any]] = await DeferredList(units, consumeErrors=True)
        for number, (_, outcome) in zip(work, outcomes, strict=True):
            if isinstance(outcome, Failure):
                self.doubtful.add(number)
                self.errors.append(outcome.value)
            elif number in self.present:
                self.present.discard(number)
            else:
                self.present.add(number)


class FaultTestCase(SqliteTestCase):
    """A small store, copied for every case."""

    timeout = 120

    def setUp(self) -> None:
        super().setUp()
        # So that the log is copied into the file in the middle of the workload.
        self.patch(writer, "CHECKPOINT_FRAMES", 12)
        self.disk, self.other = FailingDisk(), FailingDisk()
        self.cases = 0

    async def template(self) -> Layout:
        store = await self.opened()
        for number in sorted(BEFORE):
            await store.write("insert", insert(number))
        definition = IndexDefinition(collection="c", name="by_n", keys=(IndexKey(path=("n",)),))
        await store.write("index", lambda unit: unit.create_index(definition))
        await store.index_ready("c", "by_n")
        await store.close()
        return self.layout

    def copied(self, template: Layout) -> Layout:
        self.cases += 1
        copy = Layout(self.folder / f"case-{self.cases}", template.name)
        shutil.copytree(template.folder, copy.folder)
        return copy

    async def workload(self, store: Store) -> Account:
        account = Account()
        await account.tell(store, {10: insert(10)})
        await account.tell(store, {11: insert(11, text=LONG), 12: insert(12), 1: delete(1)})
        await account.tell(store, {13: insert(13, text=LONG)})
        await account.tell(store, {2: delete(2), 14: insert(14)})
        return account

    def assert_kept(self, store: Store, account: Account, what: object) -> None:
        found = ids_in(store) - account.doubtful
        self.assertEqual(found, account.present - account.doubtful, what)

    async def crashed(self, layout: Layout, account: Account, what: object) -> None:
        """What another process would find if this one ended now."""
        copy = self.copied(layout)
        copy.database.with_name(copy.database.name + "-shm").unlink(missing_ok=True)
        store = await self.opened(copy, self.other.name)
        self.assert_kept(store, account, what)
        await store.close()
        self.assertEqual(check(copy), [], what)

    async def case(self, template: Layout, plan: Plan) -> bool:
        """Run the workload on a disk that fails; return whether it did."""
        layout = self.copied(template)
        store = await self.opened(layout, self.disk.name)
        self.disk.arm(plan)
        account = await self.workload(store)
        if self.disk.failed:
            await self.failed(store, layout, account, plan)
        await store.close()
        failed = self.disk.failed
        self.disk.heal()
        self.assertEqual(check(layout), [], plan)
        store = await self.opened(layout, self.disk.name)
        self.assert_kept(store, account, plan)
        await store.close()
        shutil.rmtree(layout.folder)
        return failed

    async def failed(self, store: Store, layout: Layout, account: Account, plan: Plan) -> None:
        """The disk failed during the workload: what the store said is true, and it goes on."""
        for error in account.errors:
            self.assertIsInstance(error, ERRORS[plan.fault], plan)
        self.assert_kept(store, account, plan)
        with store.snapshot() as snapshot:
            info = snapshot.collection("c")
        assert info is not None
        self.assertEqual(info.count, len(ids_in(store)), plan)
        self.assertEqual(await store.read("ids", ids), ids_in(store), plan)
        if plan.lasting:
            # Maybe only the copying of the log was hit, which is nobody's write: the next one is.
            await account.tell(store, {AFTER: insert(AFTER)})
            self.assertIn(AFTER, account.doubtful, plan)
            self.assertIsInstance(account.errors[-1], ERRORS[plan.fault], plan)
        if plan.lasting and plan.at % 2:
            await self.crashed(layout, account, plan)
        self.disk.heal()
        await account.tell(store, {LAST: insert(LAST)})
        self.assertIn(LAST, account.present, plan)
        # What failed did not happen: the store says so as long as it runs, and after.
        account.doubtful.clear()
        self.assert_kept(store, account, plan)

    async def every(self, faults: Sequence[Fault], *, lasting: bool) -> None:
        """Fail at each call in turn; the kinds of faults take turns."""
        template = await self.template()
        at = 0
        failed = True
        while failed:
            at += 1
            failed = await self.case(template, Plan(faults[at % len(faults)], at, lasting))
        self.assertGreater(at, 4)
        self.disk.unregister()
        self.other.unregister()
        self.flushLoggedErrors()


class WriteFaultTests(FaultTestCase):
    """Each call fails, once or from then on."""

    async def test_a_write_fails(self) -> None:
        await self.every([Fault.FULL, Fault.WRITE_ERROR], lasting=False)

    async def test_all_writes_fail(self) -> None:
        kinds = [Fault.SHORT_WRITE, Fault.READ_ONLY, Fault.FULL, Fault.WRITE_ERROR]
        await self.every(kinds, lasting=True)

    async def test_a_sync_fails(self) -> None:
        await self.every([Fault.SYNC_ERROR], lasting=False)

    async def test_all_syncs_fail(self) -> None:
        await self.every([Fault.SYNC_ERROR], lasting=True)

# SPDX-License-Identifier: Apache-2.0
"""Opening on a failing disk, folders that cannot be written, damaged pages and states."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from twisted.internet.defer import Deferred

from edge_twisted.documents.ids import DocumentId
from edge_twisted.records.documents import load_state
from edge_twisted.store.errors import (
    StoreCorrupt,
    StoreError,
    StoreFull,
    StoreIOError,
    StoreReadOnly,
)
from edge_twisted.store.interface import Snapshot
from edge_twisted.store.sqlite.files import Layout
from edge_twisted.store.sqlite.tools.checks import check
from tests.integration.store.base import SqliteTestCase, delete, ids_in, insert
from tests.support.failing_disk import FailingDisk, Fault, Plan

PAGE = 4096
NOBODY = 65534
KEY = DocumentId.of(42).key


@contextmanager
def unwritable(folder: Path) -> Iterator[None]:
    """Let nobody write in `folder`, not even the superuser who may run the tests."""
    modes = {path: path.stat().st_mode for path in (folder, *folder.rglob("*"))}
    privileged = os.geteuid() == 0
    for path in modes:
        path.chmod(0o555 if path.is_dir() else 0o444)
    if privileged:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if privileged:
            os.seteuid(0)
        for path, mode in modes.items():
            path.chmod(mode)


class OpeningFaultTests(SqliteTestCase):
    """The disk fails while a store is made or opened."""

    async def every(self, kinds: dict[Fault, type[StoreError]], at_least: int) -> None:
        disk = FailingDisk()
        at, failed = 0, True
        while failed:
            at += 1
            fault, error = list(kinds.items())[at % len(kinds)]
            disk.arm(Plan(fault, at))
            try:
                store = await self.opened(vfs=disk.name)
            except StoreError as raised:
                self.assertIsInstance(raised, error, (fault, at))
                disk.heal()
                store = await self.opened(vfs=disk.name)
            failed = disk.failed
            disk.heal()
            await store.write("insert", insert(at))
            await store.close()
            self.assertEqual(check(self.layout), [], (fault, at))
            if fault.operation == "write":
                # Each time anew: making a store is what is under test.
                shutil.rmtree(self.layout.folder)
        self.assertGreater(at, at_least)
        disk.unregister()
        self.flushLoggedErrors()

    async def test_writes_fail_while_made(self) -> None:
        await self.every({Fault.FULL: StoreFull, Fault.WRITE_ERROR: StoreIOError}, 10)

    async def test_reads_fail_while_opened(self) -> None:
        store = await self.opened()
        await store.write("insert", insert(0))
        await store.close()
        await self.every({Fault.READ_ERROR: StoreIOError}, 5)


class ReadOnlyTests(SqliteTestCase):
    """Folders that the server may not write."""

    def setUp(self) -> None:
        super().setUp()
        # Not below the tests' own folder: who has no privileges may not enter that.
        self.folder = Path(tempfile.mkdtemp())
        self.folder.chmod(0o755)
        self.addCleanup(shutil.rmtree, self.folder)
        self.layout = Layout(self.folder / "data", "test")

    async def test_no_store_can_be_made(self) -> None:
        with unwritable(self.folder):
            error = await self.assertFailure(Deferred.fromCoroutine(self.opened()), StoreReadOnly)
        self.assertIn(str(self.layout.folder), str(error))

    async def test_a_store_cannot_be_opened_and_is_unharmed(self) -> None:
        store = await self.opened()
        await store.write("insert", insert(1))
        await store.close()
        with unwritable(self.folder):
            await self.assertFailure(Deferred.fromCoroutine(self.opened()), StoreReadOnly)
        store = await self.opened()
        self.assertEqual(ids_in(store), {1})

    async def test_one_that_is_open_goes_on(self) -> None:
        """Its files are open already; and if not, the error says what it is."""
        store = await self.opened()
        await store.write("insert", insert(1))
        with unwritable(self.folder):
            await store.write("insert", insert(2))
            self.assertEqual(ids_in(store), {1, 2})
        await store.close()


class DamageTests(SqliteTestCase):
    """Bytes that are not what was written."""

    async def test_every_page(self) -> None:
        """Damage is told, or not met; never another error, and never a hang."""
        store, _ = await self.filled()
        await store.close()
        template, told = self.layout, 0
        data = template.database.read_bytes()
        self.assertEqual(len(data) % PAGE, 0)
        for number in range(len(data) // PAGE):
            for filler in (b"\0", b"\xff"):
                self.layout = Layout(self.folder / f"page-{number}-{filler.hex()}", template.name)
                shutil.copytree(template.folder, self.layout.folder)
                with self.layout.database.open("r+b") as file:
                    file.seek(number * PAGE)
                    file.write(filler * 200)
                told += await self._used()
        self.assertGreater(told, 5)
        self.flushLoggedErrors()

    async def _used(self) -> bool:
        """Open a damaged store, read and write; return whether damage was told."""
        try:
            store = await self.opened()
        except StoreCorrupt:
            return True
        told = False
        for work in (insert(500), delete(7)):
            try:
                await store.write("write", work)
            except StoreCorrupt:
                told = True
        try:
            ids_in(store)
            await store.read("scan", _scan)
        except StoreCorrupt:
            told = True
        await store.close()
        return told

    async def test_a_damaged_state_is_told_and_harms_nothing_else(self) -> None:
        store, _ = await self.filled()
        with store.snapshot() as snapshot:
            found = snapshot.get("c", KEY)
        assert found is not None
        for at in range(len(found.state)):
            for damaged in (found.state[:at], _flipped(found.state, at)):
                self.tamper("UPDATE documents SET state = ? WHERE id = ?", damaged, KEY)
                with store.snapshot() as snapshot:
                    try:
                        load_state(snapshot, "c", KEY)
                    except StoreCorrupt as error:
                        self.assertIn(KEY.hex(), str(error))
                    else:
                        # A flipped bit of a stamp is a stamp.
                        self.assertEqual(len(damaged), len(found.state))
        self.tamper("UPDATE documents SET state = x'c1' WHERE id = ?", KEY)
        await self.assertFailure(store.write("delete", delete(42)), StoreCorrupt)
        await store.write("delete", delete(43))
        self.assertEqual(ids_in(store), set(range(101)) - {5, 43})

    async def test_a_damaged_body_is_told(self) -> None:
        store, _ = await self.filled()
        for body in ("x'ffff'", "jsonb('[1]')", "jsonb('7')", "x''", "x'8cff'"):
            self.tamper(f"UPDATE documents SET body = {body} WHERE id = ?", KEY)
            await self.assertFailure(store.write("delete", delete(42)), StoreCorrupt)
            self.assertRaises(StoreCorrupt, ids_in, store)
        await store.write("delete", delete(43))


def _flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]


def _scan(snapshot: Snapshot) -> int:
    return sum(len(batch) for batch in snapshot.scan("c"))

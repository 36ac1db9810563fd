# SPDX-License-Identifier: Apache-2.0
"""Files of older servers are opened and upgraded; those of newer ones are refused."""

from __future__ import annotations

import shutil

from twisted.internet.defer import Deferred

from edge_twisted.records.documents import document_of
from edge_twisted.store.errors import StoreError, StoreFull, StoreTooNew
from edge_twisted.store.interface import Store
from edge_twisted.store.sqlite import opening
from edge_twisted.store.sqlite.files import Layout
from edge_twisted.store.sqlite.migrations import Migration, shipped_migrations
from edge_twisted.store.sqlite.tools.checks import check
from tests.integration.store.base import SqliteTestCase, insert
from tests.integration.store.schema_fixtures import DELETED, DOCUMENTS, FOLDER, fixture, unpack
from tests.support.failing_disk import FailingDisk, Fault, Plan

NEWEST = shipped_migrations()[-1].version
#: A version that no server has; it moves what was there, and adds something.
NEXT = Migration(
    version=NEWEST + 1,
    compat=NEWEST + 1,
    text="""
        CREATE TABLE novelties (number INTEGER PRIMARY KEY, found BLOB);
        INSERT INTO novelties SELECT row, id FROM documents;
        ALTER TABLE facts RENAME COLUMN value TO worth;
        ALTER TABLE facts RENAME COLUMN worth TO value;
    """,
)
BROKEN = Migration(
    version=NEWEST + 1,
    compat=NEWEST + 1,
    text="CREATE TABLE novelties (number); DROP TABLE nothing;",
)


class SchemaTestCase(SqliteTestCase):
    """A store of the newest shipped version, and servers that know one more."""

    def setUp(self) -> None:
        super().setUp()
        unpack(fixture(NEWEST), self.layout)
        self.copy = self.layout.folder / f"{self.layout.name}.db.before-v{NEXT.version}"

    def know(self, *more: Migration) -> None:
        known = (*shipped_migrations(), *more)
        self.patch(opening, "shipped_migrations", lambda: known)

    def assert_all(self, store: Store) -> None:
        """All that the fixture's maker stored is there."""
        with store.snapshot() as snapshot:
            rows = [document_of(body) for batch in snapshot.scan("c") for _, body in batch]
            found = {document["_id"]: document for document in rows}
            ready = [index.ready for index in snapshot.indexes("c")]
            self.assertEqual(snapshot.fact("s", b"k"), b"v")
        expected = {number: each for number, each in DOCUMENTS.items() if number != DELETED}
        self.assertEqual(found, expected)
        self.assertEqual(ready, [True])

    def version(self) -> int:
        # The user_version of SQLite's header.
        return int.from_bytes(self.layout.database.read_bytes()[60:64], "big")


class FixtureTests(SchemaTestCase):
    """Every old file, in this server."""

    async def test_each_version_has_a_fixture_and_is_opened(self) -> None:
        paths = sorted(FOLDER.glob("schema-*.db.gz"))
        self.assertEqual(paths, [fixture(each.version) for each in shipped_migrations()])
        for path in paths:
            self.layout = Layout(self.folder / path.name, "test")
            unpack(path, self.layout)
            store = await self.opened()
            self.assert_all(store)
            await store.write("insert", insert(100))
            await store.close()
            self.assertEqual(check(self.layout), [])
            self.assertEqual(self.version(), NEWEST)


class UpgradeTests(SchemaTestCase):
    """A version that only this test knows."""

    async def test_an_upgrade_keeps_a_copy_that_the_old_server_opens(self) -> None:
        self.know(NEXT)
        store = await self.opened()
        self.assert_all(store)
        await store.write("insert", insert(100))
        await store.close()
        self.assertEqual(self.version(), NEXT.version)
        self.know()
        old = Layout(self.folder / "old", "test")
        old.folder.mkdir()
        shutil.copyfile(self.copy, old.database)
        store = await self.opened(old)
        self.assert_all(store)
        await store.close()
        self.assertEqual(check(old), [])

    async def test_a_newer_file_is_refused_with_the_way_out(self) -> None:
        self.know(NEXT)
        await (await self.opened()).close()
        before = self.layout.database.read_bytes()
        self.know()
        error = await self.assertFailure(Deferred.fromCoroutine(self.opened()), StoreTooNew)
        self.assertEqual(
            str(error),
            f"{self.layout.database}: written by a newer server (its format needs version "
            f"{NEXT.version}, this server knows {NEWEST}): upgrade the server, or restore the "
            "backup that was made before the upgrade",
        )
        self.assertEqual(self.layout.database.read_bytes(), before)

    async def test_a_newer_file_that_this_server_cannot_harm_is_opened(self) -> None:
        self.know(Migration(version=NEXT.version, compat=NEWEST, text="CREATE TABLE more (x)"))
        await (await self.opened()).close()
        self.know()
        store = await self.opened()
        self.assert_all(store)
        await store.close()
        self.assertEqual(self.version(), NEXT.version)

    async def test_an_upgrade_that_fails_changes_nothing(self) -> None:
        self.know(BROKEN)
        await self.assertFailure(Deferred.fromCoroutine(self.opened()), StoreError)
        self.know()
        store = await self.opened()
        self.assert_all(store)
        await store.close()
        self.assertEqual(self.version(), NEWEST)

    async def test_a_disk_that_fills_up_during_an_upgrade_harms_nothing(self) -> None:
        disk = FailingDisk()
        at, failed = 0, True
        while failed:
            at += 1
            unpack(fixture(NEWEST), self.layout)
            disk.arm(Plan(Fault.FULL, at, lasting=True))
            self.know(NEXT)
            try:
                store = await self.opened(vfs=disk.name)
            except StoreFull:
                disk.heal()
                store = await self.opened(vfs=disk.name)
            failed = disk.failed
            disk.heal()
            self.assert_all(store)
            await store.close()
            self.assertEqual(self.version(), NEXT.version)
        self.assertGreater(at, 3)
        disk.unregister()
        self.flushLoggedErrors()

# SPDX-License-Identifier: Apache-2.0
"""Backups beside a writing store, and what is restored of them."""

from __future__ import annotations

import shutil
from itertools import count

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread

from edge_twisted.documents.ids import DocumentId
from edge_twisted.store.blobs.folder import BlobFolder
from edge_twisted.store.errors import (
    BackupExists,
    DirectoryLocked,
    RestoreRefused,
    StoreCorrupt,
    StoreError,
)
from edge_twisted.store.hidden import PREFIX_BYTES, hidden_name
from edge_twisted.store.interface import UnitOfWork
from edge_twisted.store.sqlite.files import Layout
from edge_twisted.store.sqlite.tools.backups import backup, restore
from edge_twisted.store.sqlite.tools.checks import check
from tests.integration.store.base import BLOB, SqliteTestCase, ids_in, insert


class BackupTests(SqliteTestCase):
    """`backup` and `restore`."""

    async def test_a_backup_under_writes_holds_all_that_was_acknowledged(self) -> None:
        store, name = await self.filled()
        acknowledged = set(range(101)) - {5}
        running = True

        async def write(first: int) -> None:
            for number in count(first, 4):
                if not running:
                    return
                await store.write("insert", insert(number, text="x" * 300))
                acknowledged.add(number)

        writers = [Deferred.fromCoroutine(write(1000 + n)) for n in range(4)]
        for round_number in range(3):
            before = set(acknowledged)
            target = self.folder / f"backup-{round_number}"
            copied = await deferToThread(backup, self.layout, target)
            saved = Layout(target, "test")
            self.assertEqual(await deferToThread(check, saved), [])
            other = await self.opened(saved)
            found = ids_in(other)
            self.assertEqual((copied.documents, copied.lsn), (len(found), other.lsn))
            self.assertLessEqual(before, found)
            self.assertEqual(copied.blobs, 1)
            reader = await other.blobs.open(name)
            self.assertEqual(await reader.read(0, len(BLOB)), BLOB)
            reader.close()
            await other.close()
        running = False
        for writer in writers:
            await writer
        self.assertLessEqual(
            {path.name for path in self.folder.iterdir()},
            {"data", "backup-0", "backup-1", "backup-2"},
        )

    async def test_nothing_is_overwritten(self) -> None:
        await self.filled()
        target = self.folder / "target"
        target.mkdir()
        self.assertRaises(BackupExists, backup, self.layout, target)
        target.rmdir()
        target.symlink_to("nowhere")
        self.assertRaises(BackupExists, backup, self.layout, target)

    async def test_a_failed_backup_leaves_nothing(self) -> None:
        store, _ = await self.filled()
        await store.close()
        self.layout.database.write_bytes(b"no database" * 1000)
        self.assertRaises(StoreCorrupt, backup, self.layout, self.folder / "target")
        self.assertEqual([path.name for path in self.folder.iterdir()], ["data"])
        nowhere = Layout(self.folder, "nowhere")
        self.assertRaises(StoreError, backup, nowhere, self.folder / "target")

    async def test_what_is_restored_is_a_new_replica(self) -> None:
        store, name = await self.filled()
        before = store.replica
        backup(self.layout, self.folder / "target")
        await store.write("insert", insert(500))
        await store.close()
        shutil.rmtree(self.layout.folder)
        copied = restore(self.layout, self.folder / "target", "now")
        self.assertEqual((copied.documents, copied.blobs, copied.absent), (100, 1, 0))
        self.assertEqual(check(self.layout), [])
        store = await self.opened()
        self.assertEqual(store.replica.site, before.site)
        self.assertGreater(store.replica.epoch, before.epoch)
        self.assertEqual(ids_in(store), set(range(101)) - {5})
        self.assertIsNotNone(store.blobs.find(name))
        self.assertEqual(
            {path.name for path in self.layout.folder.iterdir() if path.suffix != ".lock"},
            {"test.db", "test.db-wal", "test.db-shm", "test.attachments"},
        )

    async def test_restoring_refuses_what_would_harm(self) -> None:
        store, _ = await self.filled()
        target = self.folder / "target"
        backup(self.layout, target)
        self.assertRaises(DirectoryLocked, restore, self.layout, target, "now", force=True)
        await store.close()
        self.assertRaises(RestoreRefused, restore, self.layout, target, "now")
        other = Layout(self.folder / "other", "another-name")
        self.assertRaises(RestoreRefused, restore, other, target, "now")
        BlobFolder(target / "test.attachments").path(_only(target)).unlink()
        self.assertRaises(StoreCorrupt, restore, self.layout, target, "now", force=True)
        self.assertEqual(check(self.layout), [])

    async def test_what_is_in_quarantine_hinders_nothing(self) -> None:
        store, _ = await self.filled()
        store.before_quarantine(lambda unit, collection, rows: None)
        key = DocumentId.of(42).key
        self.tamper("UPDATE documents SET body = NULL WHERE id = ?", key)
        self.assertTrue(await store.quarantine("c", key))
        backup(self.layout, self.folder / "target")
        await store.close()
        restore(self.layout, self.folder / "target", "now", force=True)
        store = await self.opened()
        self.assertEqual(store.damage.documents, 1)
        self.flushLoggedErrors()

    async def test_force_moves_the_old_aside(self) -> None:
        store, _ = await self.filled()
        target = self.folder / "target"
        backup(self.layout, target)
        await store.write("insert", insert(500))
        await store.close()
        restore(self.layout, target, "now", force=True)
        store = await self.opened()
        self.assertNotIn(500, ids_in(store))
        aside = Layout(self.layout.folder / "test.replaced-now", "test")
        self.assertEqual(check(aside), [])
        old = await self.opened(aside)
        self.assertIn(500, ids_in(old))

    async def test_blobs_that_nothing_names_stay_behind(self) -> None:
        store, _ = await self.filled()
        upload = await store.blobs.upload()
        await upload.write(b"nobody's")
        info = await upload.finish()
        copied = backup(self.layout, self.folder / "target")
        self.assertEqual(copied.blobs, 1)
        self.assertEqual(check(Layout(self.folder / "target", "test")), [])
        other = await self.opened(Layout(self.folder / "target", "test"))
        self.assertIsNone(other.blobs.find(info.id))

    async def test_what_is_kept_for_others_is_in_no_backup(self) -> None:
        store, _ = await self.filled()
        upload = await store.blobs.upload()
        await upload.write(b"for others")
        info = await upload.finish()
        hidden = hidden_name("c")

        def put(unit: UnitOfWork) -> None:
            for number in range(300):
                unit.put(
                    hidden,
                    DocumentId.of(number).key,
                    body=b'{"_id":%d,"n":"passing through"}' % number,
                    state=b"passing state",
                    attachments=(info.id,),
                )
            unit.put_fact("evicted", PREFIX_BYTES + b"c\x00passing key", b"x")
            # Of these nothing but free pages is left.
            for number in range(100, 300):
                unit.remove(hidden, DocumentId.of(number).key)

        await store.write("others", put)
        target = Layout(self.folder / "target", "test")
        copied = backup(self.layout, target.folder)
        self.assertEqual((copied.documents, copied.blobs), (100, 1))
        self.assertEqual(check(target), [])
        written = target.database.read_bytes()
        self.assertEqual([b"passing" in written, info.id.encode() in written], [False, False])
        other = await self.opened(target)
        with other.snapshot() as snapshot:
            self.assertEqual(snapshot.collections(hidden=True), [])
            self.assertIsNotNone(snapshot.fact("s", b"k"))
        self.assertEqual(ids_in(other), set(range(101)) - {5})


def _only(folder: object) -> str:
    (info,) = BlobFolder(folder / "test.attachments").complete()  # type: ignore[operator]
    return str(info.id)

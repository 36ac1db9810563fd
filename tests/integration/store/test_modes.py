# SPDX-License-Identifier: Apache-2.0
"""Files of the store are their owner's, whatever the umask and the folder around them say."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from twisted.trial.unittest import TestCase

from edge_twisted.store.interface import Store
from edge_twisted.store.sqlite.files import Layout
from edge_twisted.store.sqlite.store import SqliteStore
from edge_twisted.store.sqlite.tools.backups import backup, restore
from tests.integration.reactor import reactor


def modes(folder: Path) -> dict[str, str]:
    """Return the modes of all that is below a folder, but of the lock, which holds a number."""
    return {
        path.relative_to(folder).as_posix(): oct(stat.S_IMODE(path.stat().st_mode))
        for path in sorted(folder.rglob("*"))
        if path.suffix != ".lock"
    }


class ModeTests(TestCase):
    timeout = 60

    def setUp(self) -> None:
        self.addCleanup(os.umask, os.umask(0))
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir(parents=True)
        self.layout = Layout(self.folder, "db")

    async def opened(self) -> Store:
        store = SqliteStore(
            self.layout,
            threads=reactor,
            clock=reactor,
            now_ms=lambda: 1_790_000_000_000,
            entropy=os.urandom,
        )
        await store.open()
        return store

    async def upload(self, store: Store) -> str:
        writer = await store.blobs.upload()
        await writer.write(b"a blob")
        return (await writer.finish()).id

    def assertPrivate(self, folder: Path) -> None:
        found = modes(folder)
        self.assertIn("db.db", found)
        for name, mode in found.items():
            with self.subTest(name=name):
                self.assertEqual(mode, "0o700" if (folder / name).is_dir() else "0o600")

    async def test_what_is_made_is_private(self) -> None:
        store = await self.opened()
        try:
            await self.upload(store)
            await store.write("put", lambda unit: unit.put_fact("test", b"k", b"v"))
            self.assertIn("db.db-wal", modes(self.folder))
            self.assertPrivate(self.folder)
        finally:
            await store.close()

    async def test_what_an_earlier_version_made_is_closed(self) -> None:
        store = await self.opened()
        await self.upload(store)
        await store.close()
        for path in (self.layout.database, self.layout.attachments):
            path.chmod(0o755 if path.is_dir() else 0o644)
        store = await self.opened()
        try:
            found = modes(self.folder)
            self.assertEqual((found["db.db"], found["db.attachments"]), ("0o600", "0o700"))
        finally:
            await store.close()

    async def test_backups_and_what_is_restored_are_private(self) -> None:
        store = await self.opened()
        await self.upload(store)
        await store.close()
        target = self.folder.parent / "backup"
        backup(self.layout, target)
        self.assertPrivate(target)
        self.assertEqual(stat.S_IMODE(target.stat().st_mode), 0o700)
        restore(self.layout, target, "then", force=True)
        self.assertEqual(modes(self.folder)["db.db"], "0o600")
        self.assertEqual(modes(self.folder)["db.replaced-then"], "0o700")

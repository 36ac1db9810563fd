# SPDX-License-Identifier: Apache-2.0
"""Every kind of damage is found, told in words, and repaired where it can be."""

from __future__ import annotations

import shutil
from typing import Any

from edge_twisted.documents.ids import DocumentId
from edge_twisted.store.blobs.folder import BlobFolder
from edge_twisted.store.errors import DirectoryLocked, StoreCorrupt, StoreError
from edge_twisted.store.sqlite.files import Layout
from edge_twisted.store.sqlite.tools.checks import check
from edge_twisted.store.sqlite.tools.repair import repair
from tests.integration.store.base import SqliteTestCase, delete, ids_in

KEY = DocumentId.of(42).key
ROW = "(SELECT row FROM documents WHERE id = ?)"

#: What is done to the file, its bindings, and a word of what must be said of it.
REPAIRABLE: list[tuple[str, tuple[Any, ...], str]] = [
    ("UPDATE collections SET live = live + 1", (), "documents, and has"),
    ("UPDATE collections SET digest_sum = digest_sum + 1", (), "fingerprint"),
    ("UPDATE collections SET digest_xor = ~digest_xor", (), "fingerprint"),
    ("UPDATE documents SET digest = digest + 1 WHERE id = ?", (KEY,), "digest"),
    (f"DELETE FROM entries WHERE row = {ROW}", (KEY,), "index by_n lacks it"),
    ("INSERT INTO entries SELECT number, key || x'00', row FROM entries LIMIT 1", (), "too many"),
    (f"UPDATE entries SET key = x'00' WHERE row = {ROW}", (KEY,), "index by_n lacks it"),
    ("INSERT INTO entries VALUES (99, x'00', 1)", (), "index number 99"),
    ("DELETE FROM mentions", (), "1 missing"),
    (f"INSERT INTO mentions VALUES ('x', {ROW})", (KEY,), "1 too many"),
    ("INSERT INTO mentions VALUES ('x', 7)", (), "row 7, which is gone"),
    ("UPDATE site SET lsn = 3", (), "the newest is said to be 3"),
    ("UPDATE collections SET lsn = 3", (), "the newest is said to be 3"),
    ("UPDATE site SET sequence = 3", (), "write 102 of this server"),
    ("UPDATE facts SET value = x'ff' WHERE space = 'attachment'", (), "cannot be read"),
]
LASTING: list[tuple[str, tuple[Any, ...], str]] = [
    ("UPDATE documents SET state = x'c1' WHERE id = ?", (KEY,), "document 42: the merge state"),
    ("UPDATE documents SET state = x'' WHERE id = ?", (KEY,), "document 42: the merge state"),
    ("UPDATE documents SET body = x'ffff' WHERE id = ?", (KEY,), "its text cannot be read"),
    (
        "UPDATE documents SET body = jsonb('{\"_id\":43}') WHERE id = ?",
        (KEY,),
        "another id",
    ),
    ("UPDATE documents SET received = 5 WHERE id = ?", (KEY,), "time of receipt"),
    ("UPDATE documents SET collection = 9 WHERE id = ?", (KEY,), "collection number 9"),
    ("UPDATE documents SET row = row + (1 << 40) WHERE id = ?", (KEY,), "not in the range"),
]


class CheckTests(SqliteTestCase):
    """`check` and `repair`."""

    async def test_a_sound_store_has_no_problems_while_it_runs(self) -> None:
        store, _ = await self.filled()
        self.assertEqual(check(self.layout), [])
        self.assertRaises(DirectoryLocked, repair, self.layout)
        await store.close()
        self.assertEqual(check(self.layout), [])
        self.assertEqual(repair(self.layout), ([], []))

    async def test_there_must_be_a_database(self) -> None:
        self.assertRaises(StoreError, check, Layout(self.folder, "nothing"))
        self.assertFalse((self.folder / "nothing.db").exists())

    async def template(self) -> Layout:
        """Return the layout of a closed store, to be copied for every case."""
        store, _ = await self.filled()
        await store.close()
        return self.layout

    def copied(self, template: Layout, number: int) -> None:
        self.layout = Layout(self.folder / f"case-{number}", template.name)
        shutil.copytree(template.folder, self.layout.folder)

    async def test_what_can_be_made_anew_is(self) -> None:
        template = await self.template()
        for number, (sql, bindings, words) in enumerate(REPAIRABLE):
            self.copied(template, number)
            self.tamper(sql, *bindings)
            said = "\n".join(map(str, check(self.layout)))
            self.assertIn(words, said, sql)
            mended, left = repair(self.layout)
            self.assertTrue(mended, sql)
            self.assertEqual(left, [], sql)
            store = await self.opened()
            if "attachment" not in sql:
                self.assertEqual(ids_in(store), set(range(101)) - {5})
            await store.index_ready("c", "by_n")
            await store.write("delete", delete(7))
            await store.close()
            self.assertEqual(check(self.layout), [], sql)

    async def test_what_cannot_is_told_and_left_alone(self) -> None:
        template = await self.template()
        for number, (sql, bindings, words) in enumerate(LASTING):
            self.copied(template, number)
            self.tamper(sql, *bindings)
            found = [str(each) for each in check(self.layout) if each.mend is None]
            self.assertIn(words, "\n".join(found), sql)
            _, left = repair(self.layout)
            self.assertEqual([str(each) for each in left], found, sql)

    async def test_a_lost_counter_gives_no_number_twice(self) -> None:
        """Writes whose numbers were forgotten are followed by those of a new replica."""
        store, _ = await self.filled()
        before = store.replica
        await store.close()
        self.tamper("UPDATE site SET sequence = 3")
        repair(self.layout)
        store = await self.opened()
        self.assertGreater(store.replica.epoch, before.epoch)

    async def test_blobs_are_verified(self) -> None:
        store, name = await self.filled()
        await store.close()
        path = BlobFolder(self.layout.attachments).path(name)
        data = path.read_bytes()
        path.write_bytes(data[:-1] + b"?")
        (found,) = check(self.layout)
        self.assertIn("do not match", str(found))
        path.write_bytes(data[:-1])
        self.assertEqual(len(check(self.layout)), 2)
        path.unlink()
        (found,) = check(self.layout)
        self.assertIn("is gone", str(found))
        mended, left = repair(self.layout)
        self.assertEqual((len(mended), left), (1, []))

    async def test_a_damaged_page_is_found(self) -> None:
        store, _ = await self.filled()
        await store.close()
        data = bytearray(self.layout.database.read_bytes())
        at = data.index(b"order") if b"order" in data else len(data) - 4096
        data[at : at + 200] = bytes(200)
        self.layout.database.write_bytes(data)
        try:
            found = check(self.layout)
        except StoreCorrupt:
            return
        self.assertTrue(found)

# SPDX-License-Identifier: Apache-2.0
"""What the scrubber finds in a real file and in real blobs, and what becomes of it."""

from __future__ import annotations

import os
import re
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

import apsw
from twisted.internet.task import deferLater

from edge_twisted.documents.ids import DocumentId
from edge_twisted.records.documents import DocumentWriter
from edge_twisted.store.blobs.folder import BlobFolder
from edge_twisted.store.blobs.names import id_of
from edge_twisted.store.blobs.verification import SMALL_BYTES, VerifiedFile, VerifiedFiles
from edge_twisted.store.blobs.writers import IncomingFile
from edge_twisted.store.errors import BlobCorrupt, BlobUnavailable, StoreClosed, StoreCorrupt
from edge_twisted.store.interface import Store, UnitOfWork
from edge_twisted.store.rows import DamageReport
from edge_twisted.store.sqlite.connection import open_reader
from edge_twisted.store.sqlite.scrub import behind_unreadable, verify_rows
from edge_twisted.store.sqlite.store import SqliteStore
from edge_twisted.store.sqlite.tools.checks import check
from tests.integration.reactor import reactor
from tests.integration.store.base import SqliteTestCase, ids_in, insert
from tests.integration.store.schema_fixtures import fixture, unpack

PAGE = 4096


async def scrubbed(store: Store) -> tuple[int, int]:
    """Scrub everything; return how many documents and attachments were looked at."""
    work = cast(SqliteStore, store).scrubbed
    after: int | None = 0
    documents = attachments = 0
    while after is not None:
        try:
            step = await work.scrub_documents(after)
        except StoreCorrupt:
            after = await work.behind_unreadable(after)
            continue
        documents += step.documents
        after = step.after
    folder: int | None = 0
    while folder is not None:
        found = await work.scrub_attachments(folder)
        attachments += found.attachments
        folder = found.folder
    return documents, attachments


def into(collection: str, number: int) -> Any:
    def work(unit: UnitOfWork) -> None:
        DocumentWriter(unit).save_fresh(
            collection, DocumentId.of(number), {"_id": number, "t": "x" * 300}
        )

    return work


class DocumentTests(SqliteTestCase):
    """Documents in many collections."""

    async def test_it_finds_what_is_damaged_wherever_it_is(self) -> None:
        store = await self.opened()
        store.before_quarantine(lambda unit, collection, rows: None)

        def fill(unit: UnitOfWork) -> None:
            for number in range(600):
                into(f"c{number % 150}", number)(unit)

        await store.write("fill", fill)
        self.assertEqual(await scrubbed(store), (600, 0))
        self.assertEqual(store.damage, DamageReport())
        for number in (0, 149, 150, 599):
            self.tamper(
                "UPDATE documents SET body = jsonb(json_set(body, '$.t', 'y')) WHERE id = ?",
                DocumentId.of(number).key,
            )
        self.tamper("UPDATE documents SET body = x'ff' WHERE id = ?", DocumentId.of(77).key)
        await scrubbed(store)
        self.assertEqual(store.damage, DamageReport(documents=5))
        self.assertEqual(await scrubbed(store), (595, 0))
        self.flushLoggedErrors()

    async def test_old_rows_get_checksums(self) -> None:
        unpack(fixture(1), self.layout)
        store = await self.opened()
        await scrubbed(store)
        await store.close()
        self.assertEqual(check(self.layout), [])
        connection = apsw.Connection(str(self.layout.database))
        count = connection.execute("SELECT count(*) FROM documents WHERE checksum IS NULL").get
        connection.close()
        self.assertEqual(count, 0)

    async def test_a_damaged_page_is_told_once_and_the_rest_is_looked_at(self) -> None:
        store = await self.opened()
        store.before_quarantine(lambda unit, collection, rows: None)

        def fill(unit: UnitOfWork) -> None:
            for number in range(400):
                into("ab"[number % 2], number)(unit)

        await store.write("fill", fill)
        await store.close()
        self.wipe_a_page()
        store = await self.opened()
        store.before_quarantine(lambda unit, collection, rows: None)
        self.tamper(
            "UPDATE documents SET literal = 0 WHERE collection = 2 AND id = ?",
            DocumentId.of(399).key,
        )
        await scrubbed(store)
        await scrubbed(store)
        await deferLater(reactor, 0.01)
        self.assertEqual(store.damage.documents, 1)
        self.assertEqual(len(store.damage.pages), 1)
        self.flushLoggedErrors()

    async def test_only_what_is_on_a_damaged_page_is_passed_over(self) -> None:
        """At any number of collections, and beginning with the very next row."""
        store = await self.opened()

        def fill(unit: UnitOfWork) -> None:
            for number in range(1200):
                into(f"c{number % 600}", number)(unit)

        await store.write("fill", fill)
        await store.close()
        self.wipe_a_page()
        connection = open_reader(self.layout.database)
        after: int | None = 0
        seen = places = 0
        while after is not None:
            try:
                step, _ = verify_rows(connection, after)
            except apsw.CorruptError:
                places += 1
                following = behind_unreadable(connection, after)
                assert following is not None
                self.assertGreater(following, after)
                after = following
            else:
                seen += step.documents
                after = step.after
        connection.close()
        self.assertEqual(places, 1)
        # A page has room for some ten of them.
        self.assertGreater(seen, 1200 - 20)
        self.assertLess(seen, 1200)

    async def test_a_file_without_a_readable_page_ends(self) -> None:
        store = await self.opened()
        await store.write("fill", into("c", 1))
        connection = open_reader(self.layout.database)
        self.assertEqual(behind_unreadable(connection, 0), 0)
        broken = apsw.Connection(":memory:")
        self.assertIsNone(behind_unreadable(broken, 0))
        connection.close()

    def wipe_a_page(self) -> None:
        """Wipe the header of a page of rows that are neither the first nor the last."""
        data = bytearray(self.layout.database.read_bytes())
        texts = [found.start() for found in re.finditer(b"x{300}", data)]
        page = texts[len(texts) // 4] // PAGE * PAGE
        data[page : page + 16] = b"\xee" * 16
        self.layout.database.write_bytes(data)

    async def test_a_scan_that_meets_it_has_it_looked_for(self) -> None:
        store, _ = await self.filled()
        store.before_quarantine(lambda unit, collection, rows: None)
        hurried: list[bool] = []
        cast(SqliteStore, store).watch_damage(lambda: hurried.append(True), lambda _: None)
        self.tamper("UPDATE documents SET body = x'ff' WHERE id = ?", DocumentId.of(42).key)
        self.assertRaises(StoreCorrupt, ids_in, store)
        await deferLater(reactor, 0.01)
        self.assertEqual(hurried, [True])
        await scrubbed(store)
        self.assertNotIn(42, ids_in(store))
        self.flushLoggedErrors()


class BlobTests(SqliteTestCase):
    """One changed byte of an attachment."""

    async def blob(self, store: Store, size: int) -> tuple[str, bytes, Path]:
        """Store a blob that a document names; return its id, its bytes and its file."""
        content = os.urandom(1024) * (size // 1024)
        name = id_of(sha256(content).digest())
        upload = await store.blobs.upload()
        await upload.write(content)
        info = await upload.finish()
        token = {"id": info.id, "len": info.length, "metadata": {}}
        await store.write("insert", insert(size, file=token))
        return name, content, BlobFolder(self.layout.attachments).path(name)

    def change(self, path: Path) -> None:
        with path.open("r+b") as file:
            file.seek(path.stat().st_size // 2)
            byte = file.read(1)
            file.seek(-1, os.SEEK_CUR)
            file.write(bytes([byte[0] ^ 1]))

    async def lost(self, store: Store) -> list[str]:
        found: list[str] = []
        cast(SqliteStore, store).watch_damage(lambda: None, found.append)
        return found

    async def settled(self, store: Store, attachments: int) -> None:
        while store.damage.attachments != attachments:
            await deferLater(reactor, 0.001)

    async def test_a_small_one_is_not_opened(self) -> None:
        store = await self.opened()
        lost = await self.lost(store)
        name, content, path = await self.blob(store, 8192)
        reader = await store.blobs.open(name)
        self.assertEqual(await reader.read(0, 10_000), content)
        reader.close()
        self.change(path)
        await self.assertFailure(store.blobs.open(name), BlobUnavailable)
        self.assertIsNone(store.blobs.find(name))
        self.assertEqual((lost, store.damage), ([name], DamageReport(attachments=1)))
        await self.assertFailure(store.blobs.open(name), BlobUnavailable)
        self.assertIn("quarantine", str(check(self.layout)[0]))
        # Kept over a restart, and over the collector, for a document names it.
        await store.close()
        store = await self.opened()
        self.assertEqual(store.damage, DamageReport(attachments=1))
        await store.blobs.collect(0)
        await store.blobs.collect(0)
        self.assertEqual(store.damage, DamageReport(attachments=1))
        # From a peer.
        download = await store.blobs.resume(name)
        await download.write(content)
        await download.finish()
        self.assertEqual(store.damage, DamageReport())
        reader = await store.blobs.open(name)
        self.assertEqual(await reader.read(0, 10_000), content)
        reader.close()
        self.assertEqual(list((self.layout.attachments / "quarantine").iterdir()), [])
        await store.close()
        self.assertEqual(check(self.layout), [])

    async def test_the_last_piece_of_a_large_one_is_withheld(self) -> None:
        store = await self.opened()
        name, _, path = await self.blob(store, 3 * SMALL_BYTES)
        self.change(path)
        reader = await store.blobs.open(name)
        for at in range(2):
            await reader.read(at * SMALL_BYTES, SMALL_BYTES)
        await self.assertFailure(reader.read(2 * SMALL_BYTES, SMALL_BYTES), BlobCorrupt)
        reader.close()
        await self.settled(store, 1)
        await self.assertFailure(store.blobs.open(name), BlobUnavailable)

    async def test_no_range_of_a_large_one_is_served(self) -> None:
        store = await self.opened()
        name, content, path = await self.blob(store, 3 * SMALL_BYTES)
        reader = await store.blobs.open(name)
        self.assertEqual(await reader.read(5, 5), content[5:10])
        self.assertEqual(await reader.read(0, 5), content[:5])
        reader.close()
        self.change(path)
        reader = await store.blobs.open(name)
        await self.assertFailure(reader.read(5, 5), BlobCorrupt)
        reader.close()
        await self.settled(store, 1)

    async def test_the_scrubber_finds_it(self) -> None:
        store = await self.opened()
        paths = []
        for size in (1024, 2048, 2 * SMALL_BYTES, 4096):
            _, _, path = await self.blob(store, size)
            paths.append(path)
        self.assertEqual(await scrubbed(store), (4, 4))
        self.change(paths[1])
        self.change(paths[2])
        await scrubbed(store)
        self.assertEqual(store.damage, DamageReport(attachments=2))
        self.assertEqual(await scrubbed(store), (4, 2))

    async def test_the_scrubber_passes_over_what_it_cannot_move_and_what_is_no_blob(self) -> None:
        store = await self.opened()
        paths = []
        for size in range(1024, 1024 * 9, 1024):
            _, _, path = await self.blob(store, size)
            paths.append(path)
            (path.parent / "Thumbs.db").write_bytes(b"?")
            (path.parent / "ab").write_bytes(b"?")
        self.assertEqual(await scrubbed(store), (8, 8))
        for path in paths:
            self.change(path)
        # Where the folder of quarantine belongs there is a file.
        (self.layout.attachments / "quarantine").write_bytes(b"")
        self.assertEqual(await scrubbed(store), (8, 8))
        self.assertEqual(store.damage.attachments, 0)
        (self.layout.attachments / "quarantine").unlink()
        self.assertEqual(await scrubbed(store), (8, 8))
        self.assertEqual(store.damage.attachments, 8)
        self.flushLoggedErrors()

    def test_closing_does_not_wait_until_a_large_one_is_hashed(self) -> None:
        path = Path(self.mktemp())
        path.write_bytes(bytes(2 * SMALL_BYTES))
        verified = VerifiedFiles()
        name = id_of(sha256(path.read_bytes()).digest())
        with path.open("rb") as file:
            found = VerifiedFile(name, file, verified)
            verified.is_closing = True
            self.assertRaises(StoreClosed, found.read, 5, 5)
        self.assertRaises(StoreClosed, IncomingFile, path, lambda: True)
        self.assertEqual(IncomingFile(path).received, 2 * SMALL_BYTES)

    async def test_one_that_nothing_names_any_more_is_given_up(self) -> None:
        store = await self.opened()
        name, _, path = await self.blob(store, 8192)
        self.change(path)
        await self.assertFailure(store.blobs.open(name), BlobUnavailable)
        await store.write("evict", lambda unit: unit.remove("c", DocumentId.of(8192).key))
        await store.blobs.collect(0)
        self.assertEqual(store.damage, DamageReport())

# SPDX-License-Identifier: Apache-2.0
"""One changed byte of a document: no read takes it for good, and none of it is lost."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from edge_twisted.documents.ids import DocumentId
from edge_twisted.records.documents import DocumentWriter
from edge_twisted.store.errors import DirectoryLocked, DocumentDamaged, StoreCorrupt
from edge_twisted.store.interface import Store, UnitOfWork
from edge_twisted.store.rows import DamageReport, StoredDocument
from edge_twisted.store.sqlite.connection import open_reader
from edge_twisted.store.sqlite.files import Layout
from edge_twisted.store.sqlite.snapshot import SqliteSnapshot
from edge_twisted.store.sqlite.tools.checks import check
from edge_twisted.store.sqlite.tools.repair import discard_damaged
from tests.integration.reactor import reactor
from tests.integration.store.base import SqliteTestCase, delete, ids_in, insert

#: What the disk may do to a row, and which half of the checksum tells: text or state.
CHANGES = [
    ("body = jsonb(json_set(body, '$.n', 9))", "text"),
    ("body = x'ffff'", "text"),
    ("body = NULL", "text"),
    ("literal = 0", "text"),
    ("checksum = checksum + 1", "text"),
    ("state = substr(state, 1, length(state) - 1) || x'7f'", "state"),
    ("state = x'c1'", "state"),
    ("checksum = checksum + (1 << 32)", "state"),
    ("state = CAST(state AS TEXT)", "state"),
]
#: Reads of a document by its key: whether they look at the text alone.
READS: list[tuple[Callable[[Store, bytes], Deferred[Any]], bool]] = [
    (lambda store, key: store.read("get", lambda s: s.get("c", key)), False),
    (lambda store, key: store.read("body", lambda s: s.body("c", key)), True),
    (lambda store, key: store.read("bodies", lambda s: list(s.bodies("c", [key]))), True),
    (lambda store, key: store.read("log", lambda s: s.changes_after(0)), False),
    (lambda store, key: store.write("get", lambda unit: unit.get("c", key)), False),
    (lambda store, key: store.write("body", lambda unit: unit.body("c", key)), False),
]
WHOLE = set(range(101)) - {5}


class RotTests(SqliteTestCase):
    """Documents of a store whose file was changed behind its back."""

    async def heard(self) -> tuple[Store, list[StoredDocument]]:
        """Return a store, and what those hear who note what goes into quarantine."""
        store, _ = await self.filled()
        heard: list[StoredDocument] = []
        store.before_quarantine(lambda unit, collection, rows: heard.extend(rows))
        return store, heard

    def change(self, assignment: str, key: bytes) -> None:
        self.tamper(f"UPDATE documents SET {assignment} WHERE id = ?", key)

    async def settled(self, store: Store, documents: int) -> None:
        """Wait until what reads have met is in quarantine."""
        while store.damage.documents != documents:
            await deferLater(reactor, 0.001)

    async def test_every_read_of_it_says_so_and_it_goes_into_quarantine(self) -> None:
        store, heard = await self.heard()
        count = 0
        for assignment, half in CHANGES:
            for at, (read, is_of_text) in enumerate(READS):
                count += 1
                key = DocumentId.of(1000 + count).key
                await store.write("insert", insert(1000 + count))
                self.change(assignment, key)
                if is_of_text and half == "state":
                    await read(store, key)
                    self.assertTrue(await store.quarantine("c", key))
                else:
                    error = await self.assertFailure(read(store, key), DocumentDamaged)
                    self.assertEqual((error.collection, error.id_key), ("c", key))
                    self.assertEqual(error.code, "store_corrupt")
                    await self.settled(store, count)
                with store.snapshot() as snapshot:
                    self.assertIsNotNone(snapshot.damaged("c", key), (assignment, at))
                    self.assertIsNone(snapshot.get("c", key))
                    info = snapshot.collection("c")
                assert info is not None
                self.assertEqual(info.count, len(WHOLE), assignment)
        self.assertEqual(ids_in(store), WHOLE)
        self.assertEqual(store.damage, DamageReport(documents=count))
        self.assertEqual([row.id_key for row in heard][-1], key)
        await store.close()
        said = [str(each) for each in check(self.layout)]
        self.assertEqual(len(said), count, said)
        self.assertTrue(all("kept in quarantine" in each for each in said), said)
        again = await self.opened()
        self.assertEqual(again.damage, DamageReport(documents=count))
        self.flushLoggedErrors()

    async def test_a_whole_document_stays(self) -> None:
        store, heard = await self.heard()
        self.assertTrue(await store.quarantine("c", DocumentId.of(42).key))
        self.assertTrue(await store.quarantine("c", DocumentId.of(4242).key))
        self.assertTrue(await store.quarantine("none", DocumentId.of(42).key))
        self.assertEqual((heard, store.damage), ([], DamageReport()))
        self.assertIsNotNone(self.get(store, DocumentId.of(42).key))

    async def test_it_stays_while_nobody_notes_that_it_is_not_deleted(self) -> None:
        store, _ = await self.filled()
        key = DocumentId.of(42).key
        self.change("body = NULL", key)
        self.assertFalse(await store.quarantine("c", key))
        self.assertRaises(DocumentDamaged, self.get, store, key)

    def get(self, store: Store, key: bytes) -> StoredDocument | None:
        with store.snapshot() as snapshot:
            return snapshot.get("c", key)

    async def test_a_damaged_digest_is_computed_anew(self) -> None:
        store, heard = await self.heard()
        key = DocumentId.of(42).key
        before = self.get(store, key)
        for damaged in ("digest + 1", "'x'", "2.5"):
            self.change(f"digest = {damaged}", key)
            self.assertRaises(DocumentDamaged, self.get, store, key)
            self.assertTrue(await store.quarantine("c", key))
            self.assertEqual(self.get(store, key), before)
        self.assertEqual((check(self.layout), heard), ([], []))

    async def test_totals_and_indexes_know_nothing_of_it(self) -> None:
        """Whatever of the row is damaged; a tombstone counted nothing."""
        store, _ = await self.heard()
        for number, (assignment, _) in enumerate(CHANGES, 10):
            self.change(assignment, DocumentId.of(number).key)
            self.assertTrue(await store.quarantine("c", DocumentId.of(number).key))
        self.change("state = x'c1', digest = digest + 1", DocumentId.of(30).key)
        self.assertTrue(await store.quarantine("c", DocumentId.of(30).key))
        self.change("state = x'c1'", DocumentId.of(5).key)
        self.assertTrue(await store.quarantine("c", DocumentId.of(5).key))
        said = [str(each) for each in check(self.layout)]
        self.assertEqual(len(said), len(CHANGES) + 2)
        self.assertTrue(all("kept in quarantine" in each for each in said), said)
        self.flushLoggedErrors()

    async def test_its_blob_is_kept_and_its_row_is_not_given_again(self) -> None:
        store, blob = await self.filled()
        store.before_quarantine(lambda unit, collection, rows: None)
        key = DocumentId.of(100).key
        self.change("body = NULL", key)
        self.assertTrue(await store.quarantine("c", key))
        await store.close()
        store = await self.opened()
        await store.write("insert", insert(101))
        self.assertEqual(await store.blobs.collect(0), 0)
        self.assertEqual(await store.blobs.collect(0), 0)
        self.assertIsNotNone(store.blobs.find(blob))
        self.assertEqual(len(check(self.layout)), 1)
        await store.write("forget", lambda unit: unit.forget_damaged("c", key))
        self.assertEqual(store.damage, DamageReport())
        self.assertEqual(check(self.layout), [])
        await store.blobs.collect(0)
        self.assertEqual(await store.blobs.collect(0), 1)
        self.flushLoggedErrors()

    async def test_a_damaged_tombstone_is_not_reaped_and_holds_no_other_up(self) -> None:
        store, _ = await self.heard()
        await store.write("delete", delete(6))
        self.change("state = x'c1'", DocumentId.of(5).key)
        self.assertEqual(await store.reap(1 << 60, 100), 1)
        self.assertTrue(await store.quarantine("c", DocumentId.of(5).key))
        self.assertEqual(store.damage, DamageReport(documents=1))
        self.flushLoggedErrors()

    async def test_a_damaged_id_comes_back_from_the_rest(self) -> None:
        """Whoever meets it first: a read by the id, the log that hands it on, the scrubber."""
        for number in range(2):
            self.layout = Layout(self.folder / f"data-{number}", "test")
            store = await self.opened()
            id_ = DocumentId.of("needle-b")

            def work(unit: UnitOfWork, id_: DocumentId = id_) -> None:
                DocumentWriter(unit).save_fresh("c", id_, {"_id": "needle-b", "t": "text of it"})

            await store.write("insert", work)
            before = self.get(store, id_.key)
            await store.close()
            data = bytearray(self.layout.database.read_bytes())
            data[data.rindex(id_.key, 0, data.index(b"text of it")) + 3] ^= 1
            self.layout.database.write_bytes(data)
            store = await self.opened()
            store.before_quarantine(lambda unit, collection, rows: None)
            met = id_.key
            if number:
                failure = store.read("log", lambda s: s.changes_after(0))
                error: Any = await self.assertFailure(failure, DocumentDamaged)
                met = error.id_key
                self.assertNotEqual(met, id_.key)
            self.assertTrue(await store.quarantine("c", met))
            found = (await store.read("log", lambda s: s.changes_after(0))).changes
            self.assertEqual([each.document for each in found], [before])
            await store.close()
            self.assertEqual(check(self.layout), [])

    async def test_the_operator_may_give_it_up(self) -> None:
        store, _ = await self.heard()
        key = DocumentId.of(42).key
        self.change("body = NULL", key)
        self.assertTrue(await store.quarantine("c", key))
        self.assertRaises(DirectoryLocked, discard_damaged, self.layout)
        await store.close()
        self.assertEqual(discard_damaged(self.layout), 1)
        self.assertEqual((check(self.layout), discard_damaged(self.layout)), ([], 0))
        self.flushLoggedErrors()

    async def test_a_unit_that_fails_forgets_nothing(self) -> None:
        store, _ = await self.heard()
        key = DocumentId.of(42).key
        self.change("body = NULL", key)
        self.assertTrue(await store.quarantine("c", key))

        def work(unit: UnitOfWork) -> None:
            unit.forget_damaged("c", key)
            self.assertIsNone(unit.damaged("c", key))
            raise ZeroDivisionError

        await self.assertFailure(store.write("forget", work), ZeroDivisionError)
        found = (await store.write("look", lambda unit: unit.damaged("c", key))).result
        self.assertIsNotNone(found)
        self.flushLoggedErrors()

    async def test_an_old_row_without_a_checksum_is_served(self) -> None:
        store, _ = await self.heard()
        key = DocumentId.of(42).key
        self.change("checksum = NULL", key)
        self.assertIsNotNone(self.get(store, key))
        self.change("body = x'ffff'", key)
        self.assertRaises(DocumentDamaged, self.get, store, key)
        self.assertTrue(await store.quarantine("c", key))
        self.flushLoggedErrors()


class EveryByteTests(SqliteTestCase):
    """No byte of a row can change without being noticed."""

    async def test_a_read_by_id_returns_what_was_written_or_fails(self) -> None:
        store = await self.opened()
        await store.write("insert", insert(42, text="a text to be changed " * 5))
        await store.write("insert", insert(43, text="another one"))
        key = DocumentId.of(42).key
        written = self.get(store, key)
        await store.close()
        path = self.layout.database
        data = path.read_bytes()
        end = data.index(written.state) + len(written.state) + 9
        begin = data.index(b"a text to be changed") - 60
        told = 0
        with path.open("r+b", buffering=0) as file:
            for at in range(begin, end):
                for changed in (data[at] ^ 1, data[at] ^ 0x80):
                    os.pwrite(file.fileno(), bytes([changed]), at)
                    told += self.is_told(key, written)
                os.pwrite(file.fileno(), data[at : at + 1], at)
        # The few others are bytes that nothing is read from: commits, lengths of what is NULL.
        self.assertGreater(told, 2 * (end - begin) * 0.8)

    def get(self, store: Store, key: bytes) -> StoredDocument:
        with store.snapshot() as snapshot:
            found = snapshot.get("c", key)
        assert found is not None
        return found

    def is_told(self, key: bytes, written: StoredDocument) -> bool:
        """Read a document of the file as it is now; return whether the read failed."""
        connection = open_reader(self.layout.database)
        snapshot = SqliteSnapshot(connection, lambda name: 1, "test")
        try:
            found = snapshot.get("c", key)
        except StoreCorrupt:
            return True
        finally:
            snapshot.finish()
            connection.close(True)
        assert found is not None, "it vanished"
        self.assertEqual(found._replace(lsn=written.lsn), written)
        return False

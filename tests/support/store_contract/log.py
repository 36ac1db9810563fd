# SPDX-License-Identifier: Apache-2.0
"""The contract on the log of changes."""

from __future__ import annotations

from collections.abc import Callable

from edge_twisted.documents.clock import Timestamp
from edge_twisted.store.hidden import hidden_name
from edge_twisted.store.interface import Snapshot, UnitOfWork
from edge_twisted.store.rows import Census, Commit
from tests.support.store_contract.base import StoreTestCase, UnitFailure
from tests.support.stored_documents import deleting, key, put, putting


class LogContract(StoreTestCase):
    """The log of commits."""

    async def test_each_document_once_by_its_newest_commit(self) -> None:
        """The log is in the order of commits; an updated document moves to the end."""
        store = await self.opened()
        for n in range(5):
            await store.write("insert", putting("c", n))
        await store.write("update", putting("c", 1, v=2))
        await store.write("delete", deleting("c", 0))
        with store.snapshot() as snapshot:
            batch = snapshot.changes_after(0)
            keys = [change.document.id_key for change in batch.changes]
            self.assertEqual(keys, [key(2), key(3), key(4), key(1), key(0)])
            self.assertEqual([c.document.lsn for c in batch.changes], [3, 4, 5, 6, 7])
            self.assertEqual((batch.lsn, batch.more), (7, False))
            self.assertEqual(snapshot.changes_after(7).changes, ())
            self.assertEqual(snapshot.changes_after(99).lsn, 99)

    async def test_batches_hold_whole_commits(self) -> None:
        """No limit splits a commit; a reader that goes on misses and repeats nothing."""
        store = await self.opened()

        def several(collection: str, numbers: range) -> Callable[[UnitOfWork], None]:
            def work(unit: UnitOfWork) -> None:
                for n in numbers:
                    put(unit, collection, n, {"pad": "x" * 50})

            return work

        await store.write("one", several("c", range(7)))
        await store.write("two", several("d", range(3)))
        await store.write("three", several("c", range(5, 12)))
        with store.snapshot() as snapshot:
            for limits in ({"limit": 1}, {"limit_bytes": 1}):
                lsn, sizes, more = 0, [], True
                while more:
                    batch = snapshot.changes_after(lsn, **limits)  # type: ignore[arg-type]
                    sizes.append(len(batch.changes))
                    self.assertEqual(len({c.document.lsn for c in batch.changes}), 1)
                    lsn, more = batch.lsn, batch.more
                self.assertEqual((sizes, lsn), ([5, 3, 7], 3))

    async def test_received_batches(self) -> None:
        """Thousands of documents, their timestamps and a cursor become one commit or nothing."""
        store = await self.opened()
        remote: list[Timestamp] = []

        def receive(unit: UnitOfWork) -> None:
            for n in range(3000):
                unit.put("c", key(n), body=b'{"_id":%d}' % n, state=b"s", digest=n + 1)
            unit.put("d", key(1), body=None, state=b"s", digest=5)
            later = Timestamp(unit.tick() + (5_000 << 16))
            remote.append(later)
            unit.see(later)
            unit.put_fact("cursors", b"peer", b"3001")

        def receive_and_break(unit: UnitOfWork) -> None:
            receive(unit)
            raise UnitFailure

        await self.assertFailure(store.write("receive", receive_and_break), UnitFailure)
        with store.snapshot() as snapshot:
            self.assertEqual((snapshot.lsn, snapshot.changes_after(0).changes), (0, ()))
            self.assertIsNone(snapshot.fact("cursors", b"peer"))
        lsn = await self.lsn_of(store.write("receive", receive))
        with store.snapshot() as snapshot:
            batch = snapshot.changes_after(0, limit=10)
            self.assertEqual({change.document.lsn for change in batch.changes}, {lsn})
            self.assertEqual((len(batch.changes), batch.more), (3001, False))
            self.assertEqual(list(snapshot.facts("cursors")), [(b"peer", b"3001")])
        await store.write("tick", lambda unit: self.assertGreater(unit.tick(), remote[-1]))

    async def test_hooks_hear_where_facts_were_put(self) -> None:
        """A commit names the spaces of its facts, so that hooks read only changed spaces."""
        store = await self.opened()
        heard: list[Commit] = []
        store.on_commit(heard.append)

        def noting(unit: UnitOfWork) -> None:
            put(unit, "c", 2, {})
            unit.put_fact("s", b"k", b"v")

        await store.write("insert", putting("c", 1))
        await store.write("note", noting)
        # Hooks are called behind the answers of their commit.
        await store.write("nothing", lambda unit: None)
        spaces = [commit.spaces for commit in heard]
        self.assertEqual(spaces, [frozenset(), frozenset({"s"})])

    async def test_a_census(self) -> None:
        """A census has the totals of the database, and its largest collections."""
        store = await self.opened()
        with store.snapshot() as snapshot:
            empty = Census(collections=0, documents=0, largest=[])
            self.assertEqual(snapshot.census(5), empty)
        for name, documents in (("b", 2), ("a", 2), ("d", 1), ("c", 3)):
            for n in range(documents):
                await store.write("insert", putting(name, n))
        await store.write("delete", deleting("d", 0))
        for work in (lambda s: s.census(3), lambda s: s.census(0), lambda s: s.census(9)):
            found = await store.read("census", work)
            self.assertEqual((found.collections, found.documents), (4, 7))
        largest = [("c", 3), ("a", 2), ("b", 2), ("d", 0)]
        with store.snapshot() as snapshot:
            self.assertEqual(list(snapshot.census(9).largest), largest)
            self.assertEqual(list(snapshot.census(2).largest), largest[:2])

        def inside(unit: UnitOfWork) -> Census:
            put(unit, "d", 7, {})
            return unit.census(1)

        committed = await store.write("inside", inside)
        self.assertEqual((committed.result.documents, committed.result.largest), (8, [("c", 3)]))

    async def test_hidden_collections_are_there_by_name_alone(self) -> None:
        """What is kept for others is not listed, counted or found by its attachments."""
        store = await self.opened()
        hidden, blob = hidden_name("c"), "a" * 43

        def both(unit: UnitOfWork) -> tuple[list[str], list[str], int]:
            put(unit, hidden, 1, {"file": {"id": blob, "len": 1, "metadata": {}}})
            put(unit, "c", 2, {"n": 2})
            names = [info.name for info in unit.collections()]
            kept = [info.name for info in unit.collections(hidden=True)]
            return names, kept, unit.census(5).collections

        written = await store.write("both", both)
        self.assertEqual(written.result, (["c"], [hidden], 1))

        def look(snapshot: Snapshot) -> None:
            self.assertEqual([info.name for info in snapshot.collections()], ["c"])
            self.assertEqual([info.name for info in snapshot.collections(hidden=True)], [hidden])
            census = snapshot.census(5)
            self.assertEqual((census.collections, census.documents), (1, 1))
            self.assertEqual(list(census.largest), [("c", 1)])
            self.assertEqual(snapshot.referrers(blob, limit=1), [])
            found = snapshot.referrers(blob, limit=1, hidden=True)
            self.assertEqual([tuple(each) for each in found], [(hidden, key(1))])
            self.assertIsNotNone(snapshot.get(hidden, key(1)))
            batch = snapshot.changes_after(0, ["c", hidden])
            self.assertEqual({c.collection for c in batch.changes}, {"c", hidden})

        await store.read("look", look)

    async def test_only_the_collections_that_are_asked_for(self) -> None:
        """The lsn of a batch moves past commits of collections that were not asked for."""
        store = await self.opened()
        for n in range(10):
            await store.write("insert", putting("cd"[n % 2], n))
        with store.snapshot() as snapshot:
            batch = snapshot.changes_after(2, ["c"])
            self.assertEqual([c.document.lsn for c in batch.changes], [3, 5, 7, 9])
            self.assertEqual({c.collection for c in batch.changes}, {"c"})
            self.assertEqual(batch.lsn, 10)
            self.assertEqual(snapshot.changes_after(2, ["nowhere"]).lsn, 10)
            self.assertEqual(snapshot.changes_after(2, []).changes, ())
            both = snapshot.changes_after(0, ["c", "d"])
            self.assertEqual([c.document.lsn for c in both.changes], list(range(1, 11)))

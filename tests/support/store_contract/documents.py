# SPDX-License-Identifier: Apache-2.0
"""The contract on documents, indexes and scans."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from edge_twisted.store.interface import UnitOfWork
from edge_twisted.store.rows import StoredDocument
from tests.support.store_contract.base import StoreTestCase, UnitFailure, flat
from tests.support.stored_documents import deleting, key, put, putting, removing


class DocumentContract(StoreTestCase):
    """Documents, tombstones, totals."""

    async def test_a_tombstone_is_kept_but_not_shown(self) -> None:
        """Only `get` and the log see the tombstone of a deleted document."""
        store = await self.opened()
        await store.write("insert", putting("c", "x", v=1))
        await store.write("delete", deleting("c", "x"))
        with store.snapshot() as snapshot:
            found = snapshot.get("c", key("x"))
            assert found is not None
            self.assertEqual((found.body, found.lsn), (None, 2))
            self.assertTrue(found.state)
            self.assertIsNone(snapshot.body("c", key("x")))
            self.assertEqual(flat(snapshot.bodies("c", [key("x")])), [])
            self.assertEqual(flat(snapshot.scan("c")), [])
            self.assertEqual(flat(snapshot.digests("c")), [])
            self.assertEqual(len(snapshot.changes_after(0).changes), 1)
            info = snapshot.collection("c")
            assert info is not None
            self.assertEqual((info.count, info.lsn, info.fingerprint), (0, 2, bytes(16)))

    async def test_a_document_comes_back(self) -> None:
        """A document can be put over its tombstone and deleted again, any number of times."""
        store = await self.opened()
        for round_number in range(3):
            await store.write("insert", putting("c", "x", v=round_number))
            with store.snapshot() as snapshot:
                self.assertEqual(len(flat(snapshot.scan("c"))), 1)
            await store.write("delete", deleting("c", "x"))
            with store.snapshot() as snapshot:
                self.assertEqual(len(flat(snapshot.scan("c"))), 0)
                self.assertEqual(len(snapshot.changes_after(0).changes), 1)

    async def test_evicting_leaves_nothing(self) -> None:
        """`remove` takes an lsn and leaves no trace of the document."""
        store = await self.opened()
        await store.write("insert", putting("c", "x"))
        self.assertEqual(await self.lsn_of(store.write("evict", removing("c", "x"))), 2)
        with store.snapshot() as snapshot:
            self.assertIsNone(snapshot.get("c", key("x")))
            self.assertEqual(snapshot.changes_after(0).changes, ())
            self.assertEqual(snapshot.changes_after(0).lsn, 2)
            info = snapshot.collection("c")
            assert info is not None
            self.assertEqual((info.count, info.lsn), (0, 2))

    async def test_bodies_come_back_to_the_letter(self) -> None:
        """Reads return the bytes of a body that were put, for all JSON and for marked bodies."""
        store = await self.opened()
        fields: list[dict[str, Any]] = [
            {"text": '\u0000\x7f é 😀 \u2028 "quoted" \\ /'},
            {"numbers": [0, -1, 1.0, -0.0, 1e300, 5e-324, 2**63 - 1, -(2**63), 0.1]},
            {"nested": {"a": [{"b": [[]]}, {}], "": {"": None}}, "t": True, "f": False},
            {"binary": b"\x00\xff", "deep": [{"b": b""}]},
            {"$binary": "not binary"},
        ]
        for number, each in enumerate(fields):
            await store.write("insert", putting("c", number, **each))
        got: list[StoredDocument] = []
        with store.snapshot() as snapshot:
            for number in range(len(fields)):
                found = snapshot.get("c", key(number))
                assert found is not None
                self.assertEqual(snapshot.body("c", key(number)), found.body)
                got.append(found)
            scanned = dict(flat(snapshot.scan("c")))
        self.assertEqual(scanned, {each.id_key: each.body for each in got})
        sent: list[bytes | None] = []

        def note(unit: UnitOfWork) -> None:
            for number, each in enumerate(fields):
                put(unit, "again", number, each)
                sent.append(unit.body("again", key(number)))

        await store.write("note", note)
        self.assertEqual([each.body for each in got], sent)

    async def test_ids_of_all_kinds(self) -> None:
        """Each id finds its own document, and ids compare as values do."""
        store = await self.opened()
        ids: list[Any] = [
            False,
            True,
            -5,
            1,
            10,
            "",
            "1",
            "a",
            "a\x00",
            "a\x00b",
            "b",
            [1],
            {"a": 1},
        ]
        for position, each in enumerate(ids):
            await store.write("insert", putting("c", each, n=position))
        with store.snapshot() as snapshot:
            for position, each in enumerate(ids):
                body = snapshot.body("c", key(each))
                assert body is not None
                self.assertIn(b'"n":%d}' % position, body)
            keys = sorted(k for k, _ in flat(snapshot.scan("c")))
            self.assertEqual(keys, [key(each) for each in ids])

    async def test_collections_do_not_mix(self) -> None:
        """One id in several collections names a document in each, whatever their names."""
        store = await self.opened()
        names = ["c", "C", "c ", "é", "'; DROP TABLE documents; --"]
        for name in names:
            await store.write("insert", putting(name, "x", name=name))
        await store.write("evict", removing("C", "x"))
        with store.snapshot() as snapshot:
            self.assertEqual([i.name for i in snapshot.collections()], sorted(names))
            self.assertEqual([i.count for i in snapshot.collections()].count(0), 1)
            self.assertEqual(len(flat(snapshot.scan("c"))), 1)
            self.assertEqual(len(flat(snapshot.scan("C"))), 0)

    async def test_fingerprints_tell_equal_from_different(self) -> None:
        """A fingerprint depends only on the digests of live documents, not on their history."""
        store = await self.opened()

        def make(collection: str, numbers: Sequence[int]) -> Callable[[UnitOfWork], None]:
            def work(unit: UnitOfWork) -> None:
                for n in numbers:
                    unit.put(
                        collection,
                        key(n),
                        body=b'{"_id":%d}' % n,
                        state=b"",
                        digest=n * 0x9E3779B97F4A7C15 % 2**63 - (n % 2) * 2**62,
                    )

            return work

        await store.write("a", make("a", range(50)))
        await store.write("b", make("b", range(60, -1, -1)))
        for n in range(50, 61):
            await store.write("evict", removing("b", n))
        await store.write("d", make("d", range(49)))
        with store.snapshot() as snapshot:
            a, b, d = snapshot.collections()
        self.assertEqual(a.fingerprint, b.fingerprint)
        self.assertNotEqual(a.fingerprint, d.fingerprint)
        self.assertEqual(len(a.fingerprint), 16)

    async def test_digests_are_kept(self) -> None:
        """`digests` yields the digests that were put, as signed 64-bit integers."""
        store = await self.opened()
        wanted = {key(1): 0, key(2): 2**63 - 1, key(3): -(2**63)}

        def work(unit: UnitOfWork) -> None:
            for id_key, number in wanted.items():
                unit.put("c", id_key, body=b"{}", state=b"", digest=number)

        await store.write("put", work)
        with store.snapshot() as snapshot:
            self.assertEqual(dict(flat(snapshot.digests("c"))), wanted)
            self.assertEqual(dict(flat(snapshot.digests("c", tombstones=True))), wanted)

    async def test_digests_of_tombstones(self) -> None:
        """`digests` yields tombstones only with `tombstones=True`."""
        store = await self.opened()
        for n in range(5):
            await store.write("insert", putting("c", n))
        await store.write("insert", putting("d", 1))
        await store.write("delete", deleting("c", 2))
        await store.write("delete", deleting("c", 4))
        await store.write("evict", removing("c", 0))
        with store.snapshot() as snapshot:
            rows = {n: snapshot.get("c", key(n)) for n in range(1, 5)}
            everything = {key(n): row.digest for n, row in rows.items() if row}
            self.assertEqual(len(everything), 4)
            self.assertEqual(dict(flat(snapshot.digests("c", tombstones=True))), everything)
            live = {each: everything[each] for each in (key(1), key(3))}
            self.assertEqual(dict(flat(snapshot.digests("c"))), live)
            self.assertEqual(flat(snapshot.digests("nowhere", tombstones=True)), [])
            info = snapshot.collection("c")
            assert info is not None
            total = sum(live.values()) % 2**64
            self.assertEqual(info.fingerprint[:8], total.to_bytes(8, "big"))

        def inside(unit: UnitOfWork) -> None:
            put(unit, "c", 9, {})
            unit.put("c", key(3), body=None, state=b"", digest=77)
            self.assertEqual(len(flat(unit.digests("c"))), 2)
            found = dict(flat(unit.digests("c", tombstones=True)))
            self.assertEqual((len(found), found[key(3)]), (5, 77))

        await store.write("inside", inside)

    async def test_tombstones_are_reaped_by_receipt(self) -> None:
        """`reap` forgets the oldest tombstones first, at most `most`, and moves the horizon."""
        store = await self.opened()
        for n in range(10):
            await store.write("insert", putting("c", n))
        for n in range(9, -1, -1):
            await store.write("delete", deleting("c", n))
        await store.write("insert", putting("c", "alive"))
        self.assertEqual(await store.reap(1, 100), 0)
        self.assertEqual(await store.reap(2**47, 4), 4)
        with store.snapshot() as snapshot:
            left = [n for n in range(10) if snapshot.get("c", key(n))]
            self.assertEqual(left, [0, 1, 2, 3, 4, 5])
            info = snapshot.collection("c")
            assert info is not None
            self.assertEqual((info.reaped_lsn, info.count, info.lsn), (14, 1, 21))
        self.assertEqual(await store.reap(2**47, 100), 6)
        with store.snapshot() as snapshot:
            self.assertEqual(len(snapshot.changes_after(0).changes), 1)
        self.assertEqual(store.lsn, 21)

    async def test_what_is_reaped_may_leave_facts(self) -> None:
        """Hooks run in the unit that reaps; if a hook fails, the tombstones stay."""
        store = await self.opened()
        for n in range(3):
            await store.write("insert", putting("c", n))
            await store.write("delete", deleting("c", n))
        heard: list[tuple[str, StoredDocument]] = []

        def hook(unit: UnitOfWork, collection: str, rows: Sequence[StoredDocument]) -> None:
            for row in rows:
                self.assertEqual(unit.get(collection, row.id_key), row)
                heard.append((collection, row))
                unit.put_fact("reaped", row.id_key, b"1")
            if len(heard) > 2:
                raise UnitFailure

        with store.snapshot() as snapshot:
            there = [snapshot.get("c", key(n)) for n in range(3)]
        end = store.before_reap(hook)
        self.assertEqual(await store.reap(2**47, 2), 2)
        self.assertEqual(heard, [("c", each) for each in there[:2]])
        with self.assertRaises(UnitFailure):
            await store.reap(2**47, 2)
        with store.snapshot() as snapshot:
            facts = snapshot.facts("reaped")
            self.assertEqual([each for each, _ in facts], sorted([key(0), key(1)]))
            self.assertIsNotNone(snapshot.get("c", key(2)))
        end()
        self.assertEqual(await store.reap(2**47, 2), 1)
        self.assertEqual((len(heard), store.lsn), (3, 6))
        self.flushLoggedErrors(UnitFailure)

    async def test_facts(self) -> None:
        """Facts are set, overwritten, forgotten, and listed by prefix in pages."""
        store = await self.opened()

        def work(unit: UnitOfWork) -> None:
            for n in range(5):
                unit.put_fact("s", b"a%d" % n, b"%d" % n)
            unit.put_fact("s", b"b", b"")
            unit.put_fact("t", b"a1", b"other")
            unit.put_fact("s", b"a3", None)
            unit.put_fact("s", b"a4", b"new")
            unit.put_fact("s", b"\xff\xff", b"end")

        await store.write("facts", work)
        with store.snapshot() as snapshot:
            self.assertEqual(snapshot.fact("s", b"a4"), b"new")
            self.assertIsNone(snapshot.fact("s", b"a3"))
            self.assertEqual(
                list(snapshot.facts("s", b"a")),
                [(b"a0", b"0"), (b"a1", b"1"), (b"a2", b"2"), (b"a4", b"new")],
            )
            self.assertEqual(list(snapshot.facts("s", b"a", after=b"a1", limit=1)), [(b"a2", b"2")])
            self.assertEqual(list(snapshot.facts("s", b"\xff")), [(b"\xff\xff", b"end")])
            self.assertEqual([k for k, _ in snapshot.facts("s", after=b"a4")], [b"b", b"\xff\xff"])

    async def test_facts_and_documents_are_one_unit(self) -> None:
        """A fact and the documents of one unit are stored together or not at all."""
        store = await self.opened()

        def receive(unit: UnitOfWork) -> None:
            put(unit, "c", 1, {})
            unit.put_fact("cursors", b"peer", b"1")
            raise UnitFailure

        await self.assertFailure(store.write("receive", receive), UnitFailure)
        with store.snapshot() as snapshot:
            self.assertIsNone(snapshot.fact("cursors", b"peer"))
            self.assertIsNone(snapshot.get("c", key(1)))

# SPDX-License-Identifier: Apache-2.0
"""
What every store must do, as tests.

Mix `StoreContract` into a `twisted.trial.unittest.TestCase` and say how a store is made.  Read
each test's first line as a sentence of the contract.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, gatherResults
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from edge_twisted.documents.values import Value
from edge_twisted.store.errors import ReadCancelled, StoreClosed
from edge_twisted.store.interface import Snapshot, Store, WriteTransaction
from edge_twisted.store.rows import ByteRange, Commit, Document
from edge_twisted.testing.stored_documents import deleting, key, put, putting, removing

T = TypeVar("T")


class Broken(Exception):
    """What a unit of work raises in these tests."""


def flat(batches: Iterator[list[T]]) -> list[T]:
    """Return all rows of an iterator of batches, each of which must hold something."""
    rows: list[T] = []
    for batch in batches:
        assert batch, "an empty batch"
        rows.extend(batch)
    return rows


def noted(notes: list[Any], value: object) -> dict[str, Value]:
    """Note a value, and return a document without fields."""
    notes.append(value)
    return {}


class StoreTestCase(TestCase):
    """Makes and closes stores."""

    timeout = 30.0

    async def make_store(self) -> Store:
        """Return a new, open store; `reopen` must find its data again."""
        raise NotImplementedError

    async def reopen(self, store: Store) -> Store:
        """Close a store, and return an open one on the same data."""
        raise NotImplementedError

    async def opened(self) -> Store:
        """Return a new, open store that the test's end closes."""
        store = await self.make_store()
        self.addCleanup(lambda: store.close())
        return store

    async def lsn_of(self, work: Deferred[Any]) -> int:
        """Return the lsn of a unit of work, once it is durable."""
        return int((await work).lsn)


class UnitContract(StoreTestCase):
    """Units of work: order, atomicity, durability, effects."""

    async def test_a_new_store_is_empty(self) -> None:
        """A store that was never written has lsn 0 and no collections."""
        store = await self.opened()
        self.assertEqual(store.lsn, 0)
        with store.snapshot() as snapshot:
            self.assertEqual(snapshot.lsn, 0)
            self.assertEqual(list(snapshot.collections()), [])
            self.assertIsNone(snapshot.get("c", key("x")))
            self.assertIsNone(snapshot.collection("c"))
            self.assertEqual(flat(snapshot.scan("c")), [])

    async def test_each_unit_takes_the_next_lsn(self) -> None:
        """Units queued together run in order, each with its own lsn, and are all readable."""
        store = await self.opened()
        results = await gatherResults(
            [store.write("insert", putting("c", n, n=n)) for n in range(100)]
        )
        self.assertEqual([each.lsn for each in results], list(range(1, 101)))
        self.assertEqual([each.result for each in results], list(range(1, 101)))
        self.assertEqual(store.lsn, 100)
        with store.snapshot() as snapshot:
            self.assertEqual(snapshot.lsn, 100)
            found = snapshot.get("c", key(42))
            assert found is not None
            self.assertEqual((found.lsn, found.body), (43, b'{"_id":42,"n":42}'))

    async def test_a_failing_unit_hurts_nobody_else(self) -> None:
        """An exception undoes its unit alone, and reaches whoever queued it."""
        store = await self.opened()
        await store.write("before", putting("c", 1, v="old"))

        def broken(unit: WriteTransaction) -> None:
            put(unit, "c", 1, {"v": "new"})
            put(unit, "other", 2, {})
            unit.remove("c", key(1))
            unit.put_fact("space", b"k", b"v")
            unit.after_commit(lambda: self.fail("an effect of a failed unit"))
            raise Broken

        good = store.write("good", putting("c", 3))
        bad = store.write("bad", broken)
        after = store.write("after", putting("c", 4))
        self.assertEqual([(await good).lsn, (await after).lsn], [2, 3])
        await self.assertFailure(bad, Broken)
        with store.snapshot() as snapshot:
            self.assertEqual(snapshot.body("c", key(1)), b'{"_id":1,"v":"old"}')
            self.assertIsNone(snapshot.collection("other"))
            self.assertIsNone(snapshot.fact("space", b"k"))
            info = snapshot.collection("c")
            assert info is not None
            self.assertEqual(info.count, 3)

    async def test_a_failing_unit_that_scanned_is_undone(self) -> None:
        """What a unit wrote before it scanned is undone like the rest."""
        store = await self.opened()
        await store.write("before", putting("c", 1))

        def broken(unit: WriteTransaction) -> None:
            put(unit, "c", 2, {})
            self.assertEqual(len(flat(unit.scan("c"))), 2)
            put(unit, "c", 3, {})
            self.assertEqual(len(flat(unit.scan("c"))), 3)
            raise Broken

        bad = store.write("bad", broken)
        good = store.write("good", putting("c", 4))
        await self.assertFailure(bad, Broken)
        await good
        with store.snapshot() as snapshot:
            self.assertEqual(sorted(k for k, _ in flat(snapshot.scan("c"))), [key(1), key(4)])

    async def test_units_see_their_own_writes(self) -> None:
        """Inside a unit every way of reading shows what it wrote so far."""
        store = await self.opened()
        await store.write("before", putting("c", 1, v=1))
        await store.write("before", putting("c", 2, v=1))

        def work(unit: WriteTransaction) -> None:
            put(unit, "c", 1, {"v": 2})
            unit.remove("c", key(2))
            put(unit, "c", 3, {"v": 2})
            bodies = [b'{"_id":1,"v":2}', b'{"_id":3,"v":2}']
            keys = [key(1), key(2), key(3)]
            self.assertEqual([unit.body("c", k) for k in keys], [bodies[0], None, bodies[1]])
            self.assertEqual([b for _, b in flat(unit.bodies("c", keys))], bodies)
            self.assertEqual(sorted(b for _, b in flat(unit.scan("c"))), bodies)
            self.assertEqual([b for _, b in flat(unit.id_scan("c"))], bodies)
            info = unit.collection("c")
            assert info is not None
            self.assertEqual((info.count, info.lsn), (2, unit.lsn))
            changes = unit.changes_after(unit.lsn - 1).changes
            self.assertEqual([change.document.body for change in changes], bodies)
            unit.put_fact("s", b"k", b"1")
            self.assertEqual(unit.fact("s", b"k"), b"1")
            self.assertEqual(list(unit.facts("s")), [(b"k", b"1")])

        self.assertEqual(await self.lsn_of(store.write("work", work)), 3)

    async def test_units_of_one_group_see_each_other(self) -> None:
        """A later unit sees what an earlier one wrote, durable or not yet."""
        store = await self.opened()

        def add(unit: WriteTransaction) -> int:
            found = unit.body("c", key("n"))
            count = 0 if found is None else int(found.split(b":")[-1][:-1])
            put(unit, "c", "n", {"n": count + 1})
            return count + 1

        results = await gatherResults([store.write("add", add) for _ in range(50)])
        self.assertEqual([each.result for each in results], list(range(1, 51)))

    async def test_a_unit_that_changes_nothing_takes_no_lsn(self) -> None:
        """It is answered with the newest lsn; facts alone are no commit either."""
        store = await self.opened()
        await store.write("insert", putting("c", 1))
        self.assertEqual(await self.lsn_of(store.write("nothing", lambda unit: None)), 1)
        self.assertEqual(await self.lsn_of(store.write("evict", removing("c", 99))), 1)
        fact = store.write("fact", lambda unit: unit.put_fact("s", b"k", b"v"))
        self.assertEqual(await self.lsn_of(fact), 1)
        self.assertEqual(await self.lsn_of(store.write("insert", putting("c", 2))), 2)

    async def test_everything_survives_reopening(self) -> None:
        """Documents, tombstones, facts, numbers and clocks go on where they were."""
        store = await self.make_store()
        replica = store.replica
        stamps: list[int] = []
        await store.write("insert", putting("c", "a", v=1))
        await store.write("insert", putting("c", "b", v=1))
        await store.write("delete", deleting("c", "b"))
        await store.write("fact", lambda unit: unit.put_fact("s", b"k", b"v"))
        await store.write("tick", lambda unit: put(unit, "c", 1, noted(stamps, unit.tick())))
        with store.snapshot() as snapshot:
            before = [snapshot.collections(), snapshot.changes_after(0)]
        store = await self.reopen(store)
        self.addCleanup(store.close)
        self.assertEqual((store.lsn, store.replica), (4, replica))
        with store.snapshot() as snapshot:
            self.assertEqual([snapshot.collections(), snapshot.changes_after(0)], before)
            self.assertEqual(snapshot.fact("s", b"k"), b"v")

        def numbers(unit: WriteTransaction) -> None:
            self.assertEqual(unit.next_dot().sequence, 5)
            self.assertGreater(unit.tick(), stamps[0])
            self.assertEqual(unit.lsn, 5)

        await store.write("numbers", numbers)

    async def test_dots_have_no_gap(self) -> None:
        """The numbers of a failed unit are given again."""
        store = await self.opened()

        def broken(unit: WriteTransaction) -> None:
            unit.next_dot()
            raise Broken

        await store.write("one", putting("c", 1))
        await self.assertFailure(store.write("broken", broken), Broken)
        dots: list[int] = []
        await store.write("two", lambda unit: dots.append(unit.next_dot().sequence))
        self.assertEqual(dots, [2])

    async def test_a_new_epoch_begins_at_one(self) -> None:
        """`renew_epoch` changes who writes here, for good."""
        store = await self.make_store()
        await store.write("one", putting("c", 1))
        old = store.replica
        new = (await store.write("renew", lambda unit: unit.renew_epoch())).result
        self.assertEqual(store.replica, new)
        self.assertEqual(new.site, old.site)
        self.assertGreater(new.epoch, old.epoch)
        dots: list[Any] = []
        await store.write("two", lambda unit: put(unit, "c", 2, noted(dots, unit.next_dot())))
        self.assertEqual((dots[0].replica, dots[0].sequence), (new, 1))
        store = await self.reopen(store)
        self.addCleanup(store.close)
        self.assertEqual(store.replica, new)

    async def test_effects_and_hooks_come_after_the_commit(self) -> None:
        """After-commit effects come before the answer; hooks learn lsn and collections."""
        store = await self.opened()
        events: list[object] = []
        end = store.on_commit(lambda commit: events.append(commit))

        def work(unit: WriteTransaction) -> None:
            put(unit, "c", 1, {})
            put(unit, "d", 1, {})
            unit.after_commit(lambda: events.append("effect"))

        answer = store.write("work", work)
        await answer
        events.append("answer")
        await store.read("later", lambda snapshot: None)
        commits = [event for event in events if isinstance(event, Commit)]
        self.assertEqual(
            sorted(map(str, {"effect", "answer"} & set(map(str, events)))), ["answer", "effect"]
        )
        self.assertLess(events.index("effect"), events.index("answer"))
        self.assertEqual([(c.lsn, c.collections) for c in commits], [(1, frozenset({"c", "d"}))])
        end()
        end()
        await store.write("more", putting("c", 2))
        await store.read("later", lambda snapshot: None)
        self.assertEqual(len([event for event in events if isinstance(event, Commit)]), 1)

    async def test_a_failing_hook_or_effect_is_logged_and_ends_there(self) -> None:
        """Whoever watches cannot hurt whoever writes."""
        store = await self.opened()

        def explode(*args: object) -> None:
            raise Broken

        store.on_commit(explode)

        def work(unit: WriteTransaction) -> None:
            put(unit, "c", 1, {})
            unit.after_commit(explode)

        await store.write("work", work)
        await store.read("later", lambda snapshot: None)
        self.assertEqual(len(self.flushLoggedErrors(Broken)), 2)

    async def test_a_closed_store_refuses_work(self) -> None:
        """Work that waits when a store is closed is finished first; later work is refused."""
        store = await self.make_store()
        waiting = [store.write("insert", putting("c", n)) for n in range(20)]
        await store.close()
        self.assertEqual([(await each).lsn for each in waiting], list(range(1, 21)))
        await self.assertFailure(store.write("late", putting("c", 1)), StoreClosed)
        await self.assertFailure(store.read("late", lambda snapshot: None), StoreClosed)
        self.assertRaises(StoreClosed, store.snapshot)
        await store.close()


class DocumentContract(StoreTestCase):
    """Documents, tombstones, totals."""

    async def test_a_tombstone_is_kept_but_not_shown(self) -> None:
        """A deleted document is there for `get` and the log, and for nothing else."""
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
            self.assertEqual(flat(snapshot.scan("c")) + flat(snapshot.id_scan("c")), [])
            self.assertEqual(flat(snapshot.digests("c")), [])
            self.assertEqual(len(snapshot.changes_after(0).changes), 1)
            info = snapshot.collection("c")
            assert info is not None
            self.assertEqual((info.count, info.lsn, info.fingerprint), (0, 2, bytes(16)))

    async def test_a_document_comes_back(self) -> None:
        """Putting over a tombstone, and deleting again, works as often as one likes."""
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
        """Whatever JSON can hold, and marked bodies too."""
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
        got: list[Document] = []
        with store.snapshot() as snapshot:
            for number in range(len(fields)):
                found = snapshot.get("c", key(number))
                assert found is not None
                self.assertEqual(snapshot.body("c", key(number)), found.body)
                got.append(found)
            scanned = dict(flat(snapshot.scan("c")))
        self.assertEqual(scanned, {each.id_key: each.body for each in got})
        sent: list[bytes | None] = []

        def note(unit: WriteTransaction) -> None:
            for number, each in enumerate(fields):
                put(unit, "again", number, each)
                sent.append(unit.body("again", key(number)))

        await store.write("note", note)
        self.assertEqual([each.body for each in got], sent)

    async def test_ids_of_all_kinds(self) -> None:
        """Every id finds its document, and only its own; scans by id follow their order."""
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
            keys = [k for k, _ in flat(snapshot.id_scan("c"))]
            self.assertEqual(keys, [key(each) for each in ids])
            down = [k for k, _ in flat(snapshot.id_scan("c", descending=True))]
            self.assertEqual(down, keys[::-1])
            span = ByteRange(key(1), key("a"))
            some = [k for k, _ in flat(snapshot.id_scan("c", span))]
            self.assertEqual(some, keys[3:7])

    async def test_collections_do_not_mix(self) -> None:
        """One id in several collections is several documents, whatever their names."""
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
        """They depend on the live documents' digests alone, not on how these came about."""
        store = await self.opened()

        def make(collection: str, numbers: Sequence[int]) -> Callable[[WriteTransaction], None]:
            def work(unit: WriteTransaction) -> None:
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
        """`digests` yields what was put, signed 64 bits."""
        store = await self.opened()
        wanted = {key(1): 0, key(2): 2**63 - 1, key(3): -(2**63)}

        def work(unit: WriteTransaction) -> None:
            for id_key, number in wanted.items():
                unit.put("c", id_key, body=b"{}", state=b"", digest=number)

        await store.write("put", work)
        with store.snapshot() as snapshot:
            self.assertEqual(dict(flat(snapshot.digests("c"))), wanted)

    async def test_tombstones_are_reaped_by_receipt(self) -> None:
        """The oldest go first, at most so many, and the horizon moves."""
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

    async def test_facts(self) -> None:
        """Facts are set, overwritten, forgotten, and listed by prefix in pages."""
        store = await self.opened()

        def work(unit: WriteTransaction) -> None:
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
        """A cursor that is kept with received documents is there if and only if they are."""
        store = await self.opened()

        def receive(unit: WriteTransaction) -> None:
            put(unit, "c", 1, {})
            unit.put_fact("cursors", b"peer", b"1")
            raise Broken

        await self.assertFailure(store.write("receive", receive), Broken)
        with store.snapshot() as snapshot:
            self.assertIsNone(snapshot.fact("cursors", b"peer"))
            self.assertIsNone(snapshot.get("c", key(1)))


class LogContract(StoreTestCase):
    """The log of commits."""

    async def test_each_document_once_by_its_newest_commit(self) -> None:
        """Updated documents move to the end; the order is that of commits."""
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
        """A commit is never split, whatever the limit; reading on misses and repeats nothing."""
        store = await self.opened()

        def several(collection: str, numbers: range) -> Callable[[WriteTransaction], None]:
            def work(unit: WriteTransaction) -> None:
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

    async def test_only_the_collections_that_are_asked_for(self) -> None:
        """Commits of other collections count as passed."""
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


class ReadContract(StoreTestCase):
    """Long reads and streams."""

    async def filled(self, count: int) -> Store:
        """Return a store with documents 0 to `count` - 1 in "c"."""
        store = await self.opened()

        def fill(unit: WriteTransaction) -> None:
            for n in range(count):
                put(unit, "c", n, {"n": n, "pad": "x" * 100})

        await store.write("fill", fill)
        return store

    async def test_reads_answer_and_fail(self) -> None:
        """A read's result, or what it raised, comes back."""
        store = await self.filled(3)
        self.assertEqual(await store.read("count", lambda s: len(flat(s.scan("c")))), 3)

        def broken(snapshot: Snapshot) -> None:
            raise Broken

        await self.assertFailure(store.read("broken", broken), Broken)

    async def test_a_stream_keeps_its_snapshot(self) -> None:
        """Writes after its beginning do not show."""
        store = await self.filled(1000)
        stream = store.stream("scan", lambda snapshot: snapshot.scan("c"))
        first = await stream.next()
        assert first is not None
        await store.write("insert", putting("c", 5000))
        await store.write("delete", deleting("c", 999))
        count = len(first)
        while batch := await stream.next():
            count += len(batch)
        self.assertEqual(count, 1000)
        self.assertIsNone(await stream.next())
        stream.close()
        with store.snapshot() as snapshot:
            self.assertEqual(len(flat(snapshot.scan("c"))), 1000)

    async def test_a_closed_stream_is_over(self) -> None:
        """Closing early, twice, or before the beginning is fine; asking on is not."""
        store = await self.filled(1000)
        stream = store.stream("scan", lambda snapshot: snapshot.scan("c"))
        await stream.next()
        stream.close()
        stream.close()
        await self.assertFailure(stream.next(), ReadCancelled)
        store.stream("never begun", lambda snapshot: snapshot.scan("c")).close()

    async def test_a_failing_stream(self) -> None:
        """What the iterator raises comes out of `next`, and ends the stream."""
        store = await self.filled(1)

        def broken(snapshot: Snapshot) -> Iterator[int]:
            yield 1
            raise Broken

        stream = store.stream("broken", broken)
        self.assertEqual(await stream.next(), 1)
        await self.assertFailure(stream.next(), Broken)
        await self.assertFailure(stream.next(), ReadCancelled)

    async def test_nested_snapshots(self) -> None:
        """A function that takes a snapshot may call another that does."""
        store = await self.filled(2)
        with store.snapshot() as outer, store.snapshot() as inner:
            self.assertEqual(outer.lsn, inner.lsn)
            self.assertEqual(len(flat(inner.scan("c"))), 2)
        with store.snapshot() as snapshot:
            self.assertEqual(snapshot.lsn, 1)


def failing(failure: Failure) -> None:
    """Fail the test with what went wrong elsewhere."""
    failure.raiseException()


class StoreContract(UnitContract, DocumentContract, LogContract, ReadContract):
    """Everything in this module; see also the contracts of indexes and attachments."""

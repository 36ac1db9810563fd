# SPDX-License-Identifier: Apache-2.0
"""The contract on units of work: order, atomicity, durability, effects."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import gatherResults

from edge_twisted.documents.versions import VersionVector
from edge_twisted.store.errors import StoreClosed
from edge_twisted.store.interface import UnitOfWork
from edge_twisted.store.rows import Commit
from tests.support.store_contract.base import StoreTestCase, UnitFailure, flat, noted
from tests.support.stored_documents import deleting, key, put, putting, removing


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
        """An exception undoes its own unit only, and fails the Deferred of that unit."""
        store = await self.opened()
        await store.write("before", putting("c", 1, v="old"))

        def broken(unit: UnitOfWork) -> None:
            put(unit, "c", 1, {"v": "new"})
            put(unit, "other", 2, {})
            unit.remove("c", key(1))
            unit.put_fact("space", b"k", b"v")
            unit.after_commit(lambda: self.fail("an effect of a failed unit"))
            raise UnitFailure

        good = store.write("good", putting("c", 3))
        bad = store.write("bad", broken)
        after = store.write("after", putting("c", 4))
        self.assertEqual([(await good).lsn, (await after).lsn], [2, 3])
        await self.assertFailure(bad, UnitFailure)
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

        def broken(unit: UnitOfWork) -> None:
            put(unit, "c", 2, {})
            self.assertEqual(len(flat(unit.scan("c"))), 2)
            put(unit, "c", 3, {})
            self.assertEqual(len(flat(unit.scan("c"))), 3)
            raise UnitFailure

        bad = store.write("bad", broken)
        good = store.write("good", putting("c", 4))
        await self.assertFailure(bad, UnitFailure)
        await good
        with store.snapshot() as snapshot:
            self.assertEqual(sorted(k for k, _ in flat(snapshot.scan("c"))), [key(1), key(4)])

    async def test_units_see_their_own_writes(self) -> None:
        """Every read inside a unit shows what the unit has written so far."""
        store = await self.opened()
        await store.write("before", putting("c", 1, v=1))
        await store.write("before", putting("c", 2, v=1))

        def work(unit: UnitOfWork) -> None:
            put(unit, "c", 1, {"v": 2})
            unit.remove("c", key(2))
            put(unit, "c", 3, {"v": 2})
            bodies = [b'{"_id":1,"v":2}', b'{"_id":3,"v":2}']
            keys = [key(1), key(2), key(3)]
            self.assertEqual([unit.body("c", k) for k in keys], [bodies[0], None, bodies[1]])
            self.assertEqual([b for _, b in flat(unit.bodies("c", keys))], bodies)
            self.assertEqual(sorted(b for _, b in flat(unit.scan("c"))), bodies)
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

        def add(unit: UnitOfWork) -> int:
            found = unit.body("c", key("n"))
            count = 0 if found is None else int(found.split(b":")[-1][:-1])
            put(unit, "c", "n", {"n": count + 1})
            return count + 1

        results = await gatherResults([store.write("add", add) for _ in range(50)])
        self.assertEqual([each.result for each in results], list(range(1, 51)))

    async def test_a_unit_that_changes_nothing_takes_no_lsn(self) -> None:
        """A unit without changes, or with facts alone, takes no lsn; its result has the newest."""
        store = await self.opened()
        await store.write("insert", putting("c", 1))
        self.assertEqual(await self.lsn_of(store.write("nothing", lambda unit: None)), 1)
        self.assertEqual(await self.lsn_of(store.write("evict", removing("c", 99))), 1)
        fact = store.write("fact", lambda unit: unit.put_fact("s", b"k", b"v"))
        self.assertEqual(await self.lsn_of(fact), 1)
        self.assertEqual(await self.lsn_of(store.write("insert", putting("c", 2))), 2)

    async def test_everything_survives_reopening(self) -> None:
        """Documents, tombstones, facts, sequence numbers and clocks survive a restart."""
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

        def numbers(unit: UnitOfWork) -> None:
            self.assertEqual(unit.next_dot().sequence, 5)
            self.assertGreater(unit.tick(), stamps[0])
            self.assertEqual(unit.lsn, 5)

        await store.write("numbers", numbers)

    async def test_dots_have_no_gap(self) -> None:
        """The numbers of a failed unit are given again."""
        store = await self.opened()

        def broken(unit: UnitOfWork) -> None:
            unit.next_dot()
            raise UnitFailure

        await store.write("one", putting("c", 1))
        await self.assertFailure(store.write("broken", broken), UnitFailure)
        dots: list[int] = []
        await store.write("two", lambda unit: dots.append(unit.next_dot().sequence))
        self.assertEqual(dots, [2])

    async def test_a_new_epoch_begins_at_one(self) -> None:
        """`renew_epoch` makes the store a new replica, durably."""
        store = await self.make_store()
        await store.write("one", putting("c", 1))
        old = store.replica
        with store.snapshot() as snapshot:
            self.assertEqual(snapshot.written, VersionVector({old: 1}))
        new = (await store.write("renew", lambda unit: unit.renew_epoch())).result
        self.assertEqual(store.replica, new)
        self.assertEqual(new.site, old.site)
        self.assertGreater(new.epoch, old.epoch)
        dots: list[Any] = []
        await store.write("two", lambda unit: put(unit, "c", 2, noted(dots, unit.next_dot())))
        self.assertEqual((dots[0].replica, dots[0].sequence), (new, 1))
        written = VersionVector({old: 1, new: 2})

        def broken(unit: UnitOfWork) -> None:
            self.assertEqual(unit.written, written)
            dot = unit.next_dot()
            self.assertEqual(unit.written, written.with_dot(dot))
            unit.renew_epoch()
            raise UnitFailure

        await self.assertFailure(store.write("broken", broken), UnitFailure)
        with store.snapshot() as snapshot:
            self.assertEqual(snapshot.written, written)
        store = await self.reopen(store)
        self.addCleanup(store.close)
        self.assertEqual(store.replica, new)
        with store.snapshot() as snapshot:
            self.assertEqual(snapshot.written, written)

    async def test_effects_and_hooks_come_after_the_commit(self) -> None:
        """After-commit effects come before the answer; hooks learn lsn and collections."""
        store = await self.opened()
        events: list[object] = []
        end = store.on_commit(lambda commit: events.append(commit))

        def work(unit: UnitOfWork) -> None:
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
        """An exception of a hook or an effect is logged, and fails no write."""
        store = await self.opened()

        def explode(*args: object) -> None:
            raise UnitFailure

        store.on_commit(explode)

        def work(unit: UnitOfWork) -> None:
            put(unit, "c", 1, {})
            unit.after_commit(explode)

        await store.write("work", work)
        await store.read("later", lambda snapshot: None)
        self.assertEqual(len(self.flushLoggedErrors(UnitFailure)), 2)

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

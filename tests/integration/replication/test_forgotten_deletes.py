# SPDX-License-Identifier: Apache-2.0
"""What stays of a delete whose tombstone was reaped before others heard of it."""

from __future__ import annotations

from itertools import islice, permutations
from typing import Any

from edge_twisted.mesh.ports.requests import ApplyBatch, Changes, ReadChanges
from tests.integration.replication.base import ReplicationTestCase
from tests.support.replica import ReplicaServer

ALL = "SELECT * FROM c"
SOME = "SELECT * FROM c WHERE v = 1"


class Cases(ReplicationTestCase):
    """The tests; run on both stores below."""

    def _remembered(self, replica: ReplicaServer) -> int:
        with replica.store.snapshot() as snapshot:
            return len(snapshot.facts("reaped"))

    async def _rows(self, *replicas: ReplicaServer) -> list[Any]:
        return [await each.rows("SELECT * FROM c ORDER BY _id") for each in replicas]

    async def test_a_delete_under_a_condition_is_not_forgotten(self) -> None:
        """Who subscribes with a condition never hears what others know."""
        a, b, c = [await self.replica(name) for name in "abc"]
        await a.insert("c", {"_id": "x", "v": 1}, {"_id": "y", "v": 1})
        from_a, from_c = self.stream(a, b, SOME), self.stream(c, b, SOME)
        await self.exchange(from_a, self.stream(a, c, ALL))
        await b.run("DELETE FROM c WHERE _id = 'x'")
        await self.reap(b)
        await a.insert("c", {"_id": "z", "v": 1})
        await self.exchange(from_a, from_c)
        y, z = {"_id": "y", "v": 1}, {"_id": "z", "v": 1}
        self.assertEqual(await self._rows(b, c), [[y, z], [y]])

    async def test_a_delete_of_what_its_writer_never_vouched_for_is_not_forgotten(self) -> None:
        """It was sent before its stream caught up, and then its writer was set back."""
        a, b, c = [await self.replica(name) for name in "abc"]
        await a.insert("c", {"_id": "x", "v": 1})
        to_b = self.stream(a, b, ALL)
        changes = await a.documents.perform(ReadChanges(scope=to_b.scope, after=0))
        assert isinstance(changes, Changes)
        sender = a.documents.replica
        await b.documents.perform(
            ApplyBatch(
                scope=to_b.scope, sender=sender, items=changes.items, lsn=changes.lsn, after=None
            )
        )
        await self.stream(b, c, ALL).sync()
        await b.run("DELETE FROM c")
        await self.reap(b)
        self.assertEqual(self._remembered(b), 1)
        await self.stream(c, b, ALL).sync()
        self.assertEqual(await self._rows(b, c), [[], []])

    async def test_an_edit_that_the_deleter_had_not_seen_revives(self) -> None:
        """What was noted covers what was deleted, and nothing later."""
        a, b = [await self.replica(name) for name in "ab"]
        await a.insert("c", {"_id": "x", "v": 1})
        stream = self.stream(a, b, SOME)
        await stream.sync()
        await b.run("DELETE FROM c")
        await self.reap(b)
        await a.run("UPDATE c SET w = 2")
        await stream.sync()
        self.assertEqual(await self._rows(a, b), [[{"_id": "x", "v": 1, "w": 2}]] * 2)

    async def test_what_is_known_by_now_is_not_noted_any_more(self) -> None:
        """Nothing is noted of what knowledge covers, and notes of that go with the next ones."""
        a, b = [await self.replica(name) for name in "ab"]
        await a.insert("c", {"_id": "x", "v": 1}, {"_id": "y", "v": 1})
        some, everything = self.stream(a, b, SOME), self.stream(a, b, ALL)
        await some.sync()
        await b.run("DELETE FROM c")
        await self.reap(b)
        self.assertEqual(self._remembered(b), 2)
        await everything.sync()
        await b.insert("c", {"_id": "own"})
        await b.run("DELETE FROM c")
        await self.reap(b)
        self.assertEqual(self._remembered(b), 2)
        c = await self.replica("c")
        await c.insert("c", {"_id": "a", "v": 1})
        await self.stream(c, b, SOME).sync()
        await b.run("DELETE FROM c")
        await self.reap(b)
        self.assertEqual(self._remembered(b), 1)


class FormerLives(ReplicationTestCase):
    """A document that was deleted, reaped, and written again, and a peer that missed it all."""

    async def _begin(self) -> None:
        """A first life that all have, and that only the late one has not seen the end of."""
        self.a, self.b, self.late = [await self.replica(name) for name in ("a", "b", "late")]
        self.near = [self.stream(self.b, self.a, ALL), self.stream(self.a, self.b, ALL)]
        self.far = [self.stream(self.late, self.b, ALL), self.stream(self.b, self.late, ALL)]
        await self.b.insert("c", {"_id": "x", "older": 1})
        await self.exchange(*self.near)
        await self.a.run("UPDATE c SET old = 2")
        await self.exchange(*self.near, *self.far)
        await self.b.run("DELETE FROM c")
        await self.exchange(*self.near)
        await self.reap(self.a, self.b)

    async def _end(self, *expected: Any) -> None:
        """All meet, and show the same."""
        await self.exchange(*self.far, *self.near)
        for each in (self.a, self.b, self.late):
            self.assertEqual(await each.rows(ALL), list(expected))
        self.same(self.a, self.b, self.late, tombstones=False)

    async def test_a_new_life_has_nothing_of_the_former(self) -> None:
        """Whoever of those who knew of the delete begins it."""
        for name in "ba":
            await self._begin()
            await getattr(self, name).insert("c", {"_id": "x", "new": 3})
            await self.exchange(*self.near)
            await self._end({"_id": "x", "new": 3})

    async def test_the_late_one_may_come_to_it_first(self) -> None:
        """It merges both lives; whoever knows better tells it."""
        await self._begin()
        await self.b.insert("c", {"_id": "x", "new": 3})
        await self.far[1].sync()
        self.assertEqual(len((await self.late.rows(ALL))[0]), 3)
        await self.exchange(*self.near)
        await self._end({"_id": "x", "new": 3})

    async def test_a_new_life_that_was_deleted_stays_so(self) -> None:
        """The second delete has not seen the first life either."""
        await self._begin()
        await self.b.insert("c", {"_id": "x", "new": 3})
        await self.b.run("DELETE FROM c")
        await self._end()

    async def test_a_delete_that_was_not_known_brings_nothing_back(self) -> None:
        """What is news is the delete of another life; what lives in it was deleted here."""
        for id_ in ("x", 0):
            a, b, c = [await self.replica(name) for name in "abc"]
            await a.insert("c", {"_id": id_, "v": 1})
            await a.run("DELETE FROM c")
            await self.stream(a, c, ALL).sync()
            await b.insert("c", {"_id": id_, "v": 2})
            await self.stream(b, c, ALL).sync()
            self.assertEqual(await c.rows(ALL), [{"_id": id_, "v": 2}])
            await b.run("DELETE FROM c")
            await self.reap(b)
            await self.exchange(self.stream(c, b, ALL), self.stream(b, c, ALL))
            for each in (b, c):
                self.assertEqual(await each.rows(ALL), [])

    async def test_an_older_tombstone_does_not_make_the_delete_forgotten(self) -> None:
        """Another deleted less, and comes first to who has reaped; then what that one knew of."""
        a, b, c, d = [await self.replica(name) for name in "abcd"]
        await b.insert("c", {"_id": "x", "v": 1})
        await self.stream(b, a, ALL).sync()
        await b.run("UPDATE c SET v = 2")
        await self.stream(b, c, ALL).sync()
        await b.run("UPDATE c SET v = 3")
        await self.stream(b, d, ALL).sync()
        await b.run("DELETE FROM c")
        await self.reap(b)
        await a.run("DELETE FROM c")
        # It is news to the one that had deleted it: its deleter knew less of it.
        from_a = self.stream(a, b, ALL)
        await from_a.sync()
        for late in (c, d):
            await self.exchange(self.stream(late, b, ALL), self.stream(b, late, ALL))
        await self.exchange(from_a, self.stream(b, a, ALL))
        for each in (a, b, c, d):
            self.assertEqual(await each.rows(ALL), [])

    async def test_what_initial_writes_has_nothing_of_the_former(self) -> None:
        """It is a new life like any other, for nobody knows of the delete."""
        await self._begin()
        await self.b.run("INSERT INTO c INITIAL DOCUMENTS ({'_id': 'x', 'i': 3})")
        await self.exchange(*self.near)
        await self._end({"_id": "x", "i": 3})

    async def test_what_initial_writes_loses_against_a_tombstone_that_is_still_there(self) -> None:
        """Though whoever wrote it had reaped its own."""
        a, b = [await self.replica(name) for name in "ab"]
        await a.insert("c", {"_id": "x", "old": 1})
        streams = [self.stream(a, b, ALL), self.stream(b, a, ALL)]
        await self.exchange(*streams)
        await a.run("DELETE FROM c")
        await self.exchange(*streams)
        await self.reap(b)
        await b.run("INSERT INTO c INITIAL DOCUMENTS ({'_id': 'x', 'i': 3})")
        await self.exchange(*streams)
        for each in (a, b):
            self.assertEqual(await each.rows(ALL), [])

    async def test_an_edit_that_nobody_knew_brings_the_former_life_back(self) -> None:
        """As it does where the tombstone is still there."""
        await self._begin()
        await self.b.insert("c", {"_id": "x", "new": 3})
        await self.late.run("UPDATE c SET mine = 4")
        await self._end({"_id": "x", "old": 2, "new": 3, "mine": 4})

    async def test_what_was_evicted_is_no_former_life(self) -> None:
        """Written again while it was away, it comes back with what others have."""
        a, b = [await self.replica(name) for name in "ab"]
        await a.insert("c", {"_id": "x", "v": 1})
        streams = [self.stream(a, b, ALL), self.stream(b, a, ALL)]
        await self.exchange(*streams)
        await b.run("EVICT FROM c")
        await b.insert("c", {"_id": "x", "w": 2})
        await self.exchange(*streams)
        for each in (a, b):
            self.assertEqual(await each.rows(ALL), [{"_id": "x", "v": 1, "w": 2}])


class DeletedAfterEviction(ReplicationTestCase):
    """What was written after an EVICT was not evicted, and its delete holds."""

    async def test_a_reaped_delete_holds_against_what_lives_by_a_later_write(self) -> None:
        a, b = [await self.replica(name) for name in "ab"]
        to_b, to_a = self.stream(a, b, ALL), self.stream(b, a, ALL)
        await a.insert("c", {"_id": "x", "v": 1})
        await to_b.sync()
        await b.run("DELETE FROM c")
        await a.run("EVICT FROM c")
        await a.insert("c", {"_id": "x", "v": 2})
        await to_b.sync()
        self.assertEqual(await b.rows(ALL), [{"_id": "x", "v": 2}])
        await a.run("DELETE FROM c")
        await self.reap(a)
        await to_a.sync()
        self.assertEqual([await a.rows(ALL), await b.rows(ALL)], [[], []])

    async def test_a_delete_holds_against_who_gave_a_former_life_up(self) -> None:
        """That was a write, but the document lives by what had been deleted all the same."""
        a, b, c = [await self.replica(name) for name in "abc"]
        await a.insert("c", {"_id": "x", "v": 1})
        to_b, b_to_c = self.stream(a, b, ALL), self.stream(b, c, ALL)
        await self.exchange(to_b, b_to_c)
        await b.run("UPDATE c SET former = 1")
        await b_to_c.sync()
        await b.run("DELETE FROM c")
        await self.reap(b)
        await a.run("UPDATE c SET v = 2")
        await self.exchange(to_b)
        self.assertEqual(await b.rows(ALL), [{"_id": "x", "v": 2}])
        await self.stream(a, c, SOME).sync()
        await self.stream(b, c, "SELECT * FROM c WHERE v = 2").sync()
        await a.run("DELETE FROM c")
        await self.reap(a)
        await self.stream(c, b, ALL).sync()
        self.assertEqual(await b.rows(ALL), [{"_id": "x", "v": 2}])
        await self.exchange(to_b)
        self.assertEqual(await b.rows(ALL), [])


class ForgottenWrites(ReplicationTestCase):
    """A write over somebody's field that only some have heard of, and its writer forgets."""

    async def _forgotten(self) -> tuple[list[ReplicaServer], list[Any]]:
        """Return those who have heard nothing, the write, and its writer; and what links them."""
        replicas = [await self.replica(name) for name in ("late", "told", "writer")]
        _, told, writer = replicas
        await told.insert("c", {"_id": "x", "field": 1})
        links = self.links(ALL, *replicas)
        await self.exchange(*links)
        await writer.run("UPDATE c SET field = 2")
        await self.exchange(self.stream(writer, told, ALL))
        await writer.run("EVICT FROM c")
        await writer.insert("c", {"_id": "x", "new": 3})
        return replicas, links

    async def test_all_come_to_the_same_in_whatever_order(self) -> None:
        for order in islice(permutations(range(6)), 0, None, 31):
            replicas, links = await self._forgotten()
            await self.exchange(*(links[at] for at in order))
            await self.exchange(*links)
            self.same(*replicas)

    async def test_it_is_told_once(self) -> None:
        """Whoever drops it writes once, and nobody writes again because of that."""
        replicas, links = await self._forgotten()
        await self.exchange(*links)
        await self.exchange(*links)
        before = [each.store.lsn for each in replicas]
        await self.exchange(*links)
        self.assertEqual([each.store.lsn for each in replicas], before)


class InMemory(Cases):
    """Over stores in memory."""


class OnSqlite(Cases):
    """Over real files."""

    sqlite = True


class FormerLivesInMemory(FormerLives):
    """Over stores in memory."""


class FormerLivesOnSqlite(FormerLives):
    """Over real files."""

    sqlite = True


class ForgottenWritesInMemory(ForgottenWrites):
    """Over stores in memory."""


class ForgottenWritesOnSqlite(ForgottenWrites):
    """Over real files."""

    sqlite = True


class DeletedAfterEvictionInMemory(DeletedAfterEviction):
    """Over stores in memory."""


class DeletedAfterEvictionOnSqlite(DeletedAfterEviction):
    """Over real files."""

    sqlite = True


del Cases, DeletedAfterEviction, FormerLives, ForgottenWrites

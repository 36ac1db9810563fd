# SPDX-License-Identifier: Apache-2.0
"""Reaped deletes beyond the bound: nothing comes back, and what lives is fetched again."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

from edge_twisted.mesh.ports.requests import FindPosition, StreamPosition
from edge_twisted.records import folded_deletes
from edge_twisted.records.folded_deletes import FoldedDeletes
from edge_twisted.replication import reaped
from edge_twisted.replication.knowledge import Knowledge
from edge_twisted.store.interface import UnitOfWork
from tests.integration.replication.base import ReplicationTestCase
from tests.support.replica import ReplicaServer, ReplicaStream

ALL = "SELECT * FROM c"
SOME = "SELECT * FROM c WHERE v = 1"
#: The same, without the cursor of `SOME`.
SOME_ANEW = "SELECT * FROM c WHERE v = 1 AND _id != 'y'"
MORE = "SELECT * FROM c WHERE v > 0"


class FoldedDeletesTests(ReplicationTestCase):
    """`b` subscribes with conditions, and remembers no reaped delete by itself."""

    def setUp(self) -> None:
        super().setUp()
        self.patch(reaped, "MOST_REAPED", 0)

    async def _reap(self, *replicas: ReplicaServer) -> None:
        """Reap what peers have acknowledged."""

        def acknowledge(unit: UnitOfWork) -> None:
            unit.put_fact("acknowledged", b"", (10**6).to_bytes(8, "big"))

        for each in replicas:
            await each.store.write("acknowledge", acknowledge)
        await self.reap(*replicas)

    def _counts(self, replica: ReplicaServer) -> tuple[int, int]:
        """Return how many deletes are remembered by themselves, and how many buckets there are."""
        with replica.store.snapshot() as snapshot:
            return len(snapshot.facts("reaped")), len(snapshot.facts("reaped-folded"))

    async def _cursor(self, stream: ReplicaStream) -> int | None:
        request = FindPosition(scope=stream.scope, sender=stream.sender.documents.replica)
        found = await stream.receiver.documents.perform(request)
        assert isinstance(found, StreamPosition)
        return found.lsn

    async def _ids(self, replica: ReplicaServer) -> list[Any]:
        return [row["_id"] for row in await replica.rows("SELECT _id FROM c ORDER BY _id")]

    async def test_a_stale_copy_is_refused_and_the_cursor_given_up(self) -> None:
        a, b, stale = [await self.replica(name) for name in ("a", "b", "stale")]
        await a.insert("c", {"_id": "x", "v": 1})
        to_b, from_stale = self.stream(a, b, SOME), self.stream(stale, b, SOME)
        await self.exchange(to_b, self.stream(a, stale, ALL), from_stale)
        self.assertIsNotNone(await self._cursor(from_stale))
        await b.run("DELETE FROM c")
        await self._reap(b)
        self.assertEqual(self._counts(b), (0, 1))
        await stale.run("UPDATE c SET v = 1 WHERE _id = 'none'")
        fresh = self.stream(stale, b, SOME_ANEW)
        self.assertFalse(await fresh.sync())
        self.assertEqual((await self._ids(b), await self._ids(stale)), ([], ["x"]))
        self.assertIsNone(await self._cursor(fresh))
        self.assertTrue(all(not each.gone for each in fresh.applied), "it is not sure")
        # An edit that no delete has seen brings it back, as it does with a tombstone.
        await stale.run("UPDATE c SET w = 1")
        self.assertTrue(await self.stream(stale, b, SOME).sync())
        self.assertEqual(await self._ids(b), ["x"])

    async def _old_document(self) -> tuple[ReplicaServer, ReplicaServer]:
        """`b` has folded deletes that may have deleted `old`, which it never saw."""
        a, b = [await self.replica(name) for name in "ab"]
        await a.insert("c", {"_id": "old", "v": 2})
        await a.insert("c", {"_id": "x", "v": 1})
        await self.stream(a, b, SOME).sync()
        await b.run("DELETE FROM c")
        return a, b

    async def test_what_lives_is_taken_from_who_knows_of_the_deletes(self) -> None:
        with patch.object(folded_deletes, "_hash", lambda id_key: bytes(16)):
            a, b = await self._old_document()
            await self.stream(b, a, ALL).sync()
            await self._reap(b)
            more = self.stream(a, b, MORE)
            self.assertTrue(await more.sync())
            self.assertEqual((await self._ids(a), await self._ids(b)), (["old"], ["old"]))
            self.assertEqual(more.repairs, 1)
            self.assertEqual([each.doubtful for each in more.applied], [1, 0])
            self.assertEqual(await self._cursor(more), a.store.lsn)

    async def test_from_others_it_is_not_taken_until_they_know(self) -> None:
        with patch.object(folded_deletes, "_hash", lambda id_key: bytes(16)):
            a, b = await self._old_document()
            await self._reap(b)
            more = self.stream(a, b, MORE)
            self.assertFalse(await more.sync())
            self.assertEqual((await self._ids(a), await self._ids(b)), (["old", "x"], []))
            # Nobody has deleted x there; a delete by another server that has seen all of it.
            await a.run("DELETE FROM c WHERE _id = 'x'")
            self.assertFalse(await more.sync())
            self.assertEqual(await self._ids(b), [])

    async def test_an_id_that_was_never_deleted_is_not_doubtful(self) -> None:
        a, b = await self._old_document()
        await self._reap(b)
        self.assertEqual(self._counts(b), (0, 1))
        more = self.stream(a, b, "SELECT * FROM c WHERE v = 2")
        self.assertTrue(await more.sync())
        self.assertEqual((await self._ids(b), more.repairs), (["old"], 0))

    async def test_who_cannot_tell_does_not_let_its_knowledge_be_taken(self) -> None:
        """Else `a` would vouch for x, with the knowledge of the delete that it never got."""
        a, b = await self._old_document()
        await self._reap(b)
        back = self.stream(b, a, ALL)
        self.assertFalse(await back.sync())
        self.assertIsNone(await self._cursor(back))
        with a.store.snapshot() as snapshot:
            self.assertEqual(Knowledge(snapshot, "c").vector.seen(b.documents.replica), 0)
        self.assertFalse(await self.stream(a, b, SOME_ANEW).sync())
        self.assertEqual((await self._ids(a), await self._ids(b)), (["old", "x"], []))

    async def test_own_deletes_that_no_peer_has_are_not_folded(self) -> None:
        a, b = await self._old_document()
        await self.reap(b)
        self.assertEqual(self._counts(b), (1, 0))
        self.assertTrue(await self.stream(a, b, SOME_ANEW).sync())
        self.assertEqual((await self._ids(a), await self._ids(b)), (["old"], []))

    async def test_a_former_life_is_not_mixed_into_a_new_one(self) -> None:
        a, b = await self._old_document()
        await self._reap(b)
        c = await self.replica("c")
        await c.insert("c", {"_id": "x", "v": 1, "new": True})
        await self.stream(c, b, SOME).sync()
        self.assertFalse(await self.stream(a, b, SOME_ANEW).sync())
        self.assertEqual(await b.rows(SOME), [{"_id": "x", "v": 1, "new": True}])

    async def test_buckets_go_once_knowledge_covers_them(self) -> None:
        a, b = await self._old_document()
        await self._reap(b)
        back, to_b = self.stream(b, a, ALL), self.stream(a, b, ALL)
        await a.run("EVICT FROM c WHERE _id = 'x'")
        await self.exchange(back, to_b)
        self.assertEqual(await self._ids(b), ["old"])
        for number in range(40):
            d = await self.replica(f"d{number}")
            await d.insert("c", {"_id": number, "v": 1})
            await self.stream(d, b, SOME).sync()
            await b.run("DELETE FROM c WHERE _id = :id", id=number)
            await self._reap(b)
            with b.store.snapshot() as snapshot:
                known = Knowledge(snapshot, "c").vector
                found = [FoldedDeletes.decode(f) for _, f in snapshot.facts("reaped-folded")]
            if not any(known.includes(each.vector) for each in found):
                break
        else:
            self.fail("a covered bucket stays")

# SPDX-License-Identifier: Apache-2.0
"""What EVICT took away is no deleted document, whatever else comes of it first."""

from __future__ import annotations

from itertools import islice, permutations
from typing import Any

from edge_twisted.documents.ids import DocumentId
from edge_twisted.documents.version_exceptions import MOST_EXCEPTIONS
from edge_twisted.records import evictions
from edge_twisted.records.documents import load_state
from tests.integration.replication.base import ReplicationTestCase
from tests.support.replica import ReplicaServer, ReplicaStream

ALL = "SELECT * FROM c"


class Cases(ReplicationTestCase):
    """The tests; run on both stores below."""

    async def test_an_older_delete_that_came_back_is_not_what_was_evicted(self) -> None:
        """Its tombstone is reaped, and the edits that it had not seen still live elsewhere."""
        a, b, c = [await self.replica(name) for name in "abc"]
        await a.insert("c", {"_id": "x", "v": 1})
        await self.stream(a, c, ALL).sync()
        await a.run("UPDATE c SET v = 2")
        from_a = self.stream(a, b, ALL)
        await from_a.sync()
        await b.run("EVICT FROM c")
        await c.run("DELETE FROM c")
        await self.stream(c, b, ALL).sync()
        await self.reap(b)
        await self.exchange(from_a, self.stream(b, a, ALL))
        for each in (a, b):
            self.assertEqual(await each.rows(ALL), [{"_id": "x", "v": 2}])

    async def test_what_initial_wrote_elsewhere_does_not_make_it_deleted(self) -> None:
        """The copy that was evicted had nothing of INITIAL; the other one has."""
        a, b = [await self.replica(name) for name in "ab"]
        await a.insert("c", {"_id": "x", "v": 1})
        await b.run("INSERT INTO c INITIAL DOCUMENTS ({'_id': 'x', 'i': 2})")
        await self.stream(a, b, ALL).sync()
        await a.run("EVICT FROM c")
        await self.exchange(self.stream(b, a, ALL), self.stream(a, b, ALL))
        for each in (a, b):
            self.assertEqual(await each.rows(ALL), [{"_id": "x", "v": 1, "i": 2}])

    async def test_what_has_come_back_whole_can_be_deleted(self) -> None:
        """Then nothing is remembered of the eviction, and a late peer is told of the delete."""
        a, b, c = [await self.replica(name) for name in "abc"]
        await a.insert("c", {"_id": "x", "v": 1})
        from_a, to_a = self.stream(a, b, ALL), self.stream(b, a, ALL)
        await self.exchange(from_a, self.stream(a, c, ALL))
        await b.run("EVICT FROM c")
        await b.insert("c", {"_id": "x", "w": 2})
        await self.exchange(from_a, to_a)
        await b.run("DELETE FROM c")
        await self.exchange(from_a, to_a)
        await self.reap(a, b)
        await self.exchange(self.stream(c, b, ALL), self.stream(b, c, ALL))
        for each in (a, b, c):
            self.assertEqual(await each.rows(ALL), [])

    async def _evicted_but_told(
        self, *others: Any
    ) -> tuple[list[ReplicaServer], list[ReplicaStream]]:
        """
        Return who began, who was told, and who wrote over it and evicted that; and their links.

        :param others: documents that all three have as well.
        """
        replicas = [await self.replica(name) for name in ("source", "told", "writer")]
        source, told, writer = replicas
        await source.insert("c", {"_id": "x", "a": 1}, *others)
        links = self.links(ALL, *replicas)
        await self.exchange(*links)
        await writer.run("UPDATE c SET a = 2 WHERE _id = 'x'")
        await self.stream(writer, told, ALL).sync()
        await told.run("UPDATE c SET d = 4 WHERE _id = 'x'")
        await writer.run("EVICT FROM c WHERE _id = 'x'")
        return replicas, links

    async def test_what_its_writer_evicted_and_another_has_is_not_lost(self) -> None:
        """The next write of the writer covers the number of the evicted one, and never saw it."""
        (source, told, writer), links = await self._evicted_but_told()
        await self.stream(source, writer, ALL).sync()
        await writer.run("UPDATE c SET b = 3")
        await self.exchange(*links)
        for each in (source, told, writer):
            self.assertEqual(await each.rows(ALL), [{"_id": "x", "a": 2, "b": 3, "d": 4}])
        self.same(source, told, writer)

    async def test_all_show_the_same_when_it_is_written_anew(self) -> None:
        """A field that was overwritten, evicted, written anew and removed, wherever it is met."""
        for order in islice(permutations(range(6)), 0, None, 31):
            late, told, writer = [await self.replica(name) for name in ("late", "told", "writer")]
            await late.insert("c", {"_id": "x", "a": 1})
            await self.stream(late, writer, ALL).sync()
            await writer.run("UPDATE c SET a = 2")
            await self.stream(writer, told, ALL).sync()
            await writer.run("EVICT FROM c")
            await writer.insert("c", {"_id": "x", "a": 3})
            await writer.run("UPDATE c UNSET a")
            links = self.links(ALL, late, told, writer)
            await self.exchange(*(links[at] for at in order))
            for each in (late, told, writer):
                # The write that was evicted had not seen the removal.
                self.assertEqual(await each.rows(ALL), [{"_id": "x", "a": 2}])
            self.same(late, told, writer)

    async def test_a_delete_of_what_was_written_anew_has_not_seen_what_was_evicted(self) -> None:
        """So that is a concurrent write, and brings the document back, as anybody else's would."""
        a, b = [await self.replica(name) for name in "ab"]
        await a.insert("c", {"_id": "x", "v": 1})
        from_a, to_a = self.stream(a, b, ALL), self.stream(b, a, ALL)
        await from_a.sync()
        await a.run("EVICT FROM c")
        await a.insert("c", {"_id": "x", "w": 2})
        await a.run("DELETE FROM c")
        await self.exchange(from_a, to_a)
        for each in (a, b):
            self.assertEqual(await each.rows(ALL), [{"_id": "x", "v": 1, "w": 2}])
        self.same(a, b)

    async def test_what_was_counted_and_evicted_still_counts(self) -> None:
        """The share that others have does not give way to the one that is begun anew."""
        a, b = [await self.replica(name) for name in "ab"]
        await a.insert("c", {"_id": "x"})
        await a.run("UPDATE c APPLY n INCREMENT BY 5")
        links = self.links(ALL, a, b)
        await self.exchange(*links)
        await a.run("EVICT FROM c")
        await a.insert("c", {"_id": "x"})
        await a.run("UPDATE c APPLY n INCREMENT BY 1")
        self.assertEqual(await a.rows(ALL), [{"_id": "x", "n": 1}])
        await self.exchange(*links)
        for each in (a, b):
            self.assertEqual(await each.rows(ALL), [{"_id": "x", "n": 6}])
        await a.run("UPDATE c APPLY n INCREMENT BY 10")
        await b.run("UPDATE c APPLY n INCREMENT BY 20")
        await self.exchange(*links)
        for each in (a, b):
            self.assertEqual(await each.rows(ALL), [{"_id": "x", "n": 36}])
        self.same(a, b)

    async def test_what_was_counted_on_an_older_copy_is_added_to_what_was_evicted(self) -> None:
        source, told, writer = [await self.replica(name) for name in ("source", "told", "writer")]
        await source.insert("c", {"_id": "x"})
        await self.stream(source, writer, ALL).sync()
        await writer.run("UPDATE c APPLY n INCREMENT BY 5")
        await self.stream(writer, source, ALL).sync()
        await writer.run("UPDATE c APPLY n INCREMENT BY 10")
        await self.stream(writer, told, ALL).sync()
        await writer.run("EVICT FROM c")
        await self.stream(source, writer, ALL).sync()
        await writer.run("UPDATE c APPLY n INCREMENT BY 1")
        self.assertEqual(await writer.rows(ALL), [{"_id": "x", "n": 6}])
        await self.exchange(*self.links(ALL, source, told, writer))
        for each in (source, told, writer):
            self.assertEqual(await each.rows(ALL), [{"_id": "x", "n": 16}])
        self.same(source, told, writer)

    async def test_a_merge_that_renounces_may_bring_back_what_was_evicted(self) -> None:
        """Then the write that tells of it has seen that."""
        a, b, c, d = [await self.replica(name) for name in "abcd"]
        await b.insert("c", {"_id": "x", "f": 1})
        await self.stream(b, c, ALL).sync()
        await c.run("UPDATE c SET g = 1")
        await b.run("DELETE FROM c")
        await self.reap(b)
        await a.insert("c", {"_id": "x", "w": 1})
        await self.stream(a, b, ALL).sync()
        await b.run("UPDATE c SET v = 1")
        await a.run("EVICT FROM c")
        await self.stream(c, a, ALL).sync()
        await self.stream(b, a, ALL).sync()
        await self.stream(a, d, ALL).sync()
        self.assertEqual((await d.rows(ALL))[0]["w"], 1)
        self.same(a, d)

    async def test_a_delta_of_a_document_with_exceptions_is_one(self) -> None:
        """It builds on the newest writes of those it leaves out, not on all before them."""
        a, late, s, q, r = [await self.replica(name) for name in ("a", "late", "s", "q", "r")]
        await a.insert("c", {"_id": "x", "a": 1})
        await self.stream(a, late, ALL).sync()
        await a.run("EVICT FROM c")
        await a.insert("c", {"_id": "x", "b": "long " * 100})
        a_to_s, s_to_r = self.stream(a, s, ALL), self.stream(s, r, ALL)
        await a_to_s.sync()
        await self.stream(s, q, ALL).sync()
        await s_to_r.sync()
        await self.stream(late, a, ALL).sync()
        await a.run("DELETE FROM c")
        await self.reap(a)
        await a_to_s.sync()
        await s_to_r.sync()
        await q.run("UPDATE c SET w = 3")
        await self.stream(q, s, ALL).sync()
        await s_to_r.sync()
        self.same(s, r)

    async def test_exceptions_of_one_document_are_bounded(self) -> None:
        """Who discards an edit by EVICT, again and again, leaves an exception each time."""
        a, b = await self.replica("a"), await self.replica("b")
        await b.insert("c", {"_id": "x"})
        to_a, to_b = self.stream(b, a, ALL), self.stream(a, b, ALL)
        for number in range(MOST_EXCEPTIONS + 3):
            await to_a.sync()
            await a.run("UPDATE c SET discarded = TRUE")
            await a.run("EVICT FROM c")
            await to_a.sync()
            await a.run("UPDATE c SET kept = :n", n=number)
            await to_b.sync()
        self.assertEqual(await b.rows(ALL), [{"_id": "x", "kept": number}])
        with b.store.snapshot() as snapshot:
            state = load_state(snapshot, "c", DocumentId.of("x").key)
        assert state is not None
        (spans,) = state.version.exceptions.values()
        self.assertEqual(len(spans), MOST_EXCEPTIONS)

    async def test_no_old_field_comes_back_where_too_many_were_evicted_to_know_which(self) -> None:
        self.patch(evictions, "MOST_EVICTED", 1)
        a, b = [await self.replica(name) for name in "ab"]
        await a.insert("c", {"_id": "x", "old": 1})
        to_b, to_a = self.stream(a, b, ALL), self.stream(b, a, ALL)
        await to_b.sync()
        await a.run("DELETE FROM c WHERE _id = 'x'")
        await self.reap(a)
        await a.insert("c", {"_id": "y"}, {"_id": "z"})
        await a.run("EVICT FROM c")
        await a.insert("c", {"_id": "x", "new": 2})
        await to_a.sync()
        rows = await a.rows("SELECT * FROM c WHERE _id = 'x'")
        self.assertEqual(rows, [{"_id": "x", "new": 2}])

    async def test_those_that_are_known_are_excepted_where_others_are_not(self) -> None:
        self.patch(evictions, "MOST_EVICTED", 1)
        (source, told, writer), links = await self._evicted_but_told({"_id": "y"})
        await writer.run("EVICT FROM c WHERE _id = 'y'")
        await self.stream(source, writer, ALL).sync()
        await writer.run("UPDATE c SET b = 3 WHERE _id = 'x'")
        await self.exchange(*links)
        rows = await told.rows("SELECT * FROM c WHERE _id = 'x'")
        self.assertEqual(rows, [{"_id": "x", "a": 2, "b": 3, "d": 4}])
        self.same(source, told, writer)


class InMemory(Cases):
    """Over stores in memory."""


class OnSqlite(Cases):
    """Over real files."""

    sqlite = True


del Cases

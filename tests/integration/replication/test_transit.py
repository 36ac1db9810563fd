# SPDX-License-Identifier: Apache-2.0
"""A line of servers A - T - B, T in transit: what passes through T, and what T shows of it."""

from __future__ import annotations

from typing import Any

from edge_twisted.documents.headers import read_header
from edge_twisted.documents.values import Value
from edge_twisted.dql.errors import UnsupportedError
from edge_twisted.mesh.ports.requests import Applied, ApplyBatch, Changes, DeleteGone, ReadChanges
from edge_twisted.mesh.wire.items import Seen
from edge_twisted.records.evictions import Evictions
from edge_twisted.records.facts import SPACES
from edge_twisted.records.transit import DropMark
from edge_twisted.records.transit_size import size_of
from edge_twisted.replication.transit import TransitStore
from edge_twisted.replication.transit_upkeep import TransitUpkeep, purge
from edge_twisted.store.hidden import PREFIX_BYTES, hidden_name
from edge_twisted.store.interface import Snapshot
from tests.integration.replication.base import ReplicationTestCase
from tests.support.replica import ReplicaServer, ReplicaStream

ALL = "SELECT * FROM c"
TOKEN = "a" * 43


def account(replica: ReplicaServer) -> TransitStore:
    transit = replica.documents.transit
    assert transit is not None
    with replica.store.snapshot() as snapshot:
        transit.refresh(snapshot)
    return transit


def upkeep(replica: ReplicaServer) -> TransitUpkeep:
    assert replica.documents.upkeep is not None
    return replica.documents.upkeep


def hidden_facts(snapshot: Snapshot) -> list[str]:
    return [space.name for space in SPACES if snapshot.facts(space.name, PREFIX_BYTES)]


class Line:
    """The streams of a line, in the order in which a change at its ends needs them."""

    def __init__(self, *streams: ReplicaStream) -> None:
        self.streams = streams

    async def sync(self) -> None:
        for _ in range(3):
            for each in self.streams:
                await each.sync()


class Cases(ReplicationTestCase):
    """The tests; run on both stores below."""

    async def line(
        self, query: str = ALL, most: int = 1 << 20, **more: Any
    ) -> tuple[ReplicaServer, ReplicaServer, ReplicaServer, Line]:
        """A - T - B, where A and B subscribe to a query, and T to nothing."""
        a, b = await self.replica("a"), await self.replica("b")
        t = await self.replica("t", transit_bytes=most, **more)
        await t.documents.start_transit()
        line = Line(
            self.stream(a, t, query, in_transit=True),
            self.stream(b, t, query, in_transit=True),
            self.stream(t, b, query),
            self.stream(t, a, query),
        )
        return a, t, b, line

    async def shows_nothing(self, t: ReplicaServer) -> None:
        self.assertEqual(await t.rows("SELECT * FROM c"), [])
        self.assertEqual(await t.rows("SELECT count(*) AS n FROM c"), [{"n": 0}])
        self.assertEqual(await t.rows("SELECT * FROM system:collections"), [])
        (vitals,) = await t.rows("SELECT * FROM system:vitals")
        self.assertEqual((vitals["collections"], vitals["documents"]), (0, 0))
        with t.store.snapshot() as snapshot:
            self.assertEqual(snapshot.census(5).collections, 0)
            self.assertEqual(snapshot.referrers(TOKEN), [])

    async def recounted(self, t: ReplicaServer) -> None:
        """The account is what a new count finds."""
        rows = [change.document for change in self._hidden(t)]
        counted = (sum(map(size_of, rows)), len(rows))
        self.assertEqual((account(t).size, account(t).documents), counted)

    # -- passing through

    async def test_what_is_written_at_one_end_arrives_at_the_other_and_is_not_shown(self) -> None:
        a, t, b, line = await self.line()
        token: dict[str, Value] = {"id": TOKEN, "len": 1, "metadata": {}}
        await a.insert("c", {"_id": 1, "s": "one", "file": token}, {"_id": 2, "s": "two"})
        await line.sync()
        await b.run("UPDATE c SET s = 'eins' WHERE _id = 1")
        await a.run("DELETE FROM c WHERE _id = 2")
        await line.sync()
        self.assertEqual([r["s"] for r in await a.rows(ALL)], ["eins"])
        self.assertEqual(await b.rows(ALL), await a.rows(ALL))
        self.same(a, b)
        await self.shows_nothing(t)
        with t.store.snapshot() as snapshot:
            found = snapshot.referrers(TOKEN, hidden=True)
        self.assertEqual([name for name, _ in found], [hidden_name("c")])
        await self.recounted(t)

    async def test_changes_pass_as_deltas(self) -> None:
        a, _t, b, line = await self.line()
        await a.insert("c", {"_id": 1, "text": "x" * 5000, "n": 0})
        await line.sync()
        to_b = line.streams[2]
        before = len(to_b.items)
        await a.run("UPDATE c SET n = 1 WHERE _id = 1")
        await line.sync()
        self.assertEqual([type(item).__name__ for item in to_b.items[before:]], ["Partial"])
        self.assertEqual([r["n"] for r in await b.rows(ALL)], [1])

    async def test_a_condition_and_what_leaves_it(self) -> None:
        a, t, b, line = await self.line("SELECT * FROM c WHERE a = 1")
        await a.insert("c", {"_id": 1, "a": 1}, {"_id": 2, "a": 2})
        await line.sync()
        self.assertEqual([r["_id"] for r in await b.rows(ALL)], [1])
        await a.run("UPDATE c SET a = 3 WHERE _id = 1")
        await line.sync()
        self.assertEqual(await b.rows(ALL), [{"_id": 1, "a": 3}])
        await self.shows_nothing(t)

    async def test_a_delete_does_not_come_back_once_its_tombstone_is_reaped(self) -> None:
        a, t, b, line = await self.line()
        await a.insert("c", {"_id": 1})
        await line.sync()
        late = self.stream(b, t, ALL, in_transit=True)
        await a.run("DELETE FROM c WHERE _id = 1")
        await line.streams[0].sync()
        await self.reap(a, t)
        await late.sync()
        await line.sync()
        for each in (a, b):
            self.assertEqual(await each.rows(ALL), [])
        await self.recounted(t)

    async def test_a_peer_tells_that_a_document_in_transit_is_gone(self) -> None:
        a, t, b, line = await self.line()
        await a.insert("c", {"_id": 1})
        await line.sync()
        ((document,),) = [[change.document for change in self._hidden(t)]]
        version = read_header(document.state).version
        await t.documents.perform(
            DeleteGone(collection="c", seen=(Seen(document.id_key, version),))
        )
        await line.sync()
        self.assertEqual(await b.rows(ALL), [])
        await self.shows_nothing(t)
        await self.recounted(t)

    def _hidden(self, t: ReplicaServer) -> Any:
        with t.store.snapshot() as snapshot:
            return snapshot.changes_after(0, (hidden_name("c"),)).changes

    async def test_what_nobody_wants_is_ignored_and_counted(self) -> None:
        a, t, _b, _line = await self.line("SELECT * FROM c WHERE a = 1")
        await a.insert("c", {"_id": 1, "a": 1}, {"_id": 2, "a": 2})
        changes = await a.documents.perform(ReadChanges(scope=a.documents.scope(ALL, {}), after=0))
        assert isinstance(changes, Changes)
        stream = self.stream(a, t, "SELECT * FROM c WHERE a = 1", in_transit=True)
        applied = await t.documents.perform(
            ApplyBatch(
                scope=stream.scope, sender=a.documents.replica, items=changes.items, lsn=None
            )
        )
        assert isinstance(applied, Applied)
        self.assertEqual((applied.documents, applied.unwanted), (1, 1))
        self.assertEqual(account(t).documents, 1)

    # -- what this server wants itself

    async def test_a_document_moves_when_this_server_begins_to_want_it(self) -> None:
        a, t, b, line = await self.line()
        await a.insert("c", {"_id": 1, "a": 1}, {"_id": 2, "a": 2})
        await line.sync()
        own = t.documents.scope("SELECT * FROM c WHERE a = 1", {})
        t.documents.subscribe([own])
        await t.documents.start_transit()
        self.assertEqual(await t.rows(ALL), [{"_id": 1, "a": 1}])
        await a.run("UPDATE c SET a = 1 WHERE _id = 2")
        await line.sync()
        self.assertEqual(len(await t.rows(ALL)), 2)
        self.assertEqual(len(self._hidden(t)), 0)
        self.same(a, t, b)

    async def test_a_statement_makes_a_document_of_an_id_in_transit(self) -> None:
        a, t, b, line = await self.line()
        await a.insert("c", {"_id": 1, "a": 1})
        await line.sync()
        await t.insert("c", {"_id": 1, "b": 2})
        await line.sync()
        for each in (a, t, b):
            self.assertEqual(await each.rows(ALL), [{"_id": 1, "a": 1, "b": 2}])
        self.assertEqual(len(self._hidden(t)), 0)
        await self.recounted(t)

    async def test_what_moves_out_is_dropped_here_and_still_passed_on(self) -> None:
        a, t, b, line = await self.line(drop_moved_out=True)
        own = t.documents.scope("SELECT * FROM c WHERE a = 1", {})
        t.documents.subscribe([own])
        await a.insert("c", {"_id": 1, "a": 1})
        await line.sync()
        self.assertEqual(len(await t.rows(ALL)), 1)
        await a.run("UPDATE c SET a = 2 WHERE _id = 1")
        await line.sync()
        self.assertEqual(await t.rows(ALL), [])
        self.assertEqual(await b.rows(ALL), [{"_id": 1, "a": 2}])
        await self.recounted(t)

    # -- room

    async def make_room(self, t: ReplicaServer, **passed: int) -> int:
        before = account(t).documents
        while (await upkeep(t).make_room(passed)).more and account(t).is_full:
            pass
        return before - account(t).documents

    async def test_the_oldest_delivered_documents_go_first(self) -> None:
        a, t, b, line = await self.line()
        await a.insert("c", {"_id": 1})
        await line.sync()
        delivered = t.store.lsn
        await a.insert("c", {"_id": 2})
        await line.streams[0].sync()
        account(t).most_bytes = 0
        self.assertEqual(await self.make_room(t, c=delivered), 1)
        ((left,),) = [[c.document for c in self._hidden(t)]]
        self.assertGreater(left.lsn, delivered)
        self.assertEqual(account(t).size, size_of(left))
        await line.sync()
        self.assertEqual(len(await b.rows(ALL)), 2)
        with t.store.snapshot() as snapshot:
            self.assertEqual(DropMark.of(snapshot, "c").lsn, delivered)
            self.assertEqual(Evictions.of(snapshot, "c").count, 0)
        await self.recounted(t)

    async def test_what_was_dropped_does_not_count_as_deleted(self) -> None:
        a, t, b, line = await self.line()
        await a.insert("c", {"_id": 1, "n": 1})
        await line.sync()
        account(t).most_bytes = 0
        await self.make_room(t)
        await line.sync()
        await a.run("UPDATE c SET n = 2 WHERE _id = 1")
        await line.sync()
        self.assertEqual(await b.rows(ALL), [{"_id": 1, "n": 2}])
        await self.make_room(t)
        await a.run("DELETE FROM c WHERE _id = 1")
        await line.sync()
        self.assertEqual(await b.rows(ALL), [])
        await self.make_room(t)
        await line.sync()
        self.assertEqual(await a.rows(ALL), [])
        await self.recounted(t)

    async def test_what_was_dropped_and_leaves_a_condition_is_told(self) -> None:
        a, t, b, line = await self.line("SELECT * FROM c WHERE a = 1")
        await a.insert("c", {"_id": 1, "a": 1})
        await line.sync()
        account(t).most_bytes = 0
        await self.make_room(t)
        await a.run("UPDATE c SET a = 2 WHERE _id = 1")
        await line.sync()
        self.assertEqual(await b.rows(ALL), [{"_id": 1, "a": 2}])

    async def test_what_was_dropped_is_not_taken_again_until_it_is_wanted(self) -> None:
        a, t, b, line = await self.line()
        await a.insert("c", {"_id": 1}, {"_id": 2})
        await line.sync()
        account(t).most_bytes = 0
        await self.make_room(t)
        circling = self.stream(b, t, ALL, in_transit=True)
        await circling.sync()
        self.assertEqual(account(t).documents, 0)
        c = await self.replica("c")
        to_c = self.stream(t, c, ALL)
        await to_c.sync()
        self.assertEqual(await c.rows(ALL), [])
        await upkeep(t).want_again("c")
        await line.sync()
        await to_c.sync()
        self.same(a, c)

    async def test_what_comes_of_two_dropped_versions_is_taken(self) -> None:
        """Both ends change a document; each change passed, and what they come to has not."""
        a, t, b, line = await self.line()
        await a.insert("c", {"_id": 1})
        await line.sync()
        from_a, from_b, _, to_a = line.streams
        await a.run("UPDATE c SET a = 1 WHERE _id = 1")
        await b.run("UPDATE c SET b = 1 WHERE _id = 1")
        account(t).most_bytes = 0
        await from_a.sync()
        await self.make_room(t)
        await from_b.sync()
        await to_a.sync()
        await self.make_room(t)
        await line.sync()
        self.assertEqual(await b.rows(ALL), [{"_id": 1, "a": 1, "b": 1}])
        self.same(a, b)

    async def test_a_document_outlives_a_dropped_delete_that_had_not_seen_it(self) -> None:
        """A live version was dropped, and then a delete that is concurrent to it."""
        a, t, b, line = await self.line()
        from_a, from_b, _, _ = line.streams
        account(t).most_bytes = 0
        await a.insert("c", {"_id": 1})
        await from_a.sync()
        await self.make_room(t)
        await b.insert("c", {"_id": 1})
        await b.run("DELETE FROM c WHERE _id = 1")
        await from_b.sync()
        await self.make_room(t)
        direct = self.stream(b, a, ALL)
        await direct.sync()
        await from_a.sync()
        self.assertEqual(from_a.applied[-1].gone, ())
        await line.sync()
        self.assertEqual(await a.rows(ALL), [{"_id": 1}])
        self.assertEqual(await b.rows(ALL), [{"_id": 1}])

    async def test_an_initial_document_outlives_a_dropped_delete_that_had_not_seen_it(self) -> None:
        """As above, for a document that begins with INITIAL and has an edit."""
        a, t, b, line = await self.line()
        from_a, from_b, _, _ = line.streams
        account(t).most_bytes = 0
        await a.run("INSERT INTO c INITIAL DOCUMENTS ({'_id': 1})")
        await a.run("UPDATE c SET n = 1 WHERE _id = 1")
        await from_a.sync()
        await self.make_room(t)
        await b.insert("c", {"_id": 1})
        await b.run("DELETE FROM c WHERE _id = 1")
        await from_b.sync()
        await self.make_room(t)
        direct = self.stream(b, a, ALL)
        await direct.sync()
        await from_a.sync()
        self.assertEqual(from_a.applied[-1].gone, ())
        await line.sync()
        self.assertEqual(await a.rows(ALL), [{"_id": 1, "n": 1}])
        self.assertEqual(await b.rows(ALL), [{"_id": 1, "n": 1}])

    async def test_a_dropped_tombstone_is_told_by_a_repair(self) -> None:
        a, t, b, line = await self.line()
        await a.insert("c", {"_id": 1})
        await line.sync()
        await a.run("DELETE FROM c WHERE _id = 1")
        await line.streams[0].sync()
        account(t).most_bytes = 0
        await self.make_room(t)
        await line.streams[2].sync()
        self.assertEqual(line.streams[2].repairs, 1)
        self.assertEqual(await b.rows(ALL), [])

    # -- without the setting

    async def test_nothing_is_left_without_the_setting(self) -> None:
        a, t, _b, line = await self.line()
        await a.run("INSERT INTO c DOCUMENTS (:d)", d=[{"_id": number} for number in range(1200)])
        await line.sync()
        account(t).most_bytes = 100_000
        await self.make_room(t)
        await purge(t.store)
        with t.store.snapshot() as snapshot:
            self.assertEqual(hidden_facts(snapshot), [])
        self.assertEqual(len(self._hidden(t)), 0)

    async def test_names_of_hidden_collections_are_refused(self) -> None:
        t = await self.replica("t", transit_bytes=1 << 20)
        name = hidden_name("c")
        for statement in (
            f"SELECT * FROM `{name}`",
            f"INSERT INTO `{name}` DOCUMENTS ({{'_id': 1}})",
            f"EVICT FROM `{name}`",
            f"CREATE INDEX i ON `{name}` (a)",
        ):
            with self.assertRaises(UnsupportedError) as caught:
                await t.run(statement)
            self.assertIn("reserved", str(caught.exception))
        with self.assertRaises(UnsupportedError):
            t.documents.scope(f"SELECT * FROM `{name}`", {})


class MemoryTests(Cases):
    """On stores in memory."""


class SqliteTests(Cases):
    """On files."""

    sqlite = True


del Cases

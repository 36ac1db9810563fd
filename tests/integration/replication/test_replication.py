# SPDX-License-Identifier: Apache-2.0
"""What two and three servers show after they heard of each other, without a wire between them."""

from __future__ import annotations

from typing import Any

from edge_twisted.documents.clock import ClockSkew, Timestamp
from edge_twisted.documents.encoding import encode_fresh
from edge_twisted.documents.entries import Stamp
from edge_twisted.documents.headers import read_header
from edge_twisted.documents.ids import DocumentId
from edge_twisted.documents.versions import Replica as ReplicaName
from edge_twisted.documents.versions import VersionVector
from edge_twisted.mesh.ports.requests import (
    Applied,
    ApplyBatch,
    Changes,
    CursorUnknown,
    FindGone,
    FindPosition,
    Lacking,
    Observe,
    ReadChanges,
    ReadDocuments,
    ScopeClosed,
)
from edge_twisted.mesh.wire.items import Announced, Left, Partial, Seen, Whole
from edge_twisted.replication.epoch_renewal import MOST_RENEWALS, RENEWAL_WINDOW_MS, observe
from edge_twisted.replication.errors import CorruptItem, ImplausibleClaim
from tests.integration.replication.base import ReplicationTestCase, everything
from tests.support.replica import ReplicaServer

X = DocumentId.of("x").key


class Cases(ReplicationTestCase):
    """The tests; run on both stores below."""

    # -- merging

    async def _merged(self, on_a: list[str], on_b: list[str], before: str | None) -> Any:
        a, b, to_a, to_b = await self.pair()
        if before:
            await a.run(before)
            await self.exchange(to_a, to_b)
        for statement in on_a:
            await a.run(statement)
        for statement in on_b:
            await b.run(statement)
        await self.exchange(to_b, to_a)
        self.same(a, b)
        rows = await a.rows("SELECT * FROM c")
        self.assertEqual(rows, await b.rows("SELECT * FROM c"))
        return rows[0] if rows else None

    async def test_the_table_of_merge_results(self) -> None:
        """Section 1 of the specification, through stores and batches."""
        update = "UPDATE c SET {} WHERE _id = 'x'".format
        insert = "INSERT INTO c DOCUMENTS ({})".format
        base = insert("{'_id':'x','s':'','o':{'z':1},'arr':[]}")
        cases: list[tuple[str | None, list[str], list[str], dict[str, Any] | None]] = [
            (base, [update("s='A'")], [update("s='B'")], {"s": "B", "o": {"z": 1}, "arr": []}),
            (base, [update("o.a=2")], [update("o.b=3")], {"o": {"a": 2, "b": 3, "z": 1}}),
            (base, [update("o={'a':10}")], [update("o.b=20")], {"o": {"a": 10, "b": 20, "z": 1}}),
            (base, ["UPDATE c UNSET o WHERE _id='x'"], [update("o.c=5")], {"o": {"c": 5}}),
            (
                base,
                [update("arr=[1,2,3]")],
                [update("arr=[0,1,2]")],
                {"arr": [0, 1, 2]},
            ),
            (
                base,
                ["UPDATE c APPLY n INCREMENT BY 5 WHERE _id='x'"],
                ["UPDATE c APPLY n INCREMENT BY 7 WHERE _id='x'"],
                {"n": 12},
            ),
            (
                base,
                ["UPDATE c APPLY n RESTART WITH 100 WHERE _id='x'"],
                ["UPDATE c APPLY n INCREMENT BY 5 WHERE _id='x'"],
                {"n": 100},
            ),
            (
                None,
                [insert("{'_id':'x','p':1,'s':'A'}")],
                [insert("{'_id':'x','q':2,'s':'B'}")],
                {"p": 1, "q": 2, "s": "B"},
            ),
            (
                None,
                ["INSERT INTO c INITIAL DOCUMENTS ({'_id':'x','p':1})"],
                ["INSERT INTO c INITIAL DOCUMENTS ({'_id':'x','p':1})"],
                {"p": 1},
            ),
            (
                base,
                ["DELETE FROM c WHERE _id='x'"],
                [update("color='blue'")],
                {"color": "blue", "s": "", "o": {"z": 1}},
            ),
            (base, ["DELETE FROM c WHERE _id='x'"], [], None),
        ]
        for before, on_a, on_b, expected in cases:
            found = await self._merged(on_a, on_b, before)
            if expected is None:
                self.assertIsNone(found, on_a)
            else:
                self.assertEqual({k: found.get(k) for k in expected}, expected, on_a)

    async def test_deltas_are_small_and_nothing_is_sent_twice(self) -> None:
        """After a first sync one changed field travels alone."""
        a, _b, to_a, to_b = await self.pair()
        for n in range(20):
            await a.insert("c", {"_id": f"{n}", "text": "x" * 500, "n": 0})
        await self.exchange(to_a, to_b)
        to_b.items.clear()
        await a.run("UPDATE c SET n = 1 WHERE _id = '3'")
        await to_b.sync()
        (item,) = to_b.items
        assert isinstance(item, Partial)
        self.assertLess(len(item.delta), 120)
        self.assertEqual(to_b.applied[-1].documents, 1)
        self.assertEqual(to_b.refetched, 0)
        to_b.items.clear()
        await a.insert("c", {"_id": "new"})
        await to_b.sync()
        self.assertEqual([type(each) for each in to_b.items], [Whole])
        self.same(a, to_b.receiver)

    async def test_documents_cross_hops(self) -> None:
        """What came from one neighbour goes on to the next."""
        a, b, c = [await self.replica(name) for name in "abc"]
        query = "SELECT * FROM c"
        ab, bc = self.stream(a, b, query), self.stream(b, c, query)
        await a.insert("c", {"_id": "x", "v": 1})
        await self.exchange(ab, bc)
        await a.run("UPDATE c SET v = 2")
        await self.exchange(ab, bc)
        self.same(a, b, c)

    async def test_small_batches_go_on_where_they_stopped(self) -> None:
        """Whole commits at a time, to the same end."""
        a = await self.replica("a")
        for n in range(30):
            await a.insert("c", {"_id": n, "pad": "x" * 100}, {"_id": f"b{n}"})
        b = await self.replica("b")
        stream = self.stream(a, b, "SELECT * FROM c", limit_bytes=300)
        await stream.sync()
        self.assertGreater(len(stream.applied), 10)
        self.same(a, b)

    async def test_announced_documents_come_once_they_are_asked_for(self) -> None:
        """Big ones are named; what is here in that version is not asked for."""
        a, b = await self.replica("a"), await self.replica("b")
        await a.insert("c", {"_id": "big", "t": "x" * 2000}, {"_id": "small"})
        first = self.stream(a, b, "SELECT * FROM c", announce_above=512)
        await first.sync()
        self.assertEqual({type(each) for each in first.items}, {Announced, Whole})
        self.same(a, b)
        again = self.stream(a, b, "SELECT * FROM c WHERE true", announce_above=512)
        answer = await b.documents.perform(
            ApplyBatch(
                scope=again.scope,
                sender=a.documents.replica,
                items=tuple(first.items),
                lsn=None,
            )
        )
        assert isinstance(answer, Applied)
        self.assertEqual((answer.documents, len(answer.echoes)), (0, 2))

    # -- scopes with a condition

    async def test_a_document_that_leaves_the_scope_is_told(self) -> None:
        """The leaving change arrives, and the document is listed."""
        query = "SELECT * FROM c WHERE open = true"
        a, b = await self.replica("a"), await self.replica("b")
        stream = self.stream(a, b, query)
        b.documents.subscribe([stream.scope])
        await a.insert("c", {"_id": "x", "open": True}, {"_id": "y", "open": False})
        await stream.sync()
        self.assertEqual(await b.rows("SELECT * FROM c"), [{"_id": "x", "open": True}])
        await a.run("UPDATE c SET open = false WHERE _id = 'x'")
        await stream.sync()
        self.assertEqual(await b.rows("SELECT * FROM c"), [{"_id": "x", "open": False}])
        (row,) = self._moved_out(b)
        self.assertEqual((row["collection"], row["document_id"]), ("c", "x"))
        # Out of the scope it is not kept up to date, until it comes back.
        await a.run("UPDATE c SET v = 1 WHERE _id = 'x'")
        await stream.sync()
        self.assertEqual(await b.rows("SELECT v FROM c"), [{}])
        await a.run("UPDATE c SET open = true WHERE _id = 'x'")
        await stream.sync()
        self.assertEqual(self._moved_out(b), [])
        self.assertEqual(await b.rows("SELECT v FROM c"), [{"v": 1}])
        await a.run("DELETE FROM c WHERE _id = 'x'")
        await stream.sync()
        self.assertEqual(await b.rows("SELECT * FROM c"), [])

    def _moved_out(self, replica: ReplicaServer) -> list[dict[str, Any]]:
        with replica.store.snapshot() as snapshot:
            return list(replica.documents.moved_out(snapshot))

    async def test_dropping_what_moved_out(self) -> None:
        """It goes, unless it has an edit that the peer does not have."""
        query = "SELECT * FROM c WHERE open = true"
        a = await self.replica("a")
        b = await self.replica("b", drop_moved_out=True)
        stream, back = self.stream(a, b, query), self.stream(b, a, query)
        b.documents.subscribe([stream.scope])
        await a.insert("c", {"_id": "x", "open": True}, {"_id": "y", "open": True})
        await stream.sync()
        await b.run("UPDATE c SET mine = 1 WHERE _id = 'y'")
        await a.run("UPDATE c SET open = false")
        await stream.sync()
        self.assertEqual(await b.rows("SELECT * FROM c"), [{"_id": "y", "mine": 1, "open": False}])
        await a.run("UPDATE c SET open = true")
        await self.exchange(stream, back)
        self.assertEqual(len(await b.rows("SELECT * FROM c")), 2)
        self.same(a, b)

    async def test_two_subscriptions_hold_a_document_between_them(self) -> None:
        """Leaving one of two scopes is not moving out."""
        a, b = await self.replica("a"), await self.replica("b")
        one = self.stream(a, b, "SELECT * FROM c WHERE n < 5")
        two = self.stream(a, b, "SELECT * FROM c WHERE n > 3")
        b.documents.subscribe([one.scope, two.scope])
        await a.insert("c", {"_id": "x", "n": 4})
        await self.exchange(one, two)
        await a.run("UPDATE c SET n = 6")
        await self.exchange(one, two)
        self.assertEqual(self._moved_out(b), [])
        await a.run("UPDATE c SET n = NULL")
        await self.exchange(one, two)
        self.assertEqual(len(self._moved_out(b)), 1)

    # -- typed readings

    async def test_an_index_does_not_hide_what_a_received_document_does_not_show(self) -> None:
        """Whole, and as the outcome of a merge; the same as where it was written."""
        query = "SELECT _id FROM COLLECTION c (o MAP) WHERE o.p = 1"
        a, b, _, to_b = await self.pair()
        for each in (a, b):
            await each.run("CREATE INDEX by_p ON c (o.p)")
        await a.insert("c", {"_id": "x", "o": {"p": 1}})
        await a.run("UPDATE c SET o = 's'")
        await to_b.sync()
        self.assertEqual(await a.rows(query), [{"_id": "x"}])
        self.assertEqual(await b.rows(query), [{"_id": "x"}])
        c = await self.replica("c")
        await c.run("CREATE INDEX by_p ON c (o.p)")
        await c.insert("c", {"_id": "y", "o": {"p": 1}})
        d = await self.replica("d")
        await d.insert("c", {"_id": "y", "o": "s"})
        await self.stream(d, c, "SELECT * FROM c").sync()
        self.assertEqual(await c.rows("SELECT o FROM c"), [{"o": "s"}])
        self.assertEqual(await c.rows(query), [{"_id": "y"}])

    # -- deletes that were forgotten

    async def test_a_late_peer_does_not_bring_a_deleted_document_back(self) -> None:
        """The tombstone is gone, and still the document is refused and deleted at the peer."""
        a, b, to_a, to_b = await self.pair()
        c = await self.replica("c")
        await a.insert("c", {"_id": "x"}, {"_id": "y"})
        await self.exchange(to_a, to_b, self.stream(a, c, "SELECT * FROM c"))
        await a.run("DELETE FROM c WHERE _id = 'x'")
        await self.exchange(to_a, to_b)
        await self.reap(a, b)
        for late in (self.stream(c, b, "SELECT * FROM c"), self.stream(b, c, "SELECT * FROM c")):
            await self.exchange(late, to_a, to_b)
        for each in (a, b, c):
            self.assertEqual(await each.rows("SELECT * FROM c"), [{"_id": "y"}])

    async def test_a_late_receiver_asks_what_became_of_its_documents(self) -> None:
        """Its cursor is before the horizon: it repairs, and learns of the delete."""
        a, c = await self.replica("a"), await self.replica("c")
        stream = self.stream(a, c, "SELECT * FROM c")
        await a.insert("c", {"_id": "x"}, {"_id": "y"})
        await stream.sync()
        await a.run("DELETE FROM c WHERE _id = 'x'")
        await self.reap(a)
        await stream.sync()
        self.assertEqual(stream.repairs, 1)
        self.assertEqual(await c.rows("SELECT * FROM c"), [{"_id": "y"}])

    async def test_an_edit_that_the_deleter_had_not_seen_revives(self) -> None:
        """Also after the tombstone is gone, and everybody shows the same again."""
        a, b, to_a, to_b = await self.pair()
        await a.insert("c", {"_id": "x", "v": 1})
        await self.exchange(to_a, to_b)
        await a.run("DELETE FROM c")
        await b.run("UPDATE c SET v = 2")
        await self.reap(a)
        await self.exchange(to_a, to_b)
        self.assertEqual(await a.rows("SELECT * FROM c"), [{"_id": "x", "v": 2}])
        self.same(a, b)

    async def test_an_initial_document_stays_deleted(self) -> None:
        """Nobody's sequence can tell, so the delete itself is remembered."""
        a, b, to_a, to_b = await self.pair()
        c = await self.replica("c")
        initial = "INSERT INTO c INITIAL DOCUMENTS ({'_id': 'x', 'v': 1})"
        await a.run(initial)
        await c.run(initial)
        await self.exchange(to_a, to_b)
        await b.run("DELETE FROM c")
        await self.exchange(to_a, to_b)
        await self.reap(a, b)
        await a.run(initial)
        self.assertEqual(await a.rows("SELECT * FROM c"), [])
        late = self.stream(c, a, "SELECT * FROM c"), self.stream(a, c, "SELECT * FROM c")
        await self.exchange(*late, to_a, to_b)
        for each in (a, b, c):
            self.assertEqual(await each.rows("SELECT * FROM c"), [])

    async def test_equal_initial_documents_are_not_taken_for_each_other(self) -> None:
        """The same content under another id is another document."""
        a, b, to_a, to_b = await self.pair()
        await a.run("INSERT INTO c INITIAL DOCUMENTS ({'_id': 'x', 'v': 1})")
        await self.exchange(to_a, to_b)
        await b.run("INSERT INTO c INITIAL DOCUMENTS ({'_id': 'y', 'v': 1})")
        await self.exchange(to_a, to_b)
        self.assertEqual(len(await a.rows("SELECT * FROM c")), 2)
        self.same(a, b)

    # -- EVICT

    async def test_what_was_evicted_and_matches_is_pulled_again(self) -> None:
        """EVICT is no delete: here it comes back, elsewhere nothing happens."""
        a, b, to_a, to_b = await self.pair()
        await a.insert("c", {"_id": "x"}, {"_id": "y"}, {"_id": "z"})
        await self.exchange(to_a, to_b)
        dropped: list[frozenset[str]] = []
        b.documents.watch(_Watcher(dropped))
        await b.run("EVICT FROM c WHERE _id != 'z'")
        await b.store.read("hooks come before later answers", lambda snapshot: None)
        self.assertEqual(dropped, [frozenset({"c"})])
        self.assertEqual(len(await b.rows("SELECT * FROM c")), 1)
        await self.exchange(to_b, to_a)
        self.same(a, b)
        self.assertEqual(len(await a.rows("SELECT * FROM c")), 3)

    async def test_a_third_peer_gets_what_the_second_evicted(self) -> None:
        """Whoever evicted does not pass on knowledge of what it cannot send."""
        a, b, c = [await self.replica(name) for name in "abc"]
        query = "SELECT * FROM c"
        await a.insert("c", {"_id": "x"}, {"_id": "y"})
        await self.stream(a, b, query).sync()
        await b.run("EVICT FROM c WHERE _id = 'x'")
        await self.stream(b, c, query).sync()
        self.assertEqual(await c.rows("SELECT _id FROM c"), [{"_id": "y"}])
        late = self.stream(a, c, query)
        await late.sync()
        self.assertEqual(late.applied[-1].gone, ())
        self.assertEqual(len(await c.rows("SELECT * FROM c")), 2)
        self.assertEqual(len(await a.rows("SELECT * FROM c")), 2)

    async def test_evicting_says_what_nobody_has(self) -> None:
        """A warning counts the edits that no peer acknowledged."""
        a = await self.replica("a")
        await a.insert("c", {"_id": "x"})
        result = await a.run("EVICT FROM c")
        self.assertEqual(
            list(result.warnings),
            ["1 evicted documents had edits that no peer has acknowledged"],
        )

    async def test_a_batch_on_its_way_does_not_bring_the_cursor_back(self) -> None:
        """EVICT came between: the documents are applied, the position stays lost."""
        a, b, _, to_b = await self.pair()
        await a.insert("c", {"_id": "x"})
        await to_b.sync()
        await a.insert("c", {"_id": "y"})
        after = a.store.lsn - 1
        changes = await a.documents.perform(ReadChanges(scope=to_b.scope, after=after))
        assert isinstance(changes, Changes)
        await b.run("EVICT FROM c WHERE _id = 'x'")
        answer = await b.documents.perform(
            ApplyBatch(
                scope=to_b.scope,
                sender=a.documents.replica,
                items=changes.items,
                lsn=changes.lsn,
                after=after,
                knowledge=changes.knowledge,
            )
        )
        assert isinstance(answer, Applied)
        self.assertEqual((answer.documents, answer.unmoved), (1, (to_b.scope.key,)))
        await to_b.sync()
        self.assertEqual(len(await b.rows("SELECT * FROM c")), 2)

    # -- cursors, sync scopes, epochs

    async def test_unknown_cursors(self) -> None:
        """Beyond the newest commit, or before the horizon."""
        a = await self.replica("a")
        scope = a.documents.scope("SELECT * FROM c", {})
        await a.insert("c", {"_id": "x"}, {"_id": "y"})
        await a.run("DELETE FROM c WHERE _id = 'x'")
        await a.run("UPDATE c SET v = 1")
        await self.reap(a)
        for after, expected in ((0, Changes), (1, CursorUnknown), (2, Changes), (9, CursorUnknown)):
            answer = await a.documents.perform(ReadChanges(scope=scope, after=after))
            self.assertIsInstance(answer, expected, after)

    async def test_sync_scopes_close_and_open(self) -> None:
        """Nothing leaves a local collection; when it opens, what is there is sent."""
        a, b, _, to_b = await self.pair()
        opened: list[frozenset[str]] = []
        a.documents.watch(_Watcher(opened))
        await a.run("ALTER SYSTEM SET USER_COLLECTION_SYNC_SCOPES = {'c': 'LocalPeerOnly'}")
        await a.insert("c", {"_id": "x"})
        self.assertFalse(await to_b.sync())
        read = ReadDocuments(scope=to_b.scope, id_keys=(X,))
        self.assertIsInstance(await a.documents.perform(read), ScopeClosed)
        seen = (Seen(X, VersionVector({a.documents.replica: 1})),)
        asked = FindGone(scope=to_b.scope, seen=seen)
        self.assertIsInstance(await a.documents.perform(asked), ScopeClosed)
        self.assertIsInstance(
            await a.documents.perform(ReadChanges(scope=to_b.scope, after=0)), ScopeClosed
        )
        await a.run("ALTER SYSTEM SET USER_COLLECTION_SYNC_SCOPES = {'c': 'AllPeers'}")
        self.assertEqual(opened, [frozenset({"c"})])
        self.assertTrue(await to_b.sync())
        self.same(a, b)

    async def test_an_old_copy_takes_a_new_epoch(self) -> None:
        """Somebody knows more of our writes than we do."""
        a, b, to_a, to_b = await self.pair()
        old = a.documents.replica
        await a.insert("c", {"_id": "x"})
        await self.exchange(to_a, to_b)
        self.assertEqual(b.documents.heard_of(old), 1)
        await a.documents.perform(Observe(clock=Timestamp(0), of_us=1))
        self.assertEqual(a.documents.replica, old)
        renewed: list[Any] = []
        a.documents.watch(_Watcher(renewed))
        await a.documents.perform(Observe(clock=Timestamp(0), of_us=7))
        self.assertNotEqual(a.documents.replica, old)
        self.assertEqual(renewed, [a.documents.replica])
        with a.store.snapshot() as snapshot:
            self.assertEqual(snapshot.written, VersionVector({old: 1}))

    async def test_a_batch_with_later_writes_of_ours_renews_the_epoch(self) -> None:
        """And it is applied all the same."""
        a, b, _, _ = await self.pair()
        await b.insert("c", {"_id": "x"})
        own = a.documents.replica
        with b.store.snapshot() as snapshot:
            (change,) = snapshot.changes_after(0).changes
        row = change.document
        assert row.body is not None
        later = Stamp(Timestamp(5), own, 7)
        scope = a.documents.scope("SELECT * FROM c", {})
        answer = await a.documents.perform(
            ApplyBatch(
                scope=scope,
                sender=b.documents.replica,
                items=(Whole(X, row.body, encode_fresh(later)),),
                lsn=None,
            )
        )
        assert isinstance(answer, Applied)
        self.assertEqual(answer.documents, 1)
        self.assertNotEqual(a.documents.replica, own)

    async def test_claims_of_writes_that_were_not_made_take_few_epochs(self) -> None:
        """Eight an hour; what is said beyond is refused, and changes nothing."""
        a, b, _, _ = await self.pair()
        await a.insert("c", {"_id": "x"})
        epochs = {a.documents.replica}
        for _ in range(MOST_RENEWALS):
            await a.documents.perform(Observe(clock=Timestamp(0), of_us=2**40))
            epochs.add(a.documents.replica)
        self.assertEqual(len(epochs), MOST_RENEWALS + 1, "a copy becomes another at once")
        with self.assertRaises(ImplausibleClaim):
            await a.documents.perform(Observe(clock=Timestamp(0), of_us=2**40))
        state = encode_fresh(Stamp(Timestamp(5), a.documents.replica, 7))
        lie = ApplyBatch(
            scope=a.documents.scope("SELECT * FROM c", {}),
            sender=b.documents.replica,
            items=(Whole(DocumentId.of("lie").key, b'{"_id":"lie"}', state),),
            lsn=None,
        )
        with self.assertRaises(ImplausibleClaim):
            await a.documents.perform(lie)
        self.assertIn(a.documents.replica, epochs)
        self.assertEqual(await a.rows("SELECT * FROM c"), [{"_id": "x"}])
        with a.store.snapshot() as snapshot:
            left = snapshot.fact("site", b"epochs")
        self.assertEqual(len(left or b""), 16, "epochs without a write leave nothing behind")
        self.now += RENEWAL_WINDOW_MS
        answer = await a.documents.perform(lie)
        assert isinstance(answer, Applied)
        self.assertNotIn(a.documents.replica, epochs)

    async def test_what_was_said_of_an_epoch_that_was_left_takes_no_other(self) -> None:
        """As when many were on their way when the first took its epoch."""
        a, _, _, _ = await self.pair()
        old = a.documents.replica
        for of_us in range(5, 50):
            said = Observe(clock=Timestamp(0), of_us=of_us)
            await a.store.write("said", lambda unit, said=said: observe(unit, said, old, self.now))  # type: ignore[misc]
        self.assertNotEqual(a.store.replica, old)
        again = Observe(clock=Timestamp(0), of_us=1)
        new = a.store.replica
        await a.store.write("said", lambda unit: observe(unit, again, new, self.now))
        self.assertNotEqual(a.store.replica, new, "one was taken, and others are left")

    # -- what is refused

    async def test_a_batch_is_applied_whole_or_not_at_all(self) -> None:
        """Clocks that are ahead, and damaged items, undo everything, the cursor too."""
        a, b, _, _ = await self.pair()
        await a.insert("c", {"_id": "x"}, {"_id": "y"})
        with a.store.snapshot() as snapshot:
            good, other = [
                Whole(c.document.id_key, c.document.body, c.document.state)
                for c in snapshot.changes_after(0).changes
            ]
        scope = b.documents.scope("SELECT * FROM c", {})

        async def refused(kind: type[Exception], *items: Any) -> None:
            request = ApplyBatch(
                scope=scope, sender=a.documents.replica, items=items, lsn=5, after=None
            )
            with self.assertRaises(kind):
                await b.documents.perform(request)
            self.assertEqual(everything(b), {})
            position: Any = await b.documents.perform(
                FindPosition(scope=scope, sender=a.documents.replica)
            )
            self.assertIsNone(position.lsn)

        assert other.body is not None
        for bad in (
            other._replace(id_key=X + b"z"),
            other._replace(id_key=b""),
            other._replace(body=b'{"_id": "y"}'),
            other._replace(body=b"{"),
            other._replace(body=b'{"a":1}'),
            other._replace(body=b'{"_id":1.5}'),
            other._replace(body=b'{"_id":"y","n":123456789012345678901234567890}'),
            other._replace(body=None),
            other._replace(state=b""),
            other._replace(state=b"\x90"),
            other._replace(state=other.state + b"x"),
            other._replace(body=b'{"_id":"y","a":' + b"[" * 900 + b"]" * 900 + b"}"),
            good,
            Partial(other.id_key, b"\x93"),
            Partial(other.id_key, other.state),
        ):
            await refused(CorruptItem, good, bad)
        self.now += 11 * 60_000
        await a.insert("c", {"_id": "z"})
        with a.store.snapshot() as snapshot:
            late = snapshot.changes_after(1).changes[0].document
        self.now -= 11 * 60_000
        await refused(ClockSkew, good, Whole(late.id_key, late.body, late.state))

    async def test_damaged_merge_states_are_refused(self) -> None:
        """Every single changed byte of a state is noticed, or changes nothing that is told."""
        a, b, to_a, to_b = await self.pair()
        await a.insert("c", {"_id": "x", "a": 1, "o": {"p": 1}})
        await self.exchange(to_a, to_b)
        await a.run("UPDATE c APPLY n INCREMENT BY 3 SET o.q = 2")
        await a.run("UPDATE c UNSET a")
        with a.store.snapshot() as snapshot:
            row = snapshot.get("c", X)
        assert row is not None
        scope = b.documents.scope("SELECT * FROM c", {})
        for at in range(len(row.state)):
            damaged = row.state[:at] + bytes([row.state[at] ^ 1]) + row.state[at + 1 :]
            request = ApplyBatch(
                scope=scope,
                sender=a.documents.replica,
                items=(Whole(X, row.body, damaged),),
                lsn=None,
            )
            try:
                await b.documents.perform(request)
            except (CorruptItem, ClockSkew):
                continue
            with b.store.snapshot() as snapshot:
                stored = snapshot.get("c", X)
            assert stored is not None
            read_header(stored.state)
            self.assertIsNotNone(await b.rows("SELECT * FROM c"))

    async def test_a_delta_without_its_base_is_asked_for_whole(self) -> None:
        """And nothing of the batch is applied before."""
        a, b, _, to_b = await self.pair()
        await a.insert("c", {"_id": "x", "t": "x" * 300})
        await to_b.sync()
        await a.run("UPDATE c SET v = 1")
        base = to_b.base
        changes = await a.documents.perform(ReadChanges(scope=to_b.scope, after=1, base=base))
        assert isinstance(changes, Changes)
        self.assertEqual([type(each) for each in changes.items], [Partial])
        await b.run("EVICT FROM c")
        answer = await b.documents.perform(
            ApplyBatch(scope=to_b.scope, sender=a.documents.replica, items=changes.items, lsn=None)
        )
        self.assertEqual(answer, Lacking(id_keys=(X,)))

    async def test_who_is_older_hears_of_it(self) -> None:
        """A version that merely lost is named, to be answered with ours."""
        a, b, _, to_b = await self.pair()
        await a.insert("c", {"_id": "x"})
        await to_b.sync()
        with a.store.snapshot() as snapshot:
            row = snapshot.get("c", X)
        assert row is not None
        await b.run("UPDATE c SET v = 1")
        answer = await b.documents.perform(
            ApplyBatch(
                scope=to_b.scope,
                sender=a.documents.replica,
                items=(Whole(X, row.body, row.state),),
                lsn=None,
            )
        )
        assert isinstance(answer, Applied)
        self.assertEqual((answer.documents, answer.older), (0, (X,)))

    async def test_left_is_wanted_only_where_it_matters(self) -> None:
        """Not for documents that are not here, equal, or out of the scope already."""
        a, b = await self.replica("a"), await self.replica("b")
        stream = self.stream(a, b, "SELECT * FROM c WHERE v = 1")
        await b.insert("c", {"_id": "x", "v": 1}, {"_id": "y", "v": 2})
        keys = [DocumentId.of(name).key for name in ("x", "y", "z")]
        answer = await b.documents.perform(
            ApplyBatch(
                scope=stream.scope,
                sender=a.documents.replica,
                items=tuple(Left(key, 5) for key in keys),
                lsn=None,
            )
        )
        self.assertEqual(answer, Lacking(id_keys=(keys[0],)))

    async def test_a_repair_of_a_condition_tells_what_moved_out(self) -> None:
        """A document that left while the cursor was lost is offered."""
        query = "SELECT * FROM c WHERE open = true"
        a, b = await self.replica("a"), await self.replica("b")
        stream = self.stream(a, b, query)
        await a.insert("c", {"_id": "x", "open": True}, {"_id": "y", "open": True})
        await stream.sync()
        await a.run("UPDATE c SET open = false WHERE _id = 'x'")
        await b.run("EVICT FROM c WHERE _id = 'y'")
        await stream.sync()
        self.assertEqual(stream.repairs, 1)
        rows = await b.rows("SELECT * FROM c ORDER BY _id")
        self.assertEqual(rows, [{"_id": "x", "open": False}, {"_id": "y", "open": True}])

    async def test_nothing_is_said_of_what_was_never_known(self) -> None:
        """A document of somebody else, unknown here, is no deleted one."""
        a = await self.replica("a")
        await a.insert("c", {"_id": "x"})
        scope = a.documents.scope("SELECT * FROM c", {})
        stranger = VersionVector({ReplicaName(a.documents.replica.site, 9): 3})
        ours = VersionVector({a.documents.replica: 1})
        seen = tuple(Seen(DocumentId.of(n).key, v) for n, v in (("p", stranger), ("q", ours)))
        fates: Any = await a.documents.perform(FindGone(scope=scope, seen=seen))
        self.assertEqual(fates.gone, seen[1:])


class _Watcher:
    """Notes what it hears."""

    def __init__(self, heard: list[Any]) -> None:
        self.cursors_dropped = heard.append
        self.scopes_opened = heard.append
        self.replica_renewed = heard.append


class MemoryTests(Cases):
    """Over stores in memory."""


class SqliteTests(Cases):
    """Over real files."""

    sqlite = True


del Cases

# SPDX-License-Identifier: Apache-2.0
"""Batches for several scopes of one collection: what is in them, and which cursors they move."""

from __future__ import annotations

from typing import Any

from edge_twisted.mesh.ports.requests import (
    Applied,
    ApplyBatch,
    Changes,
    Delivered,
    FindPosition,
    ReadChanges,
    Scope,
    ScopeCursor,
    ScopeReading,
    StreamPosition,
)
from edge_twisted.mesh.wire.items import Left, Partial, Whole
from edge_twisted.replication import stream_requests
from tests.integration.replication.base import ReplicationTestCase
from tests.support.replica import ReplicaServer

RED = "SELECT * FROM c WHERE red = true"
BLUE = "SELECT * FROM c WHERE blue = true"
ALL = "SELECT * FROM c"


class Cases(ReplicationTestCase):
    """On every store."""

    async def _read(
        self, sender: ReplicaServer, readings: list[ScopeReading], **more: Any
    ) -> Changes:
        first, *others = readings
        request = ReadChanges(
            scope=first.scope, after=first.after, base=first.base, others=tuple(others), **more
        )
        changes = await sender.documents.perform(request)
        assert isinstance(changes, Changes)
        return changes

    async def _apply(
        self, receiver: ReplicaServer, sender: ReplicaServer, changes: Changes, *to: ScopeCursor
    ) -> Applied:
        (scope, after, evictions), *others = to
        answer = await receiver.documents.perform(
            ApplyBatch(
                scope=scope,
                sender=sender.documents.replica,
                items=changes.items,
                lsn=changes.lsn,
                after=after,
                evictions=evictions,
                others=tuple(others),
                knowledge=changes.knowledge,
            )
        )
        assert isinstance(answer, Applied)
        return answer

    async def _cursor(
        self, receiver: ReplicaServer, sender: ReplicaServer, scope: Scope
    ) -> ScopeCursor:
        request = FindPosition(scope=scope, sender=sender.documents.replica)
        found = await receiver.documents.perform(request)
        assert isinstance(found, StreamPosition)
        return ScopeCursor(scope, found.lsn, found.evictions)

    async def _two(self) -> tuple[ReplicaServer, ReplicaServer, Scope, Scope]:
        a, b = await self.replica("a"), await self.replica("b")
        await a.insert(
            "c",
            {"_id": "r", "red": True},
            {"_id": "b", "blue": True},
            {"_id": "rb", "red": True, "blue": True},
            {"_id": "n"},
        )
        red, blue = b.documents.scope(RED, {}), b.documents.scope(BLUE, {})
        b.documents.subscribe([red, blue])
        return a, b, red, blue

    async def test_a_document_is_in_a_batch_once(self) -> None:
        """It is left out of the scopes only if it matches none of them."""
        a, _, red, blue = await self._two()
        changes = await self._read(a, [ScopeReading(red, 0), ScopeReading(blue, 0)])
        self.assertEqual(sum(isinstance(each, Whole) for each in changes.items), 3)
        self.assertEqual(sum(isinstance(each, Left) for each in changes.items), 1)
        self.assertIsNone(changes.fingerprint)
        whole = a.documents.scope(ALL, {})
        changes = await self._read(a, [ScopeReading(red, 0), ScopeReading(whole, 0)])
        self.assertEqual([type(each) for each in changes.items], [Whole] * 4)
        self.assertIsNotNone(changes.knowledge)

    async def test_a_delta_builds_on_the_base_of_a_scope_that_matches(self) -> None:
        """A scope without a base makes no delta of what another scope knows."""
        a, b, red, blue = await self._two()
        await self.stream(a, b, ALL).sync()
        base = (await self._read(a, [ScopeReading(a.documents.scope(ALL, {}), 0)])).knowledge
        before = a.store.lsn
        await a.run("UPDATE c SET v = 1")
        readings = [ScopeReading(red, before), ScopeReading(blue, before, base)]
        found = {each.id_key: each for each in (await self._read(a, readings)).items}
        kinds = sorted(type(each).__name__ for each in found.values())
        self.assertEqual(kinds, ["Left", "Partial", "Partial", "Whole"])
        partial = [each for each in found.values() if isinstance(each, Partial)]
        self.assertEqual(len(partial), 2)

    async def test_what_is_there_by_another_scope_is_left_out(self) -> None:
        """A scope that stands further on has its part; so has one that is read apart."""
        a, _, red, blue = await self._two()
        first = a.store.lsn
        await a.insert("c", {"_id": "rb2", "red": True, "blue": True})
        readings = [ScopeReading(red, 0), ScopeReading(blue, first)]
        together = await self._read(a, readings)
        delivered = (Delivered(blue, first),)
        apart = await self._read(a, [ScopeReading(red, 0)], delivered=delivered)
        for changes in (together, apart):
            whole = [each for each in changes.items if isinstance(each, Whole)]
            self.assertEqual(len(whole), 2, "r and rb2; rb and b came by blue")
            self.assertEqual(len(changes.items), 3, "and n, which left")

    async def test_many_conditions_make_batches_short(self) -> None:
        """The reader is not held for longer because the conditions are many."""
        a = await self.replica("a")
        for number in range(20):
            await a.insert("c", {"_id": number, "n": number})
        self.patch(stream_requests, "MOST_EXAMINED", 10)
        queries = [f"SELECT * FROM c WHERE n = {100 + number}" for number in range(5)]
        scopes = [a.documents.scope(query, {}) for query in queries]
        alone = await self._read(a, [ScopeReading(scopes[0], 0)])
        together = await self._read(a, [ScopeReading(scope, 0) for scope in scopes])
        self.assertEqual((len(alone.items), len(together.items)), (10, 2))

    async def test_one_transaction_moves_all_cursors(self) -> None:
        """Only the knowledge of whole scopes is joined."""
        a, b, red, blue = await self._two()
        changes = await self._read(a, [ScopeReading(red, 0), ScopeReading(blue, 0)])
        before = b.store.lsn
        answer = await self._apply(
            b, a, changes, *[await self._cursor(b, a, each) for each in (red, blue)]
        )
        self.assertEqual((answer.documents, answer.unmoved), (3, ()))
        self.assertEqual(b.store.lsn, before + 1)
        for scope in (red, blue):
            self.assertEqual((await self._cursor(b, a, scope)).after, changes.lsn)

    async def test_a_cursor_that_is_elsewhere_stays_alone(self) -> None:
        """The others move."""
        a, b, red, blue = await self._two()
        await self.stream(a, b, BLUE).sync()
        changes = await self._read(a, [ScopeReading(red, 0), ScopeReading(blue, 0)])
        answer = await self._apply(b, a, changes, ScopeCursor(red, None), ScopeCursor(blue, None))
        self.assertEqual(answer.unmoved, (blue.key,))
        self.assertEqual((await self._cursor(b, a, red)).after, changes.lsn)

    async def test_no_cursor_comes_into_being_after_an_eviction(self) -> None:
        """EVICT leaves no cursor either: the number of evictions tells the two apart."""
        a, b, red, blue = await self._two()
        await self.stream(a, b, RED).sync()
        cursors = [await self._cursor(b, a, each) for each in (blue, red)]
        # What red brought is left out of the batch for blue.
        delivered = (Delivered(red, a.store.lsn),)
        changes = await self._read(a, [ScopeReading(blue, 0)], delivered=delivered)
        self.assertEqual(sum(isinstance(each, Whole) for each in changes.items), 1)
        await b.run("EVICT FROM c WHERE red = true")
        answer = await self._apply(b, a, changes, *cursors)
        self.assertEqual(set(answer.unmoved), {red.key, blue.key})
        stream = self.stream(a, b, BLUE)
        await stream.sync()
        self.assertEqual(len(await b.rows(BLUE)), 2)

    async def test_what_leaves_every_scope_is_fetched_if_it_is_here(self) -> None:
        """Leaving one of the scopes is no leaving."""
        a, b, red, blue = await self._two()
        first = await self._read(a, [ScopeReading(red, 0), ScopeReading(blue, 0)])
        await self._apply(b, a, first, ScopeCursor(red, None), ScopeCursor(blue, None))
        await a.run("UPDATE c SET red = false")
        readings = [ScopeReading(red, first.lsn), ScopeReading(blue, first.lsn)]
        changes = await self._read(a, readings)
        left = {each.id_key for each in changes.items if isinstance(each, Left)}
        self.assertEqual(len(left), 2)
        request = ApplyBatch(
            scope=red,
            sender=a.documents.replica,
            items=changes.items,
            lsn=changes.lsn,
            after=first.lsn,
            others=(ScopeCursor(blue, first.lsn),),
        )
        answer: Any = await b.documents.perform(request)
        # `r` was in red and is here; `n` never was.
        self.assertEqual(len(answer.id_keys), 1)
        self.assertTrue(set(answer.id_keys) <= left)


class InMemory(Cases):
    """Over stores in memory."""


class OnSqlite(Cases):
    """Over real files."""

    sqlite = True


del Cases

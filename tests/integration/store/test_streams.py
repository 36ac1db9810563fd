# SPDX-License-Identifier: Apache-2.0
"""Streams whose reader gives up while a thread works for it."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Event
from typing import cast

from twisted.internet.defer import CancelledError, Deferred, gatherResults

from edge_twisted.documents.ids import DocumentId
from edge_twisted.store.errors import ReadCancelled
from edge_twisted.store.interface import Snapshot, Store
from edge_twisted.store.sqlite.readers import KEPT_READERS
from edge_twisted.store.sqlite.store import SqliteStore
from edge_twisted.store.sqlite.streams import OPEN_STREAMS
from tests.integration.reactor import reactor
from tests.integration.store.base import SqliteTestCase, insert

KEY = DocumentId.of(1).key


class Slow:
    """Reads in two steps of one batch, and waits in between until it is let go on."""

    def __init__(self) -> None:
        self.begun: Deferred[None] = Deferred()
        self.ended: Deferred[None] = Deferred()
        self.may_go_on = Event()
        self.found: list[bytes | BaseException | None] = []

    def batches(self, snapshot: Snapshot) -> Iterator[int]:
        self.found.append(snapshot.body("c", KEY))
        reactor.callFromThread(self.begun.callback, None)
        self.may_go_on.wait(30)
        try:
            self.found.append(snapshot.body("c", KEY))
        except BaseException as error:
            self.found.append(error)
        reactor.callFromThread(self.ended.callback, None)
        yield 1


class GivingUpTests(SqliteTestCase):
    async def given_up(self, store: Store) -> Slow:
        """Return a read that still runs after its reader has gone."""
        slow = Slow()
        self.addCleanup(slow.may_go_on.set)
        stream = store.stream("slow", slow.batches)
        waiting = stream.next()
        await slow.begun
        waiting.cancel()
        await self.assertFailure(waiting, CancelledError)
        await self.assertFailure(stream.next(), ReadCancelled)
        stream.close()
        return slow

    async def test_the_step_that_runs_keeps_its_snapshot(self) -> None:
        store = await self.opened()
        await store.write("insert", insert(1))
        slow = await self.given_up(store)
        # As many as there are other threads, so that whatever was given to them is done.
        await gatherResults([store.read("others", lambda s: s.lsn) for _ in range(8)])
        await store.write("insert", insert(2))
        slow.may_go_on.set()
        await slow.ended
        self.assertIsInstance(slow.found[0], bytes)
        self.assertEqual(slow.found, [slow.found[0]] * 2)

    async def test_its_place_is_free_afterwards(self) -> None:
        store = await self.opened()
        await store.write("insert", insert(1))
        for _ in range(OPEN_STREAMS + 1):
            slow = await self.given_up(store)
            slow.may_go_on.set()
            await slow.ended
        stream = store.stream("scan", lambda snapshot: snapshot.scan("c"))
        self.assertEqual(len(await stream.next() or ()), 1)
        stream.close()

    async def test_the_store_closes_while_it_runs(self) -> None:
        store = await self.opened()
        await store.write("insert", insert(1))
        slow = await self.given_up(store)
        reactor.callLater(0.05, slow.may_go_on.set)
        await store.close()
        await slow.ended
        again = await self.opened()
        with again.snapshot() as snapshot:
            self.assertIsNotNone(snapshot.body("c", KEY))


class RushTests(SqliteTestCase):
    async def test_a_rush_leaves_few_connections(self) -> None:
        """Each has a page cache of its own; after a rush only those for the threads are kept."""
        store = await self.opened()
        await store.write("insert", insert(1))
        streams = [
            store.stream("rush", lambda snapshot: iter([snapshot.body("c", KEY), None]))
            for _ in range(OPEN_STREAMS)
        ]
        self.assertNotIn(None, await gatherResults([stream.next() for stream in streams]))
        for stream in streams:
            stream.close()
        # Behind what the closed streams give back.
        for _ in range(2 * OPEN_STREAMS):
            await store.read("read", lambda snapshot: snapshot.body("c", KEY))
        opened = cast("SqliteStore", store)._open
        assert opened is not None
        self.assertLessEqual(len(opened.readers._idle), KEPT_READERS)

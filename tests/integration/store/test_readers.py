# SPDX-License-Identifier: Apache-2.0
"""Reads that are given up: what is left of them must not meet the read that comes next."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import apsw
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.python.failure import Failure

from edge_twisted.store.errors import ReadCancelled
from edge_twisted.store.interface import Snapshot
from edge_twisted.store.sqlite.connection import open_reader
from edge_twisted.store.sqlite.readers import ReaderPool
from edge_twisted.store.threads import ThreadPool
from tests.integration.reactor import reactor
from tests.integration.store.base import SqliteTestCase, insert

ROUNDS = 150


class GivenUpTests(SqliteTestCase):
    async def pool(self, traced: Callable[[apsw.Connection, str], None]) -> ReaderPool:
        """Return a pool of one connection at a time that tells of each statement as it begins."""
        await self.opened()
        threads = ThreadPool(reactor, "test", 1)

        def open_traced() -> apsw.Connection:
            connection = open_reader(self.layout.database)
            connection.trace_v2(
                apsw.SQLITE_TRACE_STMT, lambda event: traced(connection, event["sql"])
            )
            return connection

        pool = ReaderPool(threads, open_traced, lambda name: None)
        self.addCleanup(pool.close)
        return pool

    async def test_giving_up_while_the_transaction_ends_does_not_keep_it(self) -> None:
        """Both sides of a time-out see the same moment: the thread ends just as it is told to."""
        running: list[Any] = []

        def traced(connection: apsw.Connection, sql: str) -> None:
            if sql == "ROLLBACK" and running:
                running.pop().cancel()

        pool = await self.pool(traced)

        def read(snapshot: Snapshot) -> int:
            running.extend(pool._running)
            return snapshot.lsn

        await pool.read("first", read)
        self.assertEqual(running, [])
        self.assertEqual(await pool.read("second", lambda snapshot: snapshot.lsn), 0)

    async def test_a_connection_whose_transaction_did_not_end_is_not_used_again(self) -> None:
        refused: list[str] = []

        def traced(connection: apsw.Connection, sql: str) -> None:
            if sql == "ROLLBACK" and not refused:
                refused.append(sql)
                connection.interrupt()

        pool = await self.pool(traced)
        await pool.read("first", lambda snapshot: snapshot.lsn)
        self.assertEqual(refused, ["ROLLBACK"])
        self.assertEqual(await pool.read("second", lambda snapshot: snapshot.lsn), 0)

    async def test_hundreds_of_them_are_followed_by_ordinary_reads(self) -> None:
        store = await self.opened()
        await gatherResults([store.write("insert", insert(n)) for n in range(500)])
        chance = random.Random(1)

        def scan(snapshot: Snapshot) -> int:
            rows = [row for batch in snapshot.scan("c") for row in batch]
            return len(sorted(rows, key=lambda row: row[1][::-1]))

        def steps(snapshot: Snapshot) -> Iterator[int]:
            for batch in snapshot.scan("c"):
                yield len(batch)

        for _ in range(ROUNDS):
            given_up: Deferred[Any] = (
                store.read("scan", scan)
                if chance.random() < 0.5
                else store.stream("steps", steps).next()
            )
            reactor.callLater(chance.uniform(0, 0.003), given_up.cancel)
            given_up.addErrback(_expected)
            await given_up
            self.assertEqual(await store.read("whole", scan), 500)


def _expected(failure: Failure) -> None:
    failure.trap(CancelledError, ReadCancelled)

# SPDX-License-Identifier: Apache-2.0
"""A damaged document is not spread, deleted nowhere, and comes back from whoever has it."""

from __future__ import annotations

from typing import Any, cast

import apsw

from edge_twisted.documents.ids import DocumentId
from edge_twisted.store.errors import DocumentDamaged
from edge_twisted.store.rows import DamageReport
from edge_twisted.store.sqlite.store import SqliteStore
from tests.integration.replication.base import ReplicationTestCase
from tests.support.replica import ReplicaServer

#: What the disk may do: to the text, to the name of the writer in the state, to all of it.
DAMAGES = [
    "body = jsonb(json_set(body, '$.a', 'forged'))",
    "body = x'ffff'",
    "state = replace(CAST(state AS TEXT), 'x', 'y')",
    "state = substr(state, 1, 4) || x'00' || substr(state, 6)",
    "state = x'c1', body = NULL",
]


def damage(replica: ReplicaServer, assignment: str, id_: str = "x") -> None:
    """Change a document in the file, behind the store's back."""
    path = cast(SqliteStore, replica.store)._layout.database
    connection = apsw.Connection(str(path))
    connection.execute(f"UPDATE documents SET {assignment} WHERE id = ?", (DocumentId.of(id_).key,))
    assert connection.changes() == 1
    connection.close()


class RotTests(ReplicationTestCase):
    """Three servers, of which one has a bad disk."""

    sqlite = True

    async def three(self) -> tuple[ReplicaServer, ReplicaServer, ReplicaServer]:
        """Two that have the documents x and y, and one that has nothing yet."""
        a, b, c = [await self.replica(name) for name in "abc"]
        await a.insert("c", {"_id": "x", "a": "good"}, {"_id": "y", "a": "good"})
        await self.exchange(*self.links("SELECT * FROM c", a, b))
        await b.run("UPDATE c SET b = 1 WHERE _id = 'x'")
        await self.exchange(*self.links("SELECT * FROM c", a, b))
        return a, b, c

    async def has(self, replica: ReplicaServer) -> Any:
        return sorted(await replica.rows("SELECT * FROM c"), key=lambda row: row["_id"])

    async def test_it_is_not_spread_and_comes_back(self) -> None:
        good = [{"_id": "x", "a": "good", "b": 1}, {"_id": "y", "a": "good"}]
        for assignment in DAMAGES:
            a, b, c = await self.three()
            damage(b, assignment)
            # From the one with the bad disk to a new one, both ways.
            await self.exchange(*self.links("SELECT * FROM c", b, c))
            self.assertEqual(await self.has(c), [good[1]], assignment)
            self.assertEqual(b.store.damage, DamageReport(documents=1), assignment)
            # What somebody else has heals it, and goes on to the new one.
            await self.exchange(*self.links("SELECT * FROM c", a, b, c))
            for each in (a, b, c):
                self.assertEqual(await self.has(each), good, (each.name, assignment))
                self.assertEqual(each.store.damage, DamageReport(), assignment)
            self.same(a, b, c)
            # And whoever edits it next is understood everywhere.
            await b.run("UPDATE c SET b = 2 WHERE _id = 'x'")
            await self.exchange(*self.links("SELECT * FROM c", a, b, c))
            self.same(a, b, c)
        self.flushLoggedErrors()

    async def test_what_comes_is_not_merged_with_it(self) -> None:
        for assignment in DAMAGES:
            a, b, _ = await self.three()
            damage(b, assignment)
            await a.run("UPDATE c SET a = 'newer' WHERE _id = 'x'")
            await self.exchange(*self.links("SELECT * FROM c", a, b))
            for each in (a, b):
                rows = await each.rows("SELECT * FROM c WHERE _id = 'x'")
                self.assertEqual(rows, [{"_id": "x", "a": "newer", "b": 1}], assignment)
                self.assertEqual(each.store.damage, DamageReport())
            self.same(a, b)
        self.flushLoggedErrors()

    async def test_what_nobody_else_has_is_kept_and_named(self) -> None:
        a, b, c = await self.three()
        await b.run("INSERT INTO c DOCUMENTS ({'_id': 'z', 'a': 'only here'})")
        damage(b, DAMAGES[0], "z")
        await self.exchange(*self.links("SELECT * FROM c", a, b, c))
        self.assertEqual([row["_id"] for row in await self.has(c)], ["x", "y"])
        self.assertEqual(b.store.damage, DamageReport(documents=1))
        for statement in (
            "SELECT * FROM c WHERE _id = 'z'",
            "SELECT a || '!' FROM c WHERE _id = 'z'",
            "SELECT * FROM c WHERE _id IN ['x', 'z']",
            "INSERT INTO c DOCUMENTS ({'_id': 'z', 'a': 'again'})",
            "INSERT INTO c DOCUMENTS ({'_id': 'z', 'a': 'again'}) ON ID CONFLICT DO UPDATE",
            "INSERT INTO c INITIAL DOCUMENTS ({'_id': 'z'})",
            "UPDATE c SET a = 1 WHERE _id = 'z'",
            "DELETE FROM c WHERE _id = 'z'",
        ):
            await self.assertFailure(_run(b, statement), DocumentDamaged)
        self.assertEqual(await b.rows("SELECT * FROM c WHERE _id = 'none'"), [])
        self.assertEqual(len(await self.has(b)), 2)
        self.flushLoggedErrors()

    async def test_a_version_that_lacks_something_does_not_replace_it(self) -> None:
        """What was acknowledged here alone stays in quarantine."""
        a, b, _ = await self.three()
        await b.run("UPDATE c SET b = 'only here' WHERE _id = 'x'")
        damage(b, DAMAGES[0])
        await self.assertFailure(_run(b, "UPDATE c SET a = 1 WHERE _id = 'x'"), DocumentDamaged)
        await self.exchange(self.stream(a, b, "SELECT * FROM c"))
        self.assertEqual(
            await b.rows("SELECT * FROM c WHERE _id = 'x'"), [{"_id": "x", "a": "good", "b": 1}]
        )
        self.assertEqual(b.store.damage, DamageReport(documents=1))
        self.flushLoggedErrors()

    async def test_a_reaped_delete_stays_deleted(self) -> None:
        a, b, _ = await self.three()
        await a.run("DELETE FROM c WHERE _id = 'x'")
        await self.exchange(*self.links("SELECT * FROM c", a, b))
        damage(b, "state = x'c1'")
        self.assertTrue(await b.store.quarantine("c", DocumentId.of("x").key))
        await self.exchange(*self.links("SELECT * FROM c", a, b))
        self.same(a, b)
        await self.reap(a, b)
        await self.exchange(*self.links("SELECT * FROM c", a, b))
        self.assertEqual([row["_id"] for row in await self.has(b)], ["y"])
        self.flushLoggedErrors()


def _run(replica: ReplicaServer, statement: str) -> Any:
    from twisted.internet.defer import Deferred

    return Deferred.fromCoroutine(replica.run(statement))

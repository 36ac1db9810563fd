# SPDX-License-Identifier: Apache-2.0
"""Every operator stops at its deadline, and when its caller goes away, whatever it is at."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

from twisted.internet.defer import CancelledError, Deferred

from edge_twisted.database.database import Database, TimeAndChance
from edge_twisted.documents.values import Value
from edge_twisted.dql.execution.interruption import StatementTimeout
from edge_twisted.dql.result import Result
from tests.integration.database.harness import DatabaseTestCase, Everything
from tests.integration.reactor import reactor

#: With so many rows every operator looks at the clock more often than the deadline allows.
ROWS = 1_000
SECONDS = 5
STATEMENTS = {
    "scan": "SELECT * FROM t",
    "filter": "SELECT * FROM t WHERE n % 1000 = 999",
    "filter of the store": "SELECT * FROM t WHERE n > -1",
    "projection": "SELECT n + 1 AS m FROM t",
    "index": "SELECT * FROM t WHERE k >= 0",
    "index, covering": "SELECT _id FROM t WHERE k >= 0",
    "union": "SELECT * FROM t WHERE k >= 0 OR _id = 5",
    "ids": "SELECT * FROM t USE IDS LIST :ids",
    "sort": "SELECT * FROM t ORDER BY n",
    "top": "SELECT * FROM t ORDER BY n LIMIT 2",
    "distinct": "SELECT DISTINCT 1 AS x FROM t",
    "group": "SELECT n % 2 AS g, COUNT(*) AS c FROM t GROUP BY n % 2",
    "aggregate": "SELECT SUM(n) AS s FROM t",
    "hash join": "SELECT * FROM t a JOIN t b ON a.n = b.n",
    "hash join of one value": "SELECT * FROM t a JOIN t b ON a.one = b.one AND a.n > b.n + 1000",
    "loop join": "SELECT * FROM t a JOIN t b ON a.n > b.n + 1000",
    "right join": "SELECT * FROM t a RIGHT JOIN t b ON a.one = b.one AND a.n > b.n + 1000",
    "index join": "SELECT * FROM t a JOIN t b ON b.k = a.n AND a.n > 1000",
    "ANY": "SELECT * FROM system:dual WHERE ANY x IN :long SATISFIES x < 0 END",
    "EVERY": "SELECT * FROM system:dual WHERE EVERY x IN :long SATISFIES x >= 0 END",
    "ANY of ANY": "SELECT * FROM system:dual WHERE ANY x IN :ids SATISFIES "
    "ANY y IN :ids SATISFIES x + y < 0 END END",
    "WITHIN": "SELECT * FROM system:dual WHERE ANY x WITHIN :long SATISFIES x < 0 END",
    "ARRAY": "SELECT ARRAY x + 1 FOR x IN :long END AS a FROM system:dual",
    "OBJECT": "SELECT OBJECT cast(x AS string) : x FOR x IN :long END AS o FROM system:dual",
    "date_range": "SELECT array_length(date_range(0, 100000, 'ms', 1)) AS d",
    "repeat": "SELECT ARRAY char_length(repeat('ab', x)) FOR x IN :long END AS r",
    "IN of a list": "SELECT * FROM system:dual WHERE -1 IN :long",
    "IN of a document's list": "SELECT * FROM long WHERE -1 IN list",
    "array_contains": "SELECT array_contains(list, -1) AS c FROM long",
    "equality of arrays": "SELECT * FROM long a JOIN long b ON a.list = b.list",
    "order of arrays": "SELECT * FROM long WHERE list < :long",
    "sort of arrays": "SELECT list FROM long ORDER BY list",
    "DISTINCT arrays": "SELECT DISTINCT list FROM long",
    "groups of arrays": "SELECT list, COUNT(*) AS n FROM long GROUP BY list",
    "MAX of arrays": "SELECT MAX(list) AS m FROM long",
    "COUNT of DISTINCT arrays": "SELECT COUNT(DISTINCT list) AS c FROM long",
    "sort of objects": "SELECT o FROM long ORDER BY o",
    "UPDATE of a comparison": "UPDATE long SET n = 1 WHERE list = :long",
    "UPDATE": "UPDATE t SET n = n + 1",
    "DELETE": "DELETE FROM t WHERE n % 1000 = 999",
    "INSERT SELECT": "INSERT INTO u SELECT n FROM t",
    "virtual": "SELECT a._id FROM t a JOIN system:dual b ON a.n > 1000",
}
LONG: list[Value] = [*range(3000)]
IDS: list[Value] = [*range(ROWS)]


class InterruptionTests(DatabaseTestCase):
    async def setUp(self) -> None:  # type: ignore[override]
        await super().setUp()
        rows: list[dict[str, Value]] = [{"_id": n, "n": n, "k": n, "one": 1} for n in IDS]
        await self.insert("t", *rows)
        await self.run_("CREATE INDEX by_k ON t (k)")
        fields: dict[str, Value] = {f"k{n}": n for n in range(3000)}
        long: list[dict[str, Value]] = [{"_id": n, "list": LONG, "o": fields} for n in range(2)]
        await self.insert("long", *long)

    async def run_for(self, statement: str, seconds: float) -> Result:
        """Run a statement whose clock goes on by a second at each look."""
        ticks = count()
        surroundings = TimeAndChance(
            now_ms=lambda: 0, monotonic=lambda: float(next(ticks)), new_id=lambda: str(next(ticks))
        )
        database = Database(self.store, "db", surroundings, {})
        args = {
            name: value for name, value in (("ids", IDS), ("long", LONG)) if f":{name}" in statement
        }
        return await database.execute(
            statement, args, access=Everything(), request_id="r", timeout_seconds=seconds
        )

    async def test_every_operator_stops_at_its_deadline(self) -> None:
        for name, statement in STATEMENTS.items():
            try:
                await self.run_for(statement, SECONDS)
            except StatementTimeout:
                continue
            self.fail(f"{name} went on behind its deadline: {statement}")

    async def test_nothing_was_changed(self) -> None:
        for name in ("UPDATE", "DELETE", "INSERT SELECT"):
            try:
                await self.run_for(STATEMENTS[name], SECONDS)
            except StatementTimeout:
                continue
        self.assertEqual(await self.rows("SELECT SUM(n) AS s FROM t"), [{"s": sum(range(ROWS))}])
        self.assertEqual(await self.rows("SELECT COUNT(*) AS c FROM u"), [{"c": 0}])

    async def test_a_caller_who_goes_away_stops_the_thread(self) -> None:
        """The operators above look at the flag where they look at the clock."""
        pairs = "SELECT * FROM t a JOIN t b ON a.n > b.n + 1000 JOIN t c ON c.n > a.n + 1000"
        running = self.database.execute(
            pairs, {}, access=Everything(), request_id="r", timeout_seconds=None
        )
        running.cancel()
        try:
            await running
        except CancelledError:
            pass
        else:
            self.fail("it was not cancelled")
        # The store's threads are free again: this would wait for ever otherwise.
        for _ in range(4):
            await self.rows("SELECT * FROM t WHERE n % 1000 = 999")

    async def test_a_caller_who_goes_away_stops_a_mutation(self) -> None:
        """Nothing of it is stored, and the writer is free for the next."""
        pairs = "INSERT INTO u SELECT a.n FROM t a JOIN t b ON a.n > b.n + 1000 JOIN t c ON true"
        who: dict[str, Any] = {"access": Everything(), "request_id": "r", "timeout_seconds": None}
        starts: list[Callable[[], Deferred[Any]]] = [
            lambda: self.database.execute(pairs, {}, **who),
            lambda: self.database.transaction([(pairs, {})], **who),
        ]
        for start in starts:
            running = start()
            begun: Deferred[None] = Deferred()
            reactor.callLater(0.05, begun.callback, None)
            await begun
            running.cancel()
            try:
                await running
            except CancelledError:
                pass
            else:
                self.fail("it was not cancelled")
        await self.insert("u", {"_id": 1})
        self.assertEqual(await self.rows("SELECT COUNT(*) AS c FROM u"), [{"c": 1}])

    async def test_long_lists_cost_what_they_and_the_rows_cost(self) -> None:
        """A thousand rows against 59,002 values: the product would take minutes."""
        rows: list[dict[str, Value]] = [
            {"_id": n, "n": n * 60, "text": str(n)} for n in range(1_000)
        ]
        await self.insert("s", *rows)
        values: list[Value] = [2 * n for n in range(59_002)]
        found: list[Value] = [{"c": 1_000}]
        for condition in (
            "n IN :list",
            "NOT n NOT IN :list",
            "cast(text, 'integer') * 60 IN :list",
            "array_contains(:list, n)",
            "ANY x IN :list SATISFIES x = n END",
            "ANY x IN [n] SATISFIES x IN :list END",
        ):
            statement = f"SELECT COUNT(*) AS c FROM s WHERE {condition}"
            self.assertEqual(await self.rows(statement, list=values), found, condition)
        by_id = "SELECT COUNT(*) AS c FROM s USE IDS LIST :list"
        self.assertEqual(await self.rows(by_id, list=values), [{"c": 500}])

# SPDX-License-Identifier: Apache-2.0
"""Every operator stops at its deadline, and when its caller goes away, whatever it is at."""

from __future__ import annotations

from itertools import count

from twisted.internet.defer import CancelledError

from edge_twisted.database.database import Database, Surroundings
from edge_twisted.database.result import Result
from edge_twisted.documents.values import Value
from edge_twisted.dql.execute.interruption import StatementTimeout
from tests.integration.database.harness import DatabaseTestCase, Everything

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

    async def run_for(self, statement: str, seconds: float) -> Result:
        """Run a statement whose clock goes on by a second at each look."""
        ticks = count()
        surroundings = Surroundings(
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

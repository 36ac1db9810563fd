# SPDX-License-Identifier: Apache-2.0
"""Statements against a real store: what they answer, and what they leave behind."""

from __future__ import annotations

from edge_twisted.database.errors import (
    DocumentTooLarge,
    DuplicateIds,
    IdConflict,
    NotADocument,
)
from edge_twisted.database.system_parameters import UnknownParameter
from edge_twisted.documents.ids import InvalidDocumentId
from edge_twisted.documents.operations import InvalidWrite
from edge_twisted.documents.values import Value
from edge_twisted.dql.errors import ArgumentError, DqlError, SemanticError, TransactionFailed
from tests.integration.database.harness import DatabaseTestCase, Everything

CARS: list[dict[str, Value]] = [
    {"_id": "c1", "make": "Ford", "year": 2020, "price": 10.5, "owner": {"name": "Ann"}},
    {"_id": "c2", "make": "Opel", "year": 2018, "price": 7, "tags": ["a", "b"]},
    {"_id": "c3", "make": "Ford", "year": 2022, "price": None},
    {"_id": "c4", "make": "Saab", "year": 1999},
]


class SelectTests(DatabaseTestCase):
    async def setUp(self) -> None:  # type: ignore[override]
        await super().setUp()
        await self.insert("cars", *CARS)

    async def ids(self, rest: str, **args: Value) -> list[str]:
        found = await self.rows(f"SELECT * FROM cars {rest}", **args)
        return [row["_id"] for row in found]

    async def test_whole_documents_are_spliced(self) -> None:
        """Nothing is decoded when the store proved the condition."""
        result = await self.run_("SELECT * FROM cars WHERE make = :make", make="Saab")
        self.assertEqual(result.texts, [b'{"_id":"c4","make":"Saab","year":1999}'])
        self.assertIsNone(result.items)
        self.assertEqual(result.transaction_id, 1)
        self.assertIsNone(result.commit_id)

    async def test_conditions(self) -> None:
        for condition, expected in [
            ("make = 'Ford'", ["c1", "c3"]),
            ("year >= 2020", ["c1", "c3"]),
            ("year BETWEEN 2018 AND 2020", ["c1", "c2"]),
            ("make IN ('Opel', 'Saab')", ["c2", "c4"]),
            ("make LIKE 'S%'", ["c4"]),
            ("price IS NULL", ["c3"]),
            ("price IS MISSING", ["c4"]),
            ("owner.name = 'Ann'", ["c1"]),
            ("array_contains(tags, 'a')", ["c2"]),
            ("ANY t IN tags SATISFIES t = 'b' END", ["c2"]),
            ("lower(make) = 'ford' AND year < 2021", ["c1"]),
            ("make = 'Saab' OR year = 2018", ["c2", "c4"]),
            ("NOT (make = 'Ford')", ["c2", "c4"]),
            ("_id = 'c2'", ["c2"]),
            ("_id IN ['c3', 'c1', 'nothing']", ["c1", "c3"]),
            ("price = 7.0", ["c2"]),
            ("1 = 'a'", []),
            ("make", []),
        ]:
            self.assertEqual(sorted(await self.ids(f"WHERE {condition}")), expected, condition)

    async def test_an_index_changes_nothing_but_the_plan(self) -> None:
        """Every condition answers the same with an index as without."""
        conditions = [
            "make = 'Ford'", "make != 'Ford'", "make > 'M'", "make IN ('Ford', 'Saab')",
            "make LIKE 'Fo%'", "make IS MISSING", "year BETWEEN 2000 AND 2020",
            "make = 'Ford' AND year > 2021", "make = 'Saab' OR year = 2018", "price IS NULL",
        ]  # fmt: skip
        before = {each: sorted(await self.ids(f"WHERE {each}")) for each in conditions}
        await self.run_("CREATE INDEX by_make ON cars (make, year DESC)")
        await self.run_("CREATE INDEX by_year ON cars (year)")
        await self.run_("CREATE INDEX by_price ON cars (price)")
        for condition, expected in before.items():
            self.assertEqual(sorted(await self.ids(f"WHERE {condition}")), expected, condition)
        [row] = await self.rows("EXPLAIN SELECT * FROM cars WHERE make = 'Ford'")
        self.assertEqual(row["plan"]["children"][0]["#operator"], "indexScan")

    async def test_order_and_limits(self) -> None:
        self.assertEqual(await self.ids("ORDER BY year"), ["c4", "c2", "c1", "c3"])
        self.assertEqual(await self.ids("ORDER BY year DESC LIMIT 2"), ["c3", "c1"])
        self.assertEqual(
            await self.ids("ORDER BY price, year LIMIT 3 OFFSET 1"), ["c1", "c3", "c4"]
        )
        await self.run_("CREATE INDEX by_year ON cars (year)")
        self.assertEqual(await self.ids("ORDER BY year DESC LIMIT 2"), ["c3", "c1"])
        [row] = await self.rows("EXPLAIN SELECT * FROM cars ORDER BY year DESC LIMIT 2")
        operators = [each["#operator"] for each in row["plan"]["children"]]
        self.assertEqual(operators, ["indexScan", "limit", "projection"])

    async def test_projections(self) -> None:
        rows = await self.rows(
            "SELECT make, owner.name AS who, year + 1 FROM cars WHERE _id = 'c1'"
        )
        self.assertEqual(rows, [{"make": "Ford", "who": "Ann", "($3)": 2021}])
        rows = await self.rows("SELECT cars.*, MISSING price FROM cars WHERE _id = 'c2'")
        self.assertEqual(rows, [{"_id": "c2", "make": "Opel", "year": 2018, "tags": ["a", "b"]}])
        rows = await self.rows("SELECT DISTINCT make FROM cars ORDER BY make")
        self.assertEqual([row["make"] for row in rows], ["Ford", "Opel", "Saab"])
        self.assertEqual(await self.rows("SELECT 1 + 1 AS two"), [{"two": 2}])
        self.assertEqual(await self.rows("SELECT _id FROM system:dual"), [{"_id": "dual"}])

    async def test_groups(self) -> None:
        rows = await self.rows(
            "SELECT make, COUNT(*) AS n, MAX(year) AS newest FROM cars "
            "GROUP BY make HAVING COUNT(*) > 1 ORDER BY n DESC"
        )
        self.assertEqual(rows, [{"make": "Ford", "n": 2, "newest": 2022}])
        self.assertEqual(await self.rows("SELECT COUNT(*) FROM cars"), [{"($1)": 4}])
        self.assertEqual(
            await self.rows("SELECT COUNT(*) AS n, SUM(year) AS s FROM cars WHERE make = 'x'"),
            [{"n": 0}],
        )

    async def test_joins(self) -> None:
        await self.insert("people", {"_id": "p1", "name": "Ann"}, {"_id": "p2", "name": "Bob"})
        rows = await self.rows(
            "SELECT p.name, c.make FROM people p JOIN cars c ON c.owner.name = p.name"
        )
        self.assertEqual(rows, [{"name": "Ann", "make": "Ford"}])
        rows = await self.rows(
            "SELECT p._id AS p, c._id AS c FROM people p LEFT JOIN cars c "
            "ON c.owner.name = p.name ORDER BY p"
        )
        self.assertEqual(rows, [{"p": "p1", "c": "c1"}, {"p": "p2"}])
        rows = await self.rows(
            "SELECT * FROM cars c RIGHT JOIN people p ON c.owner.name = p.name "
            "WHERE c._id IS MISSING"
        )
        self.assertEqual(rows, [{"p": {"_id": "p2", "name": "Bob"}}])

    async def test_use_ids(self) -> None:
        self.assertEqual(await self.ids("USE IDS 'c3', 'c1'"), ["c3", "c1"])
        self.assertEqual(await self.ids("USE IDS LIST :ids", ids=["c2"]), ["c2"])

    async def test_errors_have_a_place(self) -> None:
        for statement, message, column in [
            ("SELECT * FROM cars WHERE nope(make)", "unknown function nope", 26),
            ("SELECT make, make FROM cars", "used twice", 14),
            ("SELECT *, make FROM cars", "unqualified *", 8),
            ("SELECT year FROM cars GROUP BY make", 'Projection "year"', 8),
            ("SELECT * FROM system:nothing", "unknown collection", 15),
            ("SELECT * FROM cars LIMIT -1", "", 26),
        ]:
            error = await self.refused(statement, DqlError)
            self.assertIn(message, str(error))
            assert error.position is not None, statement
            self.assertEqual((error.position.line, error.position.column), (1, column), statement)

    async def test_arguments_must_fit(self) -> None:
        error = await self.refused("SELECT :a AS a", ArgumentError)
        self.assertIn("Parameter a was not provided", str(error))
        error = await self.refused("SELECT :a AS a", ArgumentError, a=1, b=2)
        self.assertIn("Argument b is not used", str(error))


class MutationTests(DatabaseTestCase):
    async def test_insert_policies(self) -> None:
        await self.insert("t", {"_id": 1, "a": 1, "o": {"x": 1}})
        error = await self.refused("INSERT INTO t DOCUMENTS ({'_id': 1})", IdConflict)
        self.assertIn("Identifier conflict on document 1: using FAIL", str(error))
        nothing = await self.run_("INSERT INTO t DOCUMENTS ({'_id': 1}) ON ID CONFLICT DO NOTHING")
        self.assertEqual(nothing.mutated_ids, [])
        await self.run_(
            "INSERT INTO t DOCUMENTS ({'_id': 1, 'b': 2, 'o': {'y': 2}}) ON ID CONFLICT DO UPDATE"
        )
        self.assertEqual(
            await self.rows("SELECT * FROM t"), [{"_id": 1, "a": 1, "b": 2, "o": {"x": 1, "y": 2}}]
        )
        same = await self.run_(
            "INSERT INTO t DOCUMENTS ({'_id': 1, 'b': 2}) ON ID CONFLICT DO UPDATE_LOCAL_DIFF"
        )
        self.assertEqual(same.mutated_ids, [])

    async def test_documents_deeper_than_any_encoder_goes_are_refused(self) -> None:
        for levels in (200, 260, 2_000):
            nested: Value = []
            for _ in range(levels - 1):
                nested = [nested]
            for beside in (None, b"no encoder knows these"):
                found = {"_id": 1, "a": nested, "b": beside}
                await self.refused("INSERT INTO t DOCUMENTS (:d)", InvalidWrite, d=found)

    async def test_bad_documents(self) -> None:
        await self.refused("INSERT INTO t DOCUMENTS ({'_id': 1.5})", InvalidDocumentId)
        await self.refused("INSERT INTO t DOCUMENTS (5)", NotADocument)
        await self.refused("INSERT INTO t DOCUMENTS ({'_id': 1}), ({'_id': 1})", DuplicateIds)
        await self.refused("INSERT INTO t DOCUMENTS ({a: 1})", DqlError)
        await self.refused(
            "INSERT INTO t DOCUMENTS (:d)", DocumentTooLarge, d={"a": "x" * 5_300_000}
        )
        self.assertEqual(await self.rows("SELECT * FROM t"), [], "nothing of it was stored")

    async def test_generated_ids(self) -> None:
        result = await self.run_("INSERT INTO t DOCUMENTS ({'a': 1}) RETURNING _id, a")
        self.assertEqual(result.mutated_ids, ["new-1"])
        self.assertEqual(result.items, [{"_id": "new-1", "a": 1}])

    async def test_initial(self) -> None:
        first = await self.run_("INSERT INTO t INITIAL DOCUMENTS ({'_id': 1, 'a': 1})")
        again = await self.run_("INSERT INTO t INITIAL DOCUMENTS ({'_id': 1, 'a': 2})")
        self.assertEqual((first.mutated_ids, again.mutated_ids), ([1], []))

    async def test_update(self) -> None:
        await self.insert("t", {"_id": 1, "n": 5, "m": {"a": 1}}, {"_id": 2, "n": 7})
        result = await self.run_(
            "UPDATE t APPLY hits INCREMENT BY 2 SET n = n * 10, m.b = n UNSET m.a "
            "WHERE n < 6 RETURNING n, m, hits"
        )
        self.assertEqual(result.items, [{"n": 50, "m": {"b": 5}, "hits": 2}])
        self.assertEqual(result.mutated_ids, [1])
        self.assertEqual(result.commit_id, 2)
        for statement, kind in [
            ("UPDATE t SET _id = 3", InvalidWrite),
            ("UPDATE t SET a.b = 1, a = 2", InvalidWrite),
            ("UPDATE t APPLY n INCREMENT BY 1.5", InvalidWrite),
            ("UPDATE system:dual SET a = 1", SemanticError),
        ]:
            await self.refused(statement, kind)

    async def test_delete_and_evict(self) -> None:
        await self.insert("t", *({"_id": n, "n": n} for n in range(6)))
        deleted = await self.run_("DELETE FROM t WHERE n >= 4 RETURNING COUNT(*) AS gone")
        self.assertEqual(deleted.items, [{"gone": 2}])
        evicted = await self.run_("EVICT FROM t ORDER BY n DESC LIMIT 1")
        self.assertEqual(evicted.mutated_ids, [3])
        self.assertEqual(await self.rows("SELECT COUNT(*) AS n FROM t"), [{"n": 3}])
        await self.insert("t", {"_id": 4, "anew": True})
        self.assertEqual(
            await self.rows("SELECT * FROM t WHERE _id = 4"), [{"_id": 4, "anew": True}]
        )

    async def test_insert_from_select(self) -> None:
        await self.insert("t", {"_id": 1, "n": 5})
        await self.run_("INSERT INTO u SELECT _id, n + 1 AS m FROM t")
        self.assertEqual(await self.rows("SELECT * FROM u"), [{"_id": 1, "m": 6}])

    async def test_binary_values(self) -> None:
        await self.insert("t", {"_id": 1, "data": b"\x00\xff", "$binary": "x"})
        self.assertEqual(
            await self.rows("SELECT * FROM t WHERE data = :d", d=b"\x00\xff"),
            [{"_id": 1, "data": b"\x00\xff", "$binary": "x"}],
        )

    async def test_a_transaction_is_all_or_nothing(self) -> None:
        results = await self.database.transaction(
            [
                ("INSERT INTO t DOCUMENTS ({'_id': 1})", {}),
                ("UPDATE t SET a = :a", {"a": 1}),
                ("SELECT * FROM t", {}),
            ],
            access=Everything(),
            request_id="r",
            timeout_seconds=None,
        )
        self.assertEqual({each.transaction_id for each in results}, {1})
        error = await self.assertFailure(
            self.database.transaction(
                [("DELETE FROM t", {}), ("INSERT INTO t DOCUMENTS (1)", {})],
                access=Everything(),
                request_id="r",
                timeout_seconds=None,
            ),
            TransactionFailed,
        )
        self.assertEqual(error.index, 1)
        self.assertEqual(await self.rows("SELECT * FROM t"), [{"_id": 1, "a": 1}])

    async def test_parameters(self) -> None:
        self.assertEqual(await self.rows("SHOW DQL_STRICT_MODE"), [{"dql_strict_mode": False}])
        await self.run_("ALTER SYSTEM SET DQL_STRICT_MODE = true")
        await self.insert("t", {"_id": 1, "o": {"a": 1}})
        await self.refused("UPDATE t SET o.a = 2", InvalidWrite)
        self.database.start()
        self.assertEqual(await self.rows("SHOW dql_strict_mode"), [{"dql_strict_mode": True}])
        await self.refused("ALTER SYSTEM SET nothing = 1", UnknownParameter)
        [row] = await self.rows("SHOW ALL LIKE 'tombstone_ttl%'")
        self.assertEqual(row, {"tombstone_ttl_enabled": True, "tombstone_ttl_hours": 168})

    async def test_advice(self) -> None:
        await self.insert("t", {"_id": 1, "a": 1})
        [row] = await self.rows("ADVISE SELECT * FROM t WHERE a = 1 AND b > 2")
        [suggested] = row["advice"]["suggestedIndexes"]
        self.assertIn("(a, b)", suggested["statement"])
        [row] = await self.rows("ADVISE AND PROVISION SELECT * FROM t WHERE a = 1 AND b > 2")
        self.assertEqual(row["advice"]["outcome"], "optimal indexes already exist")

    async def test_profile(self) -> None:
        await self.insert("t", {"_id": 1})
        rows = await self.rows("PROFILE SELECT * FROM t")
        self.assertEqual(rows[0], {"_id": 1})
        self.assertEqual(rows[1]["~request_profile"]["resultCount"], 1)

    async def test_waiting_for_a_commit(self) -> None:
        waiting = self.database.reached(2)
        await self.insert("t", {"_id": 1})
        self.assertNoResult(waiting)
        await self.insert("t", {"_id": 2})
        await waiting

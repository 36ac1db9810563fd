# SPDX-License-Identifier: Apache-2.0
"""Joins: whichever way the terms are read, the rows are the same."""

from __future__ import annotations

import json
from typing import Any

from edge_twisted.database import execution
from edge_twisted.documents.values import Value
from tests.integration.database.harness import DatabaseTestCase

CUSTOMERS: list[dict[str, Value]] = [
    {"_id": "c1", "code": 1, "city": "Ede", "boss": "c2"},
    {"_id": "c2", "code": 1.0, "city": "Ede"},
    {"_id": "c3", "code": None, "city": "Oss", "boss": "c9"},
    {"_id": "c4", "city": "Oss", "boss": None},
    {"_id": "c5", "code": [1, {"x": 2}], "city": "Ede", "boss": "c1"},
]
ORDERS: list[dict[str, Value]] = [
    {"_id": 1, "customer": "c1", "code": 1, "total": 5, "at": {"city": "Ede"}},
    {"_id": 2, "customer": "c1", "code": 2, "total": 7, "at": {"city": "Oss"}},
    {"_id": 3, "customer": "c9", "code": [1, {"x": 2}], "total": 9},
    {"_id": 4, "customer": None, "code": None, "total": 1},
    {"_id": 5, "total": 3},
    {"_id": 6, "customer": "c5", "code": 1.0, "total": 5, "at": {"city": "Ede"}},
]
CONDITIONS = [
    "o.customer = c._id",
    "c._id = o.customer AND o.total > 5",
    "c.code = o.code",
    "c.code = o.code AND c.city = o.at.city",
    "c.city = o.at.city AND c.code IN [1, 2]",
    "c.city = 'Ede' AND c.code = o.code",
    "c._id = 'c1'",
    "o.total > 5",
    "c.code = o.total - 4",
    "c.code = o.code OR c._id = o.customer",
    "c.code != o.code",
    "1 = 1",
]
WHERES = ["", "WHERE o.total > 3", "WHERE c._id IS MISSING"]
INDEXES = [
    "CREATE INDEX by_code ON c (code)",
    "CREATE INDEX by_city_code ON c (city, code DESC)",
    "CREATE INDEX by_total ON o (total)",
]


class JoinTests(DatabaseTestCase):
    async def setUp(self) -> None:  # type: ignore[override]
        await super().setUp()
        await self.insert("c", *CUSTOMERS)
        await self.insert("o", *ORDERS)

    async def found(self, query: str) -> list[str]:
        return sorted(json.dumps(row, sort_keys=True) for row in await self.rows(query))

    async def plan(self, query: str) -> list[Any]:
        [row] = await self.rows(f"EXPLAIN {query}")
        children: list[Any] = row["plan"]["children"]
        return children

    async def test_every_way_gives_the_same_rows(self) -> None:
        queries = [
            f"SELECT o._id AS o, c._id AS c FROM o {kind} JOIN c ON {condition} {where}"
            for kind in ("INNER", "LEFT", "RIGHT")
            for condition in CONDITIONS
            for where in WHERES
        ]
        queries.append(
            "SELECT o._id AS o, b._id AS b FROM o LEFT JOIN c ON c._id = o.customer"
            " LEFT JOIN c AS b ON b._id = c.boss"
        )
        # Every pair tried: nothing but the condition decides.
        expected = {query: await self.slow(query) for query in queries}
        for query, rows in expected.items():
            self.assertEqual(await self.found(query), rows, query)
        for statement in INDEXES:
            await self.run_(statement)
        for query, rows in expected.items():
            self.assertEqual(await self.found(query), rows, query)

    async def slow(self, query: str) -> list[str]:
        before, condition = query.split(" ON ", 1)
        condition, _, where = condition.partition(" WHERE ")
        if condition.count("JOIN"):
            return await self.found(query)
        # An OR hides the equalities; what it adds is never TRUE.
        slow = f"{before} ON ({condition}) OR (o.total IS MISSING AND o.total IS NULL)"
        if where:
            slow += f" WHERE ({where}) OR (o.total IS MISSING AND o.total IS NULL)"
        return await self.found(slow)

    async def test_what_serves_a_join_is_shown(self) -> None:
        by_id = "SELECT * FROM o JOIN c ON c._id = o.customer WHERE o.total = 5"
        first, join, *_ = await self.plan(by_id)
        self.assertEqual(first["#operator"], "scan")
        self.assertEqual((join["#operator"], join["access"]["#operator"]), ("nlJoin", "idScan"))
        by_code = "SELECT * FROM o JOIN c ON c.code = o.code WHERE o.total = 5"
        self.assertEqual((await self.plan(by_code))[1]["#operator"], "hashJoin")
        for statement in INDEXES:
            await self.run_(statement)
        first, join, *_ = await self.plan(by_code)
        self.assertEqual((first["#operator"], first["desc"]["index"]), ("indexScan", "by_total"))
        self.assertEqual(join["access"]["desc"]["index"], "by_code")
        both = "SELECT * FROM o JOIN c ON c.code = o.code AND c.city = o.at.city"
        self.assertEqual((await self.plan(both))[1]["access"]["desc"]["index"], "by_city_code")
        no_index = "SELECT * FROM o JOIN c USE INDEX '' ON c.code = o.code"
        self.assertEqual((await self.plan(no_index))[1]["#operator"], "hashJoin")
        pairs = "SELECT * FROM o JOIN c ON c.code > o.code"
        self.assertNotIn("access", (await self.plan(pairs))[1])

    async def test_a_large_inner_side_without_an_index_is_warned_of(self) -> None:
        self.patch(execution, "JOIN_WARNING_ROWS", 4)
        result = await self.run_("SELECT * FROM o JOIN c ON c.code = o.code")
        self.assertEqual(
            result.warnings,
            ["joining 5 documents of c without an index: "
             "CREATE INDEX IF NOT EXISTS idx_c_code ON c (code)"],
        )  # fmt: skip
        result = await self.run_("SELECT * FROM o JOIN c ON c.code > o.code")
        self.assertIn("without an equality", result.warnings[0])
        await self.run_(
            result_statement(await self.run_("SELECT * FROM o JOIN c ON c.code = o.code"))
        )
        result = await self.run_("SELECT * FROM o JOIN c ON c.code = o.code")
        self.assertEqual((result.warnings, result.total_warnings), ([], 0))


def result_statement(result: Any) -> str:
    """Return the statement that a warning names."""
    text: str = result.warnings[0]
    return text.split(": ", 1)[1]

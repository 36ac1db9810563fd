# SPDX-License-Identifier: Apache-2.0
"""What an index answers alone: the same as the documents would."""

from __future__ import annotations

from typing import Any

from edge_twisted.documents.values import Value
from tests.integration.database.harness import DatabaseTestCase

DOCUMENTS: list[dict[str, Value]] = [
    {"_id": 1, "n": 1, "s": "a"},
    {"_id": "x", "n": 1.0, "s": "b"},
    {"_id": {"b": 1, "a": [2, None]}, "n": 2},
    {"_id": True, "n": None, "s": "a"},
    {"_id": [1, "y"], "s": "a"},
]
COVERED = [
    "SELECT COUNT(*) FROM t WHERE n = 1",
    "SELECT COUNT(*) AS many FROM t WHERE n > 0",
    "SELECT COUNT(*) AS many FROM t WHERE n > 0 LIMIT 0",
    "SELECT COUNT(*) AS many FROM t WHERE n IN :l",
    "SELECT COUNT(*) AS many FROM t WHERE n IS MISSING",
    "SELECT COUNT(*) AS many FROM t WHERE n = 77",
    "SELECT _id FROM t WHERE n = 1",
    "SELECT t._id AS i, _id.b AS b FROM t WHERE n >= 1",
    "SELECT DISTINCT _id.b AS b FROM t WHERE n >= 1",
    "SELECT _id FROM t WHERE n = 1 AND s = 'a'",
    "SELECT _id FROM t WHERE n >= 1 ORDER BY n",
    "SELECT _id FROM t WHERE n >= 1 LIMIT 1 OFFSET 2",
]
NOT_COVERED = [
    "SELECT n FROM t WHERE n = 1",  # 1 and 1.0 have one key
    "SELECT _id, s FROM t WHERE n = 1",
    "SELECT _id FROM t WHERE n = 1 AND lower(s) = 'a'",
    "SELECT _id FROM t WHERE n >= 1 ORDER BY s",
    "SELECT COUNT(s) FROM t WHERE n = 1",
    "SELECT COUNT(*) FROM t WHERE n = 1 GROUP BY s",
]


class CoveringTests(DatabaseTestCase):
    async def setUp(self) -> None:  # type: ignore[override]
        await super().setUp()
        await self.insert("t", *DOCUMENTS)

    async def found(self, query: str) -> list[str]:
        args: dict[str, Any] = {"l": [1, 2, None]} if ":l" in query else {}
        return sorted(map(repr, await self.rows(query, **args)))

    async def is_covered(self, query: str) -> bool:
        [row] = await self.rows(f"EXPLAIN {query.replace(':l', '[1]')}")
        return "covering" in row["plan"]["children"][0]

    async def test_the_rows_are_the_same(self) -> None:
        queries = COVERED + NOT_COVERED
        expected = {query: await self.found(query) for query in queries}
        await self.run_("CREATE INDEX by_n ON t (n, s)")
        for query in queries:
            if "LIMIT 1 OFFSET" not in query:  # no order was promised
                self.assertEqual(await self.found(query), expected[query], query)
            self.assertEqual(await self.is_covered(query), query in COVERED, query)

    async def test_not_beyond_rules_and_types(self) -> None:
        await self.run_("CREATE INDEX by_n ON t (n)")
        await self.run_("ALTER SYSTEM SET DQL_STRICT_MODE = true")
        self.assertFalse(await self.is_covered("SELECT _id FROM t WHERE n = 1"))
        self.assertEqual(await self.found("SELECT COUNT(*) AS c FROM t WHERE n = 1"), ["{'c': 2}"])

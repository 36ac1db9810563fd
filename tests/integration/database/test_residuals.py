# SPDX-License-Identifier: Apache-2.0
"""Conditions of which an index serves a part: the same rows as without the index."""

from __future__ import annotations

from collections.abc import Mapping

from edge_twisted.database.inline_policy import INLINE_ROWS, RESPITE
from edge_twisted.documents.values import Value
from edge_twisted.store.sqlite import readers
from tests.integration.database.harness import DatabaseTestCase, rows_of
from tests.support.callers import EVERYTHING

VALUES: list[Value] = [None, True, False, 1, 1.0, 1.5, "a", "ab", "b", [1], {"x": 1}, b"ab"]
DOCUMENTS: list[Mapping[str, Value]] = [
    *({"_id": 100 * g + i, "g": g, "v": v, "n": i} for g in (1, 2) for i, v in enumerate(VALUES)),
    *({"_id": 90 + g, "g": g, "n": 90} for g in (1, 2)),
    {"_id": 99, "v": 1, "n": 99},
]
#: Conditions beside one that the index serves, and their arguments.
RESIDUALS: list[tuple[str, dict[str, Value]]] = [
    *((f"v {sign} :v", {"v": v}) for sign in ("=", "!=", "<", ">=") for v in VALUES),
    ("v IS NULL", {}),
    ("v IS MISSING", {}),
    ("v IS NOT MISSING", {}),
    ("NOT (v = 1)", {}),
    ("v IN :l", {"l": [1, "a", None, [1]]}),
    ("v IN ('a', TRUE)", {}),
    ("v LIKE 'a%'", {}),
    ("v LIKE :p", {"p": "_b"}),
    ("v BETWEEN 'a' AND 'b'", {}),
    ("(v = 1 OR v = 'b')", {}),
    ("(v = 1 OR lower(v) = 'b')", {}),
    ("lower(v) = 'a'", {}),
    ("v = 1 AND lower('A') = 'a'", {}),
    ("v.x = 1", {}),
    ("(v = 1 OR (n > 3 AND v IS NOT NULL))", {}),
]
INDEXED = ("g = :g", "g >= :g", "g IN (1, :g)")


class ResidualTests(DatabaseTestCase):
    async def setUp(self) -> None:  # type: ignore[override]
        await super().setUp()
        await self.insert("t", *DOCUMENTS)

    async def test_the_rows_are_the_same(self) -> None:
        queries = [
            (f"SELECT {what} FROM t WHERE {served} AND {rest}", {"g": 1, **args})
            for what in ("*", "n, g")
            for served in INDEXED
            for rest, args in RESIDUALS
        ]
        before = [await self.found(query, args) for query, args in queries]
        self.assertGreater(len([found for found in before if found]), len(queries) / 2)
        await self.run_("CREATE INDEX by_g ON t (g)")
        for (query, args), found in zip(queries, before, strict=True):
            self.assertEqual(await self.found(query, args), found, query)

    async def test_counts_are_the_same(self) -> None:
        """However they are come by: as many as there are rows."""
        for _ in range(2):
            for served in INDEXED:
                for rest, args in RESIDUALS:
                    where = f"FROM t WHERE {served} AND {rest}"
                    rows = await self.rows(f"SELECT n {where}", g=1, **args)
                    for name in ("($1)", "many"):
                        what = "COUNT(*)" if name == "($1)" else f"COUNT(*) AS {name}"
                        counted = await self.rows(f"SELECT {what} {where}", g=1, **args)
                        self.assertEqual(counted, [{name: len(rows)}], where)
            await self.run_("CREATE INDEX IF NOT EXISTS by_g ON t (g)")

    async def found(self, query: str, args: dict[str, Value]) -> list[str]:
        return sorted(map(repr, await self.rows(query, **args)))

    async def test_limits_count_what_the_condition_wants(self) -> None:
        await self.run_("CREATE INDEX by_g ON t (g, n)")
        for rest in ("n >= 1", "v IS NOT MISSING", "v LIKE 'a%'", "lower(v) IS NOT NULL"):
            for order in ("g, n", "g DESC, n DESC"):
                query = f"SELECT * FROM t WHERE g = 1 AND {rest} ORDER BY {order}"
                found = await self.rows(query)
                self.assertGreater(len(found), 1)
                for limit, offset in ((0, 0), (1, 0), (1, 1), (2, 7), (100, 0), (100, 1)):
                    cut = await self.rows(f"{query} LIMIT {limit} OFFSET {offset}")
                    self.assertEqual(cut, found[offset : offset + limit])

    async def test_a_filter_that_takes_long_goes_to_a_thread(self) -> None:
        """What SQLite looks at counts, not what it finds."""
        many = [{"_id": 1000 + n, "g": 7, "n": n} for n in range(3000)]
        await self.insert("t", *many)
        await self.run_("CREATE INDEX by_g ON t (g)")
        query = "SELECT * FROM t WHERE g = 7 AND n = 2999"
        self.patch(readers, "HURRIED_SECONDS", 60.0)
        self.assertTrue(await self.runs_at_once(query))
        for respite in (1, 2, 4):
            self.patch(readers, "HURRIED_SECONDS", -1.0)
            self.assertFalse(await self.runs_at_once(query))
            self.patch(readers, "HURRIED_SECONDS", 60.0)
            for _ in range(respite):
                self.assertFalse(await self.runs_at_once(query))
        self.assertTrue(await self.runs_at_once(query))
        self.patch(readers, "HURRIED_SECONDS", -1.0)
        self.assertFalse(await self.runs_at_once(query))
        self.assertFalse(await self.runs_at_once(query))
        self.patch(readers, "HURRIED_SECONDS", 60.0)
        self.assertTrue(await self.runs_at_once(query))

    async def test_an_index_counts_at_once_what_does_not_take_long(self) -> None:
        await self.run_("CREATE INDEX by_g ON t (g)")
        query = "SELECT COUNT(*) AS n FROM t WHERE g = 1"
        self.patch(readers, "HURRIED_SECONDS", 60.0)
        self.assertTrue(await self.runs_at_once(query))
        self.patch(readers, "HURRIED_SECONDS", -1.0)
        await self.insert("t", *[{"_id": 1000 + n, "g": 1} for n in range(3000)])
        self.assertFalse(await self.runs_at_once(query))

    async def test_too_many_documents_go_to_a_thread(self) -> None:
        """They would be too many for the next fifty times as well."""
        self.patch(readers, "HURRIED_SECONDS", 60.0)
        await self.insert("t", *[{"_id": 1000 + n, "g": 7} for n in range(INLINE_ROWS + 1)])
        await self.run_("CREATE INDEX by_g ON t (g)")
        query = "SELECT * FROM t WHERE g = 7"
        for _ in range(RESPITE + 1):
            self.assertFalse(await self.runs_at_once(query, INLINE_ROWS + 1))
        await self.run_("DELETE FROM t WHERE _id = 1000")
        for _ in range(2):
            self.assertTrue(await self.runs_at_once(query, INLINE_ROWS))

    async def runs_at_once(self, query: str, count: int = 1) -> bool:
        """Return whether a query for so many documents needs no thread."""
        answer = self.database.execute(
            query, {}, access=EVERYTHING, request_id="r", timeout_seconds=20
        )
        was_called = bool(answer.called)
        self.assertEqual(len(rows_of(await answer)), count)
        return was_called

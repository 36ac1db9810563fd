# SPDX-License-Identifier: Apache-2.0
"""
The short ways to an answer against the long one: chosen statements over chosen values.

What PROFILE measures goes through every step of its plan, with documents decoded and tested one by
one.  So its rows are what the same statement must answer in whatever way it was answered.
"""

from __future__ import annotations

import random

from edge_twisted.documents.values import Value, sort_key
from tests.integration.database.harness import DatabaseTestCase

VALUES: list[Value] = [
    None, True, False, 0, 1, 2, 1.0, -1.5, 2**53 + 1, "", "a", "ab", "b", "é", "\x00\"\\",
    [], [1], ["a", {"x": 1}], {}, {"x": 1}, {"x": {"y": "a"}}, b"", b"ab",
]  # fmt: skip
PATHS = ("a", "b", "a.x", "t.b", "b.x.y", "_id", "c")
PROJECTIONS = (
    "*", "a", "a, b AS d", "a.x, _id", "c, b.x.y AS z, a", "a, lower(b) AS l", "COUNT(*) AS n",
    "COUNT(*)", "DISTINCT a", "MAX(b) AS m", "t.*, MISSING a",
)  # fmt: skip
INDEXES = (
    "CREATE INDEX i1 ON t (a)", "CREATE INDEX i2 ON t (b, a DESC)", "CREATE INDEX i3 ON t (a.x)",
    "CREATE INDEX i4 ON t (b.x.y)",
)  # fmt: skip
STATEMENTS = 400


class BothWaysTests(DatabaseTestCase):
    async def setUp(self) -> None:  # type: ignore[override]
        await super().setUp()
        self.chance = random.Random(4)

    def one_of(self, *choices: str) -> str:
        return self.chance.choice(choices)

    def constant(self, args: dict[str, Value]) -> str:
        name = f"p{len(args)}"
        args[name] = self.chance.choice(VALUES)
        return f":{name}"

    def condition(self, args: dict[str, Value], depth: int = 0) -> str:
        roll = self.chance.random()
        path = self.chance.choice(PATHS)
        if depth < 2 and roll < 0.45:
            parts = [self.condition(args, depth + 1) for _ in range(self.chance.randint(2, 3))]
            word = self.one_of("AND", "AND", "OR")
            return f"({f' {word} '.join(parts)})"
        if roll < 0.75:
            sign = self.one_of("=", "=", "!=", "<", ">=", ">")
            return f"{path} {sign} {self.constant(args)}"
        if roll < 0.82:
            return f"{path} IN ({self.constant(args)}, {self.constant(args)})"
        if roll < 0.88:
            return f"{path} IS {self.one_of('', 'NOT ')}{self.one_of('NULL', 'MISSING')}"
        if roll < 0.92:
            return f"{path} BETWEEN {self.constant(args)} AND {self.constant(args)}"
        if roll < 0.96:
            return f"{path} LIKE '{self.one_of('a%', '%b', '', 'a_', 'é%')}'"
        return f"lower({path}) = 'a'"

    def statement(self) -> tuple[str, dict[str, Value], bool]:
        """Return a statement, its arguments, and whether it says all of the order."""
        args: dict[str, Value] = {}
        query = f"SELECT {self.chance.choice(PROJECTIONS)} FROM t"
        if self.chance.random() < 0.95:
            query += f" WHERE {self.condition(args)}"
        if any(word in query for word in ("COUNT", "MAX", "DISTINCT")):
            return query, args, False
        if self.chance.random() < 0.4:
            query += f" ORDER BY {self.one_of('a', 'b DESC', 'b, a DESC')}, _id"
            if self.chance.random() < 0.7:
                query += f" LIMIT {self.chance.randint(0, 9)} OFFSET {self.chance.randint(0, 3)}"
            return query, args, True
        return query, args, False

    async def compare(self) -> int:
        """Return how many rows were compared."""
        compared = 0
        for _ in range(STATEMENTS):
            query, args, ordered = self.statement()
            expected = (await self.rows(f"PROFILE {query}", **args))[:-1]
            for _ in range(2):
                found = await self.rows(query, **args)
                if ordered:
                    self.assertEqual(list(map(repr, found)), list(map(repr, expected)), query)
                # The same rows, and of each field the same type.
                self.assertEqual(
                    sorted(map(sort_key, found)), sorted(map(sort_key, expected)), (query, args)
                )
                self.assertEqual(sorted(map(repr, found)), sorted(map(repr, expected)), query)
            compared += len(expected)
        return compared

    async def fill(self) -> None:
        documents: list[dict[str, Value]] = []
        for number in range(120):
            document: dict[str, Value] = {"_id": self.chance.choice([number, f"s{number}"])}
            for name in "ab":
                if self.chance.random() < 0.9:
                    document[name] = self.chance.choice(VALUES)
            documents.append(document)
        await self.insert("t", *documents)

    async def test_without_indexes(self) -> None:
        await self.fill()
        self.assertGreater(await self.compare(), STATEMENTS)

    async def test_with_indexes(self) -> None:
        await self.fill()
        for statement in INDEXES:
            await self.run_(statement)
        self.assertGreater(await self.compare(), STATEMENTS)

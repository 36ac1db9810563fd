# SPDX-License-Identifier: Apache-2.0
"""Units of work that come together in one physical transaction, about the same documents."""

from __future__ import annotations

import random
from typing import Any, cast

from twisted.internet.defer import Deferred, gatherResults

from edge_twisted.documents.values import Value
from edge_twisted.dql.errors import TransactionFailed
from edge_twisted.store.sqlite.tools.checks import check
from tests.integration.database.harness import DatabaseTestCase
from tests.support.callers import EVERYTHING

Call = tuple[str, dict[str, Value]]

ALL: Call = ("SELECT * FROM t", {})
IDS: tuple[Value, ...] = (0, 1, 9, -3, "a", "b", "zz", "", {"k": 1})
ROUNDS = 30


def put(id_: Value, n: int, collection: str = "t") -> Call:
    statement = f"INSERT INTO {collection} DOCUMENTS (:d) ON ID CONFLICT DO UPDATE"
    return statement, {"d": {"_id": id_, "n": n}}


def by_id(verb: str, id_: Value, collection: str = "t") -> Call:
    return f"{verb} FROM {collection} WHERE _id = :i", {"i": id_}


class GroupTests(DatabaseTestCase):
    def submit(self, *calls: Call) -> Deferred[Any]:
        """Run statements as one unit, with whatever else is submitted in this turn."""
        return self.database.transaction(
            calls, access=EVERYTHING, request_id="r", timeout_seconds=20
        )

    async def together(self, *units: tuple[Call, ...]) -> None:
        await gatherResults([self.submit(*unit) for unit in units])

    async def assert_holds(self, expected: dict[str, int], collection: str = "t") -> None:
        """All ways to look at a collection show the same."""
        found = await self.rows(f"SELECT * FROM {collection}")
        self.assertEqual({repr(row["_id"]): row["n"] for row in found}, expected)
        [count] = await self.rows(f"SELECT COUNT(*) AS n FROM {collection}")
        self.assertEqual(count, {"n": len(expected)})
        for id_ in IDS:
            rows = await self.rows(by_id("SELECT n", id_, collection)[0], i=id_)
            kept = repr(id_) in expected
            self.assertEqual(rows, [{"n": expected[repr(id_)]}] if kept else [])

    async def test_what_the_unit_before_inserted_is_changed_and_read(self) -> None:
        await self.together((put("a", 1),), (put("a", 2), ALL))
        await self.assert_holds({"'a'": 2})
        await self.together((put("a", 3),), (put("a", 4), ALL, put("a", 5)), (put("a", 6), ALL))
        await self.assert_holds({"'a'": 6})

    async def test_what_the_unit_before_inserted_is_evicted(self) -> None:
        await self.together((put("a", 1),), (by_id("EVICT", "a"),))
        await self.assert_holds({})
        await self.together((put("a", 2),), (by_id("EVICT", "a"), put("a", 3), ALL))
        await self.assert_holds({"'a'": 3})

    async def test_what_the_unit_before_inserted_is_deleted(self) -> None:
        await self.together((put("a", 1),), (by_id("DELETE", "a"), ALL), (put("b", 2), ALL))
        await self.assert_holds({"'b'": 2})
        await self.together((put("a", 3),))
        await self.assert_holds({"'a'": 3, "'b'": 2})

    async def test_indexes_follow(self) -> None:
        await self.run_("CREATE INDEX by_n ON t (n)")
        await self.together((put("a", 1),), (put("a", 2), ALL), (put("b", 1),))
        for n, ids in ((1, ["b"]), (2, ["a"])):
            for _ in range(2):
                rows = await self.rows("SELECT _id FROM t WHERE n = :n", n=n)
                self.assertEqual([row["_id"] for row in rows], ids)

    async def test_any_units_at_all(self) -> None:
        """Chosen at random, some of them failing at their end: as one after the other."""
        chance = random.Random(1)
        expected: dict[str, dict[str, int]] = {"t": {}, "u": {}}
        await self.run_("CREATE INDEX by_n ON u (n)")
        number = 0
        for _ in range(ROUNDS):
            pending: list[Deferred[Any]] = []
            for _ in range(chance.choice((1, 5, 40))):
                after = {name: dict(rows) for name, rows in expected.items()}
                calls: list[Call] = []
                for _ in range(chance.choice((1, 1, 2, 3))):
                    number += 1
                    name, id_ = chance.choice("tu"), chance.choice(IDS)
                    verb = chance.choice(("INSERT", "INSERT", "DELETE", "EVICT", "SELECT *"))
                    if verb == "INSERT":
                        calls.append(put(id_, number, name))
                        after[name][repr(id_)] = number
                    elif verb == "SELECT *":
                        calls.append((f"SELECT * FROM {name}", {}))
                    else:
                        calls.append(by_id(verb, id_, name))
                        after[name].pop(repr(id_), None)
                if chance.random() < 0.25:
                    calls.append(("INSERT INTO t DOCUMENTS (:d), (:d)", {"d": {"_id": "twice"}}))
                    pending.append(self.assertFailure(self.submit(*calls), TransactionFailed))
                else:
                    pending.append(self.submit(*calls))
                    expected = after
            await gatherResults(pending)
            for name, rows in expected.items():
                await self.assert_holds(rows, name)
        self.assertGreater(number, 10 * ROUNDS)
        self.assertEqual(check(cast(Any, self.store)._layout), [])

# SPDX-License-Identifier: Apache-2.0
"""Statements that are known to be cheap: answered the short way, and as the long way would."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

from attrs import frozen

from edge_twisted.database.errors import StatementForbidden
from edge_twisted.database.permissions import Rule
from edge_twisted.database.runner import StatementRunner
from edge_twisted.documents.values import Value
from edge_twisted.dql.errors import ArgumentError
from edge_twisted.dql.execution.interruption import StatementTimeout
from edge_twisted.store.sqlite import readers
from tests.integration.database.harness import DatabaseTestCase, rows_of
from tests.support.callers import EVERYTHING

BY_ID = "SELECT * FROM t WHERE _id = :id"
BY_INDEX = "SELECT * FROM t WHERE g = :g AND n > 1"


@frozen
class Some:
    """May see documents under a condition, or nothing."""

    rule: Rule
    identity: str | None = None
    is_full: bool = False
    reads_all: bool = False

    def may_verb(self, verb: str) -> bool:
        """Yes."""
        return True

    def read(self, collection: str) -> Rule:
        """Say what was said to it."""
        return self.rule

    def write(self, collection: str) -> Rule:
        """No."""
        return False


class AtOnceTests(DatabaseTestCase):
    async def setUp(self) -> None:  # type: ignore[override]
        await super().setUp()
        # A busy machine must not send to a thread what is cheap: how many go there is counted.
        self.patch(readers, "HURRIED_SECONDS", 60.0)
        await self.insert("t", *[{"_id": n, "g": n % 2, "n": n} for n in range(8)])
        await self.run_("CREATE INDEX by_g ON t (g)")
        self.short = 0
        whole = StatementRunner.answer_known

        def counted(runner: StatementRunner, *args: Any) -> Any:
            result = whole(runner, *args)
            self.short += result is not None
            return result

        patching = patch.object(StatementRunner, "answer_known", counted)
        patching.start()
        self.addCleanup(patching.stop)

    async def ids(self, statement: str, access: Any = EVERYTHING, **args: Value) -> list[Value]:
        return [row["_id"] for row in await self.rows(statement, access, **args)]

    async def test_the_second_time_goes_the_short_way(self) -> None:
        for n in range(3):
            self.assertEqual(await self.ids(BY_ID, id=n), [n])
            self.assertEqual(await self.ids(BY_INDEX, g=n % 2), [3, 5, 7] if n % 2 else [2, 4, 6])
        self.assertEqual(self.short, 4)
        self.assertEqual(await self.ids(BY_ID, id=99), [])
        self.assertEqual(await self.ids(BY_ID, id=None), [])

    async def test_it_sees_what_was_written(self) -> None:
        for n in range(3):
            written = await self.run_("UPDATE t SET n = :n WHERE _id = 1", n=n)
            result = await self.run_(BY_ID, id=1)
            self.assertEqual(rows_of(result), [{"_id": 1, "g": 1, "n": n}])
            self.assertEqual(result.transaction_id, written.commit_id)

    async def test_other_callers_see_no_more_than_they_may(self) -> None:
        for statement, args in ((BY_ID, {"id": 3}), (BY_INDEX, {"g": 1})):
            for _ in range(2):
                self.assertIn(3, await self.ids(statement, **args))
            self.assertNotIn(3, await self.ids(statement, Some(("n > 3",)), **args))
            self.assertIn(3, await self.ids(statement, Some(("n < 4",)), **args))
            with self.assertRaises(StatementForbidden):
                await self.ids(statement, Some(False), **args)
            self.assertIn(3, await self.ids(statement, **args))
        self.assertEqual(self.short, 4)

    async def test_indexes_come_and_go(self) -> None:
        for _ in range(2):
            self.assertEqual(await self.ids(BY_INDEX, g=1), [3, 5, 7])
            await self.run_("DROP INDEX by_g ON t")
            self.assertEqual(await self.ids(BY_INDEX, g=1), [3, 5, 7])
            await self.run_("CREATE INDEX by_g ON t (g)")

    async def test_parameters_change_what_is_read(self) -> None:
        await self.insert("t", {"_id": "m", "g": 5, "n": 5, "map": {"a": 1}})
        query = "SELECT * FROM t WHERE g = 5"
        before = [await self.rows(query) for _ in range(2)]
        await self.run_("ALTER SYSTEM SET DQL_STRICT_MODE = true")
        strict = [await self.rows(query) for _ in range(2)]
        await self.run_("ALTER SYSTEM RESET DQL_STRICT_MODE")
        self.assertEqual([await self.rows(query), *before], [before[0]] * 3)
        self.assertNotEqual(strict[0], before[0])
        self.assertEqual(strict[0], strict[1])

    async def test_binary_values_are_decoded(self) -> None:
        await self.insert("t", {"_id": "b", "g": 9, "n": 2, "data": b"\x00"})
        for _ in range(3):
            for statement, args in ((BY_ID, {"id": "b"}), (BY_INDEX, {"g": 9})):
                [row] = await self.rows(statement, **args)
                self.assertEqual(row["data"], b"\x00")
        self.assertEqual(self.short, 0)

    async def test_what_is_wrong_is_wrong_either_way(self) -> None:
        for statement in (BY_ID, "SELECT * FROM t WHERE g = :g LIMIT :l"):
            good: dict[str, Value] = {"id": 1} if statement == BY_ID else {"g": 1, "l": 1}
            for _ in range(3):
                await self.rows(statement, **good)
                error = await self.refused(statement, ArgumentError)
                self.assertIn("was not provided", str(error))
                await self.refused(statement, ArgumentError, **good, more=1)
                if "l" in good:
                    await self.refused(statement, ArgumentError, g=1, l=-1)
                with self.assertRaises(StatementTimeout):
                    await self.database.execute(
                        statement, good, access=EVERYTHING, request_id="r", timeout_seconds=0
                    )

    async def test_it_is_recorded_as_any_other(self) -> None:
        for _ in range(2):
            await self.run_(BY_INDEX, g=0)
        query = "SELECT * FROM system:request_history"
        found = [row for row in await self.rows(query) if row["text"] == BY_INDEX]
        self.assertEqual([row["resultCount"] for row in found], [3, 3])
        self.assertEqual([row["state"] for row in found], ["completed"] * 2)
        self.assertEqual(found[0]["plan"], found[1]["plan"])
        query = "SELECT * FROM system:shared_statements"
        [kept] = [row for row in await self.rows(query) if row["text"] == BY_INDEX]
        self.assertEqual(kept["uses"], 2)

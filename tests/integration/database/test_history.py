# SPDX-License-Identifier: Apache-2.0
"""Requests as such: their record, their limits, and what other parts of the server tell."""

from __future__ import annotations

from itertools import count
from typing import cast

from twisted.internet.defer import gatherResults
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from edge_twisted.config.model import IdentityConfig, Permissions
from edge_twisted.database.admission import StatementLimitReached
from edge_twisted.database.errors import StatementForbidden
from edge_twisted.database.vitals import InfoEntry, MetricEntry
from edge_twisted.dql.errors import DqlError, SemanticError
from edge_twisted.dql.execution.interruption import StatementTimeout
from edge_twisted.security.permissions import Access, Permits
from tests.integration.database.harness import DatabaseTestCase, Everything
from tests.support.dql_examples import answer, memory_database, outcome, rows_of


class RequestTests(SynchronousTestCase):
    def test_a_slow_statement_is_logged(self) -> None:
        seconds = count()
        database = memory_database(monotonic=lambda: float(next(seconds)))
        answer(database, "ALTER SYSTEM SET dql_slow_request_warn_seconds = 2", {})
        events: list[LogEvent] = []
        observer = cast(ILogObserver, events.append)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        answer(database, "SELECT 'slow' AS a", {})
        [event] = [each for each in events if "request_id" in each]
        self.assertEqual(event["text"], "SELECT 'slow' AS a")
        answer(database, "ALTER SYSTEM SET dql_slow_request_warn_seconds = 0", {})
        events.clear()
        answer(database, "SELECT 'slow' AS a", {})
        self.assertEqual([each for each in events if "request_id" in each], [])

    def test_the_parameter_bounds_the_time_of_a_statement(self) -> None:
        seconds = count(0, 10)
        database = memory_database(monotonic=lambda: float(next(seconds)))
        answer(database, "ALTER SYSTEM SET dql_request_timeout_seconds = 5", {})
        for statement in ("SELECT * FROM t", "DELETE FROM t", "SELECT * FROM system:dual"):
            self.assertRaises(StatementTimeout, answer, database, statement, {})
        answer(database, "ALTER SYSTEM RESET dql_request_timeout_seconds", {})
        [row] = rows_of(
            answer(database, "SELECT COUNT(*) AS n FROM system:request_history r "
                   "WHERE r.state = 'timeout'", {})
        )  # fmt: skip
        self.assertEqual(row, {"n": 3})

    def test_a_transaction_is_recorded_statement_by_statement(self) -> None:
        database = memory_database()
        outcome(
            database.transaction(
                [("INSERT INTO t DOCUMENTS ({'_id': 1})", {}), ("SELECT * FROM t", {})],
                access=Everything(), request_id="r", timeout_seconds=None,
            )
        )  # fmt: skip
        rows = rows_of(
            answer(database, "SELECT _id, requestType, queryType FROM system:request_history", {})
        )
        self.assertEqual(
            rows,
            [
                {"_id": "r/0", "requestType": "transaction", "queryType": "insert"},
                {"_id": "r/1", "requestType": "transaction", "queryType": "select"},
            ],
        )

    def test_long_texts_are_cut_and_plans_of_them_not_kept(self) -> None:
        database = memory_database()
        answer(database, f"SELECT '{'x' * 100_000}' AS a", {})
        [row] = rows_of(answer(database, "SELECT text, plan FROM system:request_history", {}))
        assert isinstance(row, dict) and isinstance(row["text"], str)
        self.assertEqual((len(row["text"]), row["plan"]), (2_048, None))

    def test_arguments_are_never_kept(self) -> None:
        database = memory_database()
        answer(database, "SELECT :a AS a", {"a": "secret"})
        rows = rows_of(answer(database, "SELECT * FROM system:request_history", {}))
        self.assertNotIn("secret", repr(rows))

    def test_a_plan_is_only_for_its_own_text(self) -> None:
        """Statements that say the same are different ones for whoever is told of a place."""
        database = memory_database()
        for spaces in (1, 5):
            text = f"SELECT{' ' * spaces}regexp_like('a', :p) AS a"
            with self.assertRaises(DqlError) as raised:
                answer(database, text, {"p": "("})
            position = raised.exception.position
            assert position is not None
            self.assertEqual(position.column, 7 + spaces)


class ProviderTests(SynchronousTestCase):
    def test_other_parts_fill_collections(self) -> None:
        database = memory_database()
        database.virtual.provide("moved_out", lambda: [{"_id": "t1", "collection": "tasks"}])
        database.virtual.provide("weather", lambda: [{"_id": 1, "sun": True}])
        [row] = rows_of(answer(database, "SELECT _id FROM system:moved_out", {}))
        self.assertEqual(row, {"_id": "t1"})
        [row] = rows_of(answer(database, "SELECT sun FROM system:weather WHERE _id = 1", {}))
        self.assertEqual(row, {"sun": True})

    def test_the_uptime_is_measured_and_not_the_difference_of_dates(self) -> None:
        now = [1000.0]
        database = memory_database(lambda: now[0])
        now[0] += 61.5
        text = "SELECT uptime_seconds FROM system:vitals"
        self.assertEqual(rows_of(answer(database, text, {})), [{"uptime_seconds": 61}])

    def test_other_parts_tell_facts_and_measures(self) -> None:
        database = memory_database()
        database.vitals.info_providers.append(lambda: [InfoEntry("store", "fs_usage_total", 7)])
        database.vitals.metric_providers.append(
            lambda: [MetricEntry(name="peers", labels={"kind": "lan"}, value=2)]
        )
        text = "SELECT `value` FROM system:system_info WHERE key = 'fs_usage_total'"
        self.assertEqual(rows_of(answer(database, text, {})), [{"value": 7}])
        text = "SELECT `value` FROM system:metrics WHERE labels.kind = 'lan'"
        self.assertRaises(SemanticError, answer, database, text, {})
        answer(database, "ALTER SYSTEM SET metrics_exporter_virtual_collection_enabled = true", {})
        self.assertEqual(rows_of(answer(database, text, {})), [{"value": 2}])


def access_of(*permissions: Permissions) -> Access:
    identity = IdentityConfig(id="till", api_key_hash="", permissions=permissions)
    return Permits.of(identity).access("execute")


class PermissionTests(SynchronousTestCase):
    def test_only_full_access_sees_what_tells_of_others(self) -> None:
        database = memory_database()
        answer(database, "ALTER SYSTEM SET metrics_exporter_virtual_collection_enabled = true", {})
        everyones = {"dual", "indexes", "collections", "data_sync_info"}
        for name in (*database.virtual.names, "actives", "completed_requests"):
            statement = f"SELECT COUNT(*) AS n FROM system:{name}"
            answer(database, statement, {}, access_of("full"))
            for level in ("data", "read_only"):
                if name in everyones:
                    answer(database, statement, {}, access_of(level))
                else:
                    access = access_of(level)
                    self.assertRaises(StatementForbidden, answer, database, statement, {}, access)
        answer(database, "SELECT * FROM __collections", {}, access_of("read_only"))

    def test_only_full_access_deletes_from_the_history(self) -> None:
        database = memory_database()
        statement = "DELETE FROM system:request_history"
        self.assertRaises(StatementForbidden, answer, database, statement, {}, access_of("data"))
        answer(database, statement, {}, access_of("full"))


class ConcurrencyTests(DatabaseTestCase):
    async def test_statements_wait_for_each_other(self) -> None:
        await self.run_("ALTER SYSTEM SET dql_concurrent_request_limit = 1")
        writes = [
            self.database.execute(
                f"INSERT INTO t DOCUMENTS ({{'_id': {n}}})",
                {}, access=Everything(), request_id=str(n), timeout_seconds=20,
            )
            for n in range(3)
        ]  # fmt: skip
        # Looked at in the same turn of the reactor, for afterwards any of them may have ended.
        states = [row["state"] for row in self.database.vitals.history.active_rows()]
        self.assertEqual(states, ["running", "waiting", "waiting"])
        await gatherResults(writes, consumeErrors=True)
        self.assertEqual(await self.rows("SELECT COUNT(*) AS n FROM t"), [{"n": 3}])

    async def test_what_may_not_wait_is_refused(self) -> None:
        await self.run_("ALTER SYSTEM SET dql_concurrent_request_limit = 1")
        await self.run_("ALTER SYSTEM SET dql_concurrent_request_wait_timeout_ms = 0")
        running = self.insert("t", {"_id": 1})
        writing = self.database.execute(
            "INSERT INTO t DOCUMENTS ({'_id': 2})",
            {}, access=Everything(), request_id="r2", timeout_seconds=20,
        )  # fmt: skip
        await self.refused("SELECT * FROM t", StatementLimitReached)
        await self.run_("ALTER SYSTEM RESET dql_concurrent_request_limit")
        await writing
        await running
        self.assertEqual(await self.rows("SELECT COUNT(*) AS n FROM t"), [{"n": 2}])

    async def test_a_long_statement_is_parsed_and_planned_elsewhere(self) -> None:
        """And answers the same."""
        await self.insert("t", {"_id": 1, "n": 5})
        listed = ",".join(map(str, range(20_000)))
        rows = await self.rows(f"SELECT _id FROM t WHERE n IN [{listed}]")
        self.assertEqual(rows, [{"_id": 1}])
        error = await self.refused(f"SELECT _id FROM t WHERE n IN [{listed}", DqlError)
        assert error.position is not None
        [row] = await self.rows(f"EXPLAIN SELECT _id FROM t WHERE n IN [{listed}]")
        self.assertEqual(row["plan"]["#operator"], "sequence")

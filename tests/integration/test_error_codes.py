# SPDX-License-Identifier: Apache-2.0
"""Published error codes that no test of a feature meets: each is provoked here once."""

from __future__ import annotations

import hashlib

import pytest

import edge_twisted.store.sqlite.store as sqlite_store
from edge_twisted.database.system_parameters import InvalidParameterValue
from edge_twisted.documents.counters import CounterOverflow
from edge_twisted.dql.errors import UnsupportedError
from edge_twisted.dql.execution.interruption import Interruption, StatementCancelled
from edge_twisted.errors import EdgeError
from edge_twisted.store.blobs.names import id_of
from edge_twisted.store.errors import BlobCorrupt, IndexExists, StoreOverloaded
from tests.integration.store.base import SqliteTestCase, insert
from tests.support.dql_examples import answer, memory_database

INCREMENT = "UPDATE COLLECTION t (n COUNTER) APPLY n INCREMENT BY 9223372036854775807"

#: The error and its code, and statements of which the last one fails with it.
STATEMENTS: list[tuple[type[EdgeError], str, list[str]]] = [
    (UnsupportedError, "query_unsupported", ["SELECT * FROM t UNION SELECT * FROM t"]),
    (
        CounterOverflow,
        "counter_overflow",
        ["INSERT INTO t DOCUMENTS ({'_id': 1})", INCREMENT, INCREMENT],
    ),
    (
        InvalidParameterValue,
        "invalid_parameter_value",
        ["ALTER SYSTEM SET dql_slow_request_warn_seconds = 'soon'"],
    ),
    (IndexExists, "index_exists", ["CREATE INDEX i ON t (a)", "CREATE INDEX i ON t (b)"]),
]


@pytest.mark.parametrize(("kind", "code", "statements"), STATEMENTS, ids=lambda each: str(each))
def test_a_statement_provokes_it(kind: type[EdgeError], code: str, statements: list[str]) -> None:
    database = memory_database()
    for statement in statements[:-1]:
        answer(database, statement, {})
    with pytest.raises(kind) as caught:
        answer(database, statements[-1], {})
    assert caught.value.code == code


def test_a_cancelled_statement_stops() -> None:
    interruption = Interruption(lambda: 0.0)
    interruption.check()
    interruption.cancel()
    with pytest.raises(StatementCancelled) as caught:
        interruption.check()
    assert caught.value.code == "statement_cancelled"


class StoreTests(SqliteTestCase):
    async def test_fetched_content_that_is_not_what_was_asked_for_is_corrupt(self) -> None:
        store = await self.opened()
        download = await store.blobs.resume(id_of(hashlib.sha256(b"wanted").digest()))
        await download.write(b"wasted")
        with self.assertRaises(BlobCorrupt) as caught:
            await download.finish()
        self.assertEqual(caught.exception.code, "attachment_corrupt")

    async def test_a_full_queue_of_the_store_refuses(self) -> None:
        store = await self.opened()
        self.patch(sqlite_store, "QUEUE_LIMIT", 0)
        with self.assertRaises(StoreOverloaded) as caught:
            await store.write("insert", insert(1))
        self.assertEqual(caught.exception.code, "store_overloaded")

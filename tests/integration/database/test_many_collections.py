# SPDX-License-Identifier: Apache-2.0
"""Very many collections: how many there may be, and what must not grow with them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, cast

from prometheus_client.parser import text_string_to_metric_families
from twisted.internet import reactor

from edge_twisted.api.metrics import Metrics
from edge_twisted.documents.versions import Replica, SiteId
from edge_twisted.dql.errors import DqlError
from edge_twisted.errors import EdgeError
from edge_twisted.mesh.ports.requests import Watcher
from edge_twisted.replication.stored_documents import StoredDocuments
from edge_twisted.services import store_metrics
from edge_twisted.services.store_metrics import measure_store
from edge_twisted.store.errors import TooManyCollections
from edge_twisted.store.memory.data import Data
from edge_twisted.store.memory.store import MemoryStore
from edge_twisted.store.sqlite import snapshot
from tests.integration.database.harness import DatabaseTestCase
from tests.support.callers import EVERYTHING
from tests.support.stored_documents import put


class LimitTests(DatabaseTestCase):
    """As many collections as `database.max_collections` says, and not one more."""

    async def setUp(self) -> None:  # type: ignore[override]
        await super().setUp()
        cast(Any, self.store)._most_collections = 2
        await self.run_("INSERT INTO a DOCUMENTS ({'_id': 1})")
        await self.run_("CREATE INDEX i ON b (n)")

    async def test_a_statement_makes_no_further_collection(self) -> None:
        for statement in (
            "INSERT INTO c DOCUMENTS ({'_id': 1})",
            "INSERT INTO c INITIAL DOCUMENTS ({'_id': 1})",
            "INSERT INTO c SELECT * FROM a",
            "CREATE INDEX i ON c (n)",
        ):
            error = await self.refused(statement, TooManyCollections)
            self.assertEqual(error.code, "too_many_collections")
            self.assertIn("c: the database has as many collections as it may (2: ", str(error))
            self.assertIn("database.max_collections", str(error))
        names = [row["name"] for row in await self.rows("SELECT * FROM system:collections")]
        self.assertEqual(names, ["a", "b"])

    async def test_everything_else_goes_on(self) -> None:
        """Also in collections that are empty, and statements that would make none."""
        await self.run_("INSERT INTO a DOCUMENTS ({'_id': 2})")
        await self.run_("INSERT INTO b DOCUMENTS ({'_id': 1})")
        await self.run_("CREATE INDEX j ON a (n)")
        await self.run_("INSERT INTO c SELECT * FROM a WHERE false")
        for statement in ("UPDATE c SET n = 1", "DELETE FROM c", "EVICT FROM c", "SELECT * FROM c"):
            await self.run_(statement)
        await self.run_("DELETE FROM a")
        error = await self.refused("INSERT INTO c DOCUMENTS ({'_id': 1})", TooManyCollections)
        self.assertEqual(error.what, "c", "a collection without documents is one")

    async def test_in_a_transaction(self) -> None:
        calls: list[Any] = [(f"INSERT INTO {name} DOCUMENTS ({{'_id': 7}})", {}) for name in "ac"]
        with self.assertRaises(EdgeError):
            await self.database.transaction(
                calls, access=EVERYTHING, request_id="r", timeout_seconds=20
            )
        self.assertEqual(await self.rows("SELECT * FROM a WHERE _id = 7"), [])

    async def test_what_peers_send_is_not_refused(self) -> None:
        """This server asked for it, with a subscription of its own."""
        await self.store.write("apply", lambda unit: put(unit, "c", 1, {}))
        self.assertEqual(len(await self.rows("SELECT * FROM system:collections")), 3)

    async def test_stores_in_memory_keep_it_too(self) -> None:
        data = Data(Replica(SiteId(bytes(16)), 0), most_collections=1)
        store = MemoryStore(data, lambda: 0)
        await store.open()
        await store.write("a", lambda unit: put(unit, "a", 1, {}))
        await store.write("a", lambda unit: unit.admit_collection("a"))
        with self.assertRaises(TooManyCollections):
            await store.write("b", lambda unit: unit.admit_collection("b"))


class MetricTests(DatabaseTestCase):
    async def setUp(self) -> None:  # type: ignore[override]
        await super().setUp()
        self.patch(store_metrics, "LABELLED_COLLECTIONS", 3)
        self.metrics = Metrics()
        measure_store(self.store, self.metrics, reactor)

    async def counts(self) -> tuple[float, dict[str, float]]:
        """Return the number of collections, and documents by label."""
        text = (await self.metrics.text()).decode()
        families = {each.name: each for each in text_string_to_metric_families(text)}
        documents = families["edge_store_documents"].samples
        return (
            families["edge_store_collections"].samples[0].value,
            {sample.labels["collection"]: sample.value for sample in documents},
        )

    async def fill(self, **documents: int) -> None:
        for name, count in documents.items():
            values = ", ".join(f"({{'_id': {n}}})" for n in range(count))
            await self.run_(f"INSERT INTO `{name}` DOCUMENTS {values}")

    async def test_few_collections_have_a_label_each(self) -> None:
        self.assertEqual(await self.counts(), (0, {}))
        await self.fill(a=1, b=2, other=3)
        self.assertEqual(await self.counts(), (3, {"a": 1, "b": 2, "other": 3}))

    async def test_the_rest_of_many_is_one_label(self) -> None:
        await self.fill(a=1, b=2, c=3, d=4, e=5)
        self.assertEqual(await self.counts(), (5, {"c": 3, "d": 4, "e": 5, "other": 3}))
        await self.run_("DELETE FROM e")
        self.assertEqual(await self.counts(), (5, {"b": 2, "c": 3, "d": 4, "other": 1}))

    async def test_a_collection_called_other_is_one_of_the_rest(self) -> None:
        await self.fill(a=1, b=2, c=3, other=9)
        self.assertEqual(await self.counts(), (4, {"c": 3, "b": 2, "other": 10}))


class ThreadTests(DatabaseTestCase):
    """What reads a line for each collection does not do so on the reactor's thread."""

    async def test_nobody_looks_at_all_collections_on_the_reactors_thread(self) -> None:
        await self.run_("INSERT INTO a DOCUMENTS ({'_id': 1})")
        await self.run_("EVICT FROM a")
        ours, asked = threading.current_thread(), []

        def watched(name: str) -> Callable[..., Any]:
            method = getattr(snapshot.SqliteSnapshot, name)

            def called(self: object, *args: object) -> object:
                asked.append(name)
                assert threading.current_thread() is not ours, name
                return method(self, *args)

            return called

        for name in ("collections", "census"):
            self.patch(snapshot.SqliteSnapshot, name, watched(name))
        metrics = Metrics()
        measure_store(self.store, metrics, reactor)
        await metrics.text()
        for statement in (
            "SELECT * FROM system:collections",
            "SELECT count(*) FROM system:collections",
            "EXPLAIN SELECT * FROM system:collections",
            "SELECT * FROM system:indexes",
            "SELECT * FROM system:vitals",
            "SELECT * FROM system:system_info",
            "SELECT * FROM a JOIN system:collections AS c ON c.name = a.name",
        ):
            try:
                await self.run_(statement)
            except DqlError as error:
                raise AssertionError(statement) from error
        documents = StoredDocuments(self.store, lambda: 0)
        await documents.start()
        documents.stop()
        self.assertEqual(set(asked), {"collections", "census"})


class EvictionTests(DatabaseTestCase):
    async def test_evictions_are_noticed_before_and_after_a_start(self) -> None:
        """Only the collections of which something was evicted since are told of."""
        await self.run_("INSERT INTO a DOCUMENTS ({'_id': 1}), ({'_id': 2})")
        await self.run_("EVICT FROM a WHERE _id = 1")
        documents = StoredDocuments(self.store, lambda: 0)
        await documents.start()
        self.addCleanup(documents.stop)
        told: list[frozenset[str]] = []
        documents.watch(cast(Watcher, _Watcher(told.append)))
        await self.run_("INSERT INTO a DOCUMENTS ({'_id': 3})")
        await self.run_("INSERT INTO b DOCUMENTS ({'_id': 3})")
        self.assertEqual(told, [])
        await self.run_("EVICT FROM a WHERE _id = 2")
        await self.run_("EVICT FROM b")
        await self.run_("DELETE FROM a")
        self.assertEqual(told, [frozenset("a"), frozenset("b")])


class _Watcher:
    def __init__(self, cursors_dropped: Callable[[frozenset[str]], None]) -> None:
        self.cursors_dropped = cursors_dropped

# SPDX-License-Identifier: Apache-2.0
"""The database as a part of the server: what it keeps doing, and what it tells of itself."""

from __future__ import annotations

import io
import json
import re
import tarfile
from pathlib import Path
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.logger import ILogObserver, LogPublisher, globalLogPublisher
from twisted.trial.unittest import TestCase

from edge_twisted.config.model import Level, Logging
from edge_twisted.documents.clock import timestamp
from edge_twisted.dql.errors import DqlError
from edge_twisted.logs.service import LoggingService
from edge_twisted.services.database import DatabaseService
from edge_twisted.services.wall_clock import now_ms
from edge_twisted.store.errors import StoreCorrupt
from tests.integration.database.harness import Everything, rows_of
from tests.integration.reactor import reactor
from tests.unit.config.samples import load_text

CONFIGURATION = """\
database:
  db_id: 12345678-1234-4123-1234-123456789012
  device_name: here
  auth: {{small_peer_only: {{offline_license_token: token}}}}
  persistence_dir: {{path: {folder}}}
  subscriptions: ["SELECT * FROM tasks"]
auth: dev_mode
"""


PAGE = 4096


class DatabaseServiceTests(TestCase):
    timeout = 60

    async def setUp(self) -> None:  # type: ignore[override]
        folder = Path(self.mktemp()).absolute()
        configuration = load_text(CONFIGURATION.format(folder=folder)).configuration
        self.configuration = configuration
        self.service = DatabaseService(configuration, reactor)
        await self.service.startService()

    async def tearDown(self) -> None:  # type: ignore[override]
        await self.service.stopService()

    async def rows(self, statement: str) -> list[Any]:
        result = await self.service.database.execute(
            statement, {}, access=Everything(), request_id="r", timeout_seconds=20
        )
        return rows_of(result)

    async def test_a_damaged_page_is_told_once_and_degrades(self) -> None:
        self.assertEqual(list(self.service.troubles()), [])
        for number in range(60):
            await self.rows(f"INSERT INTO c DOCUMENTS ({{'_id': {number}, 't': '{'x' * 500}'}})")
        await self.service.stopService()
        (path,) = self.service.folder.glob("*.db")
        data = bytearray(path.read_bytes())
        texts = [found.start() for found in re.finditer(b"x{500}", data)]
        page = texts[len(texts) // 2] // PAGE * PAGE
        data[page : page + 16] = b"\xee" * 16
        path.write_bytes(data)
        said: list[str] = []

        def hear(event: dict[str, Any]) -> None:
            said.append(event.get("log_format") or "")

        observer = cast(ILogObserver, hear)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        self.service = DatabaseService(self.configuration, reactor)
        await self.service.startService()
        for _ in range(3):
            await self.assertFailure(
                Deferred.fromCoroutine(self.rows("SELECT t FROM c")), StoreCorrupt
            )
        while not list(self.service.troubles()):
            await deferLater(reactor, 0.001)
        (trouble,) = self.service.troubles()
        self.assertEqual(trouble.code, "store_corrupt")
        self.assertIn("the store file is damaged", trouble.description)
        self.assertEqual(sum(each.startswith("The store file is damaged") for each in said), 1)

    async def test_a_hybrid_clock_that_is_ahead_is_told(self) -> None:
        ahead = timestamp(now_ms() + 3_600_000)
        await self.service.store.write("see", lambda unit: unit.see(ahead, ahead))
        (trouble,) = self.service.troubles()
        self.assertEqual(trouble.code, "clock_ahead")

    async def test_parameters_say_how_long_tombstones_are_kept(self) -> None:
        await self.rows("ALTER SYSTEM SET tombstone_ttl_hours = 5")
        await self.rows("ALTER SYSTEM SET days_between_reaping = 2")
        await self.rows("ALTER SYSTEM SET tombstone_reap_batch_size = 3")
        await self.rows("ALTER SYSTEM SET tombstone_ttl_enabled = false")
        retention = self.service._housekeeping.retention
        self.assertEqual(
            (
                retention.tombstone_ttl_hours,
                retention.days_between_reaping,
                retention.tombstone_reap_batch_size,
                retention.tombstone_ttl_enabled,
            ),
            (5, 2, 3, False),
        )

    async def test_it_tells_of_files_and_configuration(self) -> None:
        rows = await self.rows("SELECT namespace, key, `value` FROM system:system_info")
        found = {f"{row['namespace']}.{row['key']}": row["value"] for row in rows}
        self.assertGreater(found["store.fs_usage_total"], 4096)
        self.assertEqual(found["core.device_name"], "here")
        self.assertEqual(found["replication.local_subscriptions[0]"], "SELECT * FROM tasks")
        self.assertEqual(found["logs.ditto_sdk_level"], "warning")
        self.assertRegex(found["backend_sqlite3.version"], r"^3\.\d+")


class StoreLogTests(TestCase):
    """`GET /logs` has the store's log at level debug, whatever the levels are."""

    timeout = 60

    async def test_at_level_error_it_tells_what_the_store_did(self) -> None:
        logs = LoggingService(
            Logging(level=Level.ERROR, ditto_sdk=Level.ERROR, console="off"),
            reactor,
            reactor.callFromThread,
            now=lambda: 1_790_000_000.0,
            publisher=LogPublisher(),
        )
        globalLogPublisher.addObserver(logs.observer)
        self.addCleanup(globalLogPublisher.removeObserver, logs.observer)
        folder = Path(self.mktemp()).absolute()
        configuration = load_text(CONFIGURATION.format(folder=folder)).configuration
        service = DatabaseService(configuration, reactor)
        await service.startService()
        with self.assertRaises(DqlError):
            await service.database.execute(
                "SELEKT", {}, access=Everything(), request_id="r-1", timeout_seconds=20
            )
        await service.stopService()
        packed = io.BytesIO(b"".join(logs.archive(with_audit=False)))
        with tarfile.open(fileobj=packed, mode="r:gz") as tar:
            file = tar.extractfile("ditto_sdk/ditto_sdk.log")
            assert file is not None
            lines = [json.loads(line) for line in file]
        self.assertEqual({line["level"] for line in lines}, {"debug"})
        messages = [line["message"] for line in lines]
        self.assertRegex(messages[0], "opened at commit 0: 0 collections, epoch 1")
        self.assertRegex(messages[1], "Request r-1 ended after .* s, fatal: query_syntax")
        self.assertRegex(messages[-1], "closed at commit 0")

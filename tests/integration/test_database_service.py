# SPDX-License-Identifier: Apache-2.0
"""The database as a part of the server: what it keeps doing, and what it tells of itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.trial.unittest import TestCase

from edge_twisted.services.database import DatabaseService
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


class DatabaseServiceTests(TestCase):
    timeout = 60

    async def setUp(self) -> None:  # type: ignore[override]
        folder = Path(self.mktemp()).absolute()
        configuration = load_text(CONFIGURATION.format(folder=folder)).configuration
        self.service = DatabaseService(configuration, reactor)
        await self.service.startService()

    async def tearDown(self) -> None:  # type: ignore[override]
        await self.service.stopService()

    async def rows(self, statement: str) -> list[Any]:
        result = await self.service.database.execute(
            statement, {}, access=Everything(), request_id="r", timeout_seconds=20
        )
        return rows_of(result)

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

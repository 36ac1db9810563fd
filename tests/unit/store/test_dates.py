# SPDX-License-Identifier: Apache-2.0
"""Ages that outlive a restart are counted by dates: what a step of the clock does to them."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from edge_twisted.documents.versions import Replica, SiteId
from edge_twisted.store.memory.data import Data
from edge_twisted.store.memory.store import MemoryStore

NOW_MS = 1_790_000_000_000
GRACE_SECONDS = 600.0
YEAR_MS = 365 * 86_400_000


class AttachmentTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.now = NOW_MS
        data = Data(Replica(SiteId(bytes(16)), 0))
        self.store = MemoryStore(data, lambda: self.now)
        self.successResultOf(self.store.open())
        writer = self.successResultOf(self.store.blobs.upload())
        self.successResultOf(writer.write(b"x"))
        self.successResultOf(writer.finish())

    def collect(self) -> int:
        return int(self.successResultOf(self.store.blobs.collect(GRACE_SECONDS)))

    def test_an_idle_one_goes_after_its_grace_time(self) -> None:
        self.assertEqual(self.collect(), 0)
        self.now += 599_000
        self.assertEqual(self.collect(), 0)
        self.now += 1_000
        self.assertEqual(self.collect(), 1)

    def test_what_was_noted_while_the_clock_was_ahead_is_not_kept_until_then(self) -> None:
        self.now += YEAR_MS
        self.assertEqual(self.collect(), 0)
        self.now -= YEAR_MS
        self.assertEqual(self.collect(), 0)
        self.now += 600_000
        self.assertEqual(self.collect(), 1)

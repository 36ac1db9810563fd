# SPDX-License-Identifier: Apache-2.0
"""The store that runs units twice shows what a unit changes outside of it."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from edge_twisted.documents.clock import Timestamp
from edge_twisted.documents.versions import Replica, SiteId
from edge_twisted.store.interface import UnitOfWork
from edge_twisted.store.memory.data import Data
from tests.support.rerun_store import RerunStore


class RerunStoreTests(SynchronousTestCase):
    """One unit after the other, each run twice."""

    def setUp(self) -> None:
        self.store = RerunStore(Data(Replica(SiteId(b"a site's 16 byte"), 1)), lambda: 1)
        self.successResultOf(self.store.open())

    def test_a_unit_finds_nothing_of_the_run_before(self) -> None:
        runs: list[tuple[int, Timestamp, int, bytes | None, object]] = []
        effects: list[int] = []

        def work(unit: UnitOfWork) -> int:
            found = unit.fact("s", b"k"), unit.get("c", b"\x01")
            runs.append((unit.next_dot().sequence, unit.tick(), unit.lsn, *found))
            unit.put("c", b"\x01", body=b"{}", state=b"")
            unit.put_fact("s", b"k", b"v")
            unit.after_commit(lambda: effects.append(len(runs)))
            return len(runs)

        done = self.successResultOf(self.store.write("work", work))
        self.assertEqual((done.result, done.lsn, effects), (2, 1, [2]))
        first, second = runs
        self.assertGreater(second[1], first[1])
        self.assertEqual((first[0], *first[2:]), (1, 1, None, None))
        self.assertEqual((second[0], *second[2:]), (1, 1, None, None))

    def test_a_failure_is_told_once(self) -> None:
        self.failureResultOf(self.store.write("fails", lambda unit: 1 // 0), ZeroDivisionError)
        with self.store.snapshot() as snapshot:
            self.assertEqual(snapshot.lsn, 0)

# SPDX-License-Identifier: Apache-2.0
"""How many statements run at a time, and what becomes of the others."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from edge_twisted.database.admission import StatementAdmission, StatementLimitReached


class AdmissionTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.limit = 1
        self.wait_ms = 2_000
        self.admission = StatementAdmission(
            lambda: self.limit, lambda: self.wait_ms, self.clock.callLater
        )

    def test_without_a_limit_everybody_runs(self) -> None:
        self.limit = 0
        self.assertEqual([self.admission.enter() for _ in range(50)], [None] * 50)

    def test_the_others_wait_in_order(self) -> None:
        self.assertIsNone(self.admission.enter())
        first, second = self.admission.enter(), self.admission.enter()
        assert first is not None and second is not None
        self.admission.leave()
        self.successResultOf(first)
        self.assertNoResult(second)
        self.assertEqual(self.admission.waiting_count, 1)
        self.admission.leave()
        self.successResultOf(second)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_nobody_waits_for_ever(self) -> None:
        self.admission.enter()
        waiting = self.admission.enter()
        assert waiting is not None
        self.clock.advance(1.9)
        self.assertNoResult(waiting)
        self.clock.advance(0.2)
        error = self.failureResultOf(waiting, StatementLimitReached).value
        self.assertIn("none ended within 2000 ms", str(error))
        self.admission.leave()
        self.assertIsNone(self.admission.enter(), "who gave up left no trace")

    def test_a_wait_of_nothing_refuses_at_once(self) -> None:
        self.wait_ms = 0
        self.admission.enter()
        self.assertRaises(StatementLimitReached, self.admission.enter)

    def test_who_goes_away_leaves_the_queue(self) -> None:
        self.admission.enter()
        gone, next_ = self.admission.enter(), self.admission.enter()
        assert gone is not None and next_ is not None
        gone.cancel()
        gone.addErrback(lambda _: None)
        self.admission.leave()
        self.successResultOf(next_)

    def test_a_raised_limit_lets_the_queue_in(self) -> None:
        self.admission.enter()
        waiting = [self.admission.enter() for _ in range(3)]
        self.limit = 0
        self.admission.admit()
        for each in waiting:
            assert each is not None
            self.successResultOf(each)

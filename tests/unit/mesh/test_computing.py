# SPDX-License-Identifier: Apache-2.0
"""Long computations of sessions, in slices."""

from __future__ import annotations

from collections.abc import Generator

from twisted.internet.defer import CancelledError
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from edge_twisted.mesh.links.computations import SLICE_SECONDS, ComputationQueue


class ComputingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.computing = ComputationQueue(self.clock)
        self.steps: list[str] = []

    def work(self, name: str, steps: int, seconds: float) -> Generator[None, None, str]:
        for _ in range(steps):
            self.clock.rightNow += seconds
            self.steps.append(name)
            yield
        return name

    def test_others_have_their_turn_after_a_slice(self) -> None:
        done = self.computing.run(self.work("a", 10, SLICE_SECONDS / 2))
        self.clock.callLater(0, self.steps.append, "other")
        self.clock.advance(0)
        self.assertLessEqual(self.steps.index("other"), 3)
        self.assertEqual(self.steps.count("a"), 10)
        self.assertEqual(self.successResultOf(done), "a")

    def test_several_take_turns(self) -> None:
        a = self.computing.run(self.work("a", 3, 0.0))
        b = self.computing.run(self.work("b", 3, 0.0))
        self.clock.pump([0.0] * 5)
        self.assertEqual(self.steps[:4], ["a", "b", "a", "b"])
        self.assertEqual((self.successResultOf(a), self.successResultOf(b)), ("a", "b"))

    def test_what_fails_fails(self) -> None:
        def broken() -> Generator[None, None, None]:
            yield
            raise ValueError("no")

        done = self.computing.run(broken())
        self.clock.pump([0.0] * 3)
        self.failureResultOf(done, ValueError)

    def test_cancelling_ends_it(self) -> None:
        done = self.computing.run(self.work("a", 1000, SLICE_SECONDS))
        self.clock.callLater(0, done.cancel)
        self.clock.advance(0)
        self.failureResultOf(done, CancelledError)
        self.assertLess(len(self.steps), 5)

# SPDX-License-Identifier: Apache-2.0
"""Trap T5: children that start in order and are awaited, both ways."""

from __future__ import annotations

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from edge_twisted.services.ordered import OrderedService


class Part(Service):
    """A part that notes what it is told, and takes as long as its Deferreds do."""

    def __init__(self, name: str, notes: list[str]) -> None:
        self.name = name
        self.notes = notes
        self.start: Deferred[None] | Exception | None = None
        self.stop: Deferred[None] | Exception | None = None

    def startService(self) -> Deferred[None] | None:
        self.notes.append(f"start {self.name}")
        if isinstance(self.start, Exception):
            raise self.start
        return self.start

    def stopService(self) -> Deferred[None] | None:
        self.notes.append(f"stop {self.name}")
        if isinstance(self.stop, Exception):
            raise self.stop
        return self.stop


class OrderedServiceTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.notes: list[str] = []
        self.a, self.b, self.c = (Part(name, self.notes) for name in "abc")
        self.failures: list[tuple[Failure, str]] = []
        self.service = OrderedService(
            [self.a, self.b, self.c],
            on_failure=lambda failure, name: self.failures.append((failure, name)),
            on_running=lambda: self.notes.append("running"),
        )

    def test_each_start_waits_for_the_one_before(self) -> None:
        """A listener placed after the store is not started before the store is open."""
        self.b.start = Deferred()
        self.service.startService()
        self.assertEqual(self.notes, ["start a", "start b"])
        self.b.start.callback(None)
        self.assertEqual(self.notes, ["start a", "start b", "start c", "running"])

    def test_each_stop_waits_in_reverse(self) -> None:
        """The store is not closed before the listener above it has drained."""
        self.service.startService()
        self.notes.clear()
        self.c.stop = Deferred()
        done = self.service.stopService()
        self.assertEqual(self.notes, ["stop c"])
        self.assertNoResult(done)
        self.c.stop.callback(None)
        self.successResultOf(done)
        self.assertEqual(self.notes, ["stop c", "stop b", "stop a"])

    def test_a_failed_start_undoes_and_reports(self) -> None:
        """What was started stops again, the failed part too, and the failure names the part."""
        self.b.start = RuntimeError("port taken")
        self.service.startService()
        self.assertEqual(self.notes, ["start a", "start b", "stop b", "stop a"])
        [(failure, name)] = self.failures
        self.assertEqual((str(failure.value), name), ("port taken", "b"))
        self.successResultOf(self.service.stopService())
        self.assertEqual(self.notes[4:], [])

    def test_a_late_failure_is_a_failure(self) -> None:
        """A start that fails through its Deferred counts the same."""
        self.b.start = Deferred()
        self.service.startService()
        self.b.start.errback(Failure(RuntimeError("no disk")))
        self.assertEqual(self.failures[0][1], "b")
        self.assertNotIn("running", self.notes)

    def test_stop_during_start_waits_and_goes_no_further(self) -> None:
        """SIGTERM while the store opens: the open is awaited, the listener never starts."""
        self.b.start = Deferred()
        self.service.startService()
        done = self.service.stopService()
        self.assertNoResult(done)
        self.b.start.callback(None)
        self.successResultOf(done)
        self.assertEqual(self.notes, ["start a", "start b", "stop b", "stop a"])

    def test_stop_before_start_does_nothing(self) -> None:
        """Trap T4: a service that never started can be stopped."""
        self.successResultOf(self.service.stopService())
        self.assertEqual(self.notes, [])

    def test_a_failed_stop_is_logged_and_the_others_stop(self) -> None:
        """One part that cannot stop does not keep the store open."""
        self.b.stop = RuntimeError("stuck")
        self.service.startService()
        self.notes.clear()
        self.successResultOf(self.service.stopService())
        self.assertEqual(self.notes, ["stop c", "stop b", "stop a"])
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

# SPDX-License-Identifier: Apache-2.0
"""Long computations of sessions, run a few milliseconds at a time and fairly among all links."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import suppress
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import CooperativeTask, Cooperator, TaskDone, TaskFailed, TaskStopped
from twisted.python.failure import Failure

#: For how long all computations together may hold the reactor at a time.
SLICE_SECONDS: Final = 0.004


class ComputationQueue:
    """Runner of generators, one step of about a millisecond after the other."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._cooperator = Cooperator(
            terminationPredicateFactory=self._slice,
            # Other events of the reactor have their turn between two slices.
            scheduler=lambda work: clock.callLater(0.0, work),
        )

    def run(self, steps: Generator[None, None, object]) -> Deferred[object]:
        """Run a generator to its end, step by step; fire with what it returns.

        An exception of a step fails the Deferred.  Cancelling it stops the generator after a step.
        """
        results: list[object] = []

        def keep_result() -> Generator[None, None, None]:
            results.append((yield from steps))

        task = self._cooperator.cooperate(keep_result())
        done: Deferred[object] = Deferred(lambda _: _stop(task))

        def finished(_: object) -> None:
            done.callback(results[0])

        def failed(failure: Failure) -> None:
            # TaskStopped comes of a cancelled `done`, which has fired already.
            if failure.check(TaskStopped) is None:
                done.errback(failure)

        task.whenDone().addCallbacks(finished, failed)
        return done

    def _slice(self) -> Callable[[], bool]:
        end = self._clock.seconds() + SLICE_SECONDS
        return lambda: self._clock.seconds() >= end


def _stop(task: CooperativeTask[Any]) -> None:
    # The task may have ended by itself in the same moment.
    with suppress(TaskStopped, TaskFailed, TaskDone):
        task.stop()

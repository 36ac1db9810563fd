# SPDX-License-Identifier: Apache-2.0
"""Long computations of sessions, a few milliseconds at a time, fairly among all links."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import suppress
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import CooperativeTask, Cooperator, TaskDone, TaskFailed, TaskStopped
from twisted.python.failure import Failure

#: What all computations together may take of the reactor at a time.
SLICE_SECONDS: Final = 0.004


class ComputationQueue:
    """Runs generators to their end; a step of theirs takes about a millisecond."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._cooperator = Cooperator(
            terminationPredicateFactory=self._slice,
            # Between slices, whatever else waits has its turn.
            scheduler=lambda work: clock.callLater(0.0, work),
        )

    def run(self, steps: Generator[None, None, object]) -> Deferred[object]:
        """Fire with what the generator returns; cancelling ends it where it is."""
        results: list[object] = []

        def kept() -> Generator[None, None, None]:
            results.append((yield from steps))

        task = self._cooperator.cooperate(kept())
        done: Deferred[object] = Deferred(lambda _: _stop(task))

        def finished(_: object) -> None:
            done.callback(results[0])

        def failed(failure: Failure) -> None:
            # Stopping is the cancelling of `done`, which fires by itself.
            if failure.check(TaskStopped) is None:
                done.errback(failure)

        task.whenDone().addCallbacks(finished, failed)
        return done

    def _slice(self) -> Callable[[], bool]:
        end = self._clock.seconds() + SLICE_SECONDS
        return lambda: self._clock.seconds() >= end


def _stop(task: CooperativeTask[Any]) -> None:
    # It may have ended on its own in the same moment.
    with suppress(TaskStopped, TaskFailed, TaskDone):
        task.stop()

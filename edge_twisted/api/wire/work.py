# SPDX-License-Identifier: Apache-2.0
"""
A coroutine over Deferreds whose end nobody waits for.

What `Deferred.fromCoroutine` does, without the Deferred of its result and the bookkeeping around
it, which cost more than most requests take to answer.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure


class Work:
    """
    Runs its own coroutine `_run` from `start` on, which has to deal with its errors itself.

    `_broke` is told of what it lets through, but for the `CancelledError` of `cancel`.
    """

    __slots__ = ("_awaited", "_coroutine")

    def __init__(self) -> None:
        self._coroutine = self._run()
        self._awaited: Deferred[Any] | None = None

    def _run(self) -> Coroutine[Deferred[Any], Any, None]:
        raise NotImplementedError

    def _broke(self, failure: Failure) -> None:
        raise NotImplementedError

    def start(self) -> None:
        """Run to the end, or to the first thing that is not here yet."""
        self._step(None)

    def cancel(self) -> None:
        """Cancel what it waits for, if it does."""
        if self._awaited is not None:
            self._awaited.cancel()

    def _resume(self, result: object) -> None:
        self._awaited = None
        # Awaiting, a Deferred hands its result on itself.
        self._step(result if isinstance(result, Failure) else None)

    def _step(self, failure: Failure | None) -> None:
        try:
            if failure is None:
                awaited = self._coroutine.send(None)
            else:
                awaited = failure.throwExceptionIntoGenerator(self._coroutine)
        except (StopIteration, CancelledError):
            return
        except Exception:
            self._broke(Failure())
            return
        self._awaited = awaited
        awaited.addBoth(self._resume)

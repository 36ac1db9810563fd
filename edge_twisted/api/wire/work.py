# SPDX-License-Identifier: Apache-2.0
"""
A coroutine over Deferreds whose result is not awaited.

It does what `Deferred.fromCoroutine` does, without a Deferred for the result: that Deferred and
its bookkeeping cost more time than answering most requests.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure


class Work:
    """
    Runs its coroutine `_run` from `start` on; `_run` handles its own errors.

    `_broke` is called with any error that `_run` raises, except the `CancelledError` of `cancel`.
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
        """Run the coroutine to its end, or until the first Deferred that has not fired."""
        self._step(None)

    def cancel(self) -> None:
        """Cancel the Deferred that the coroutine waits for, if any."""
        if self._awaited is not None:
            self._awaited.cancel()

    def _resume(self, result: object) -> None:
        self._awaited = None
        # The coroutine takes a result from the Deferred itself; only failures are thrown into it.
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

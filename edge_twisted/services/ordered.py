# SPDX-License-Identifier: Apache-2.0
"""
A service that starts its parts in order and stops them in reverse, each awaited.

Twisted's `MultiService` starts all children at once and waits for none, so requests could reach a
store that is still opening on its thread.  The idea is that of Buildbot's ``AsyncMultiService``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twisted.application.service import IService, Service
from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

log = Logger()


class OrderedService(Service):
    """
    Starts `parts` in order and stops them in reverse; waits for each before the next.

    If a part fails to start, that part and the parts before it are stopped; then `on_failure` is
    called once, with the failure and the part's name.  If a part fails to stop, the failure is
    logged and the other parts stop all the same.  `on_running` is called when all have started.
    """

    def __init__(
        self,
        parts: Sequence[IService],
        on_failure: Callable[[Failure, str], None],
        on_running: Callable[[], None] = lambda: None,
    ) -> None:
        #: What starts, in order.
        self.parts = tuple(parts)
        self._on_failure = on_failure
        self._on_running = on_running
        self._started: list[IService] = []
        self._starting: Deferred[None] = succeed(None)

    # -- IService

    def startService(self) -> None:
        """Begin to start the parts in order; returns at once, and `on_running` follows."""
        super().startService()
        self._starting = Deferred.fromCoroutine(self._start())

    def stopService(self) -> Deferred[None]:
        """Stop the parts in reverse order; fire when all have stopped."""
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    # -- inner

    async def _start(self) -> None:
        for part in self.parts:
            if not self.running:
                return
            try:
                # Noted before the start, so that a part that fails half-way is stopped too.
                self._started.append(part)
                await _awaited(part.startService())
            except Exception:
                failure = Failure()
                await self._stop_started()
                self._on_failure(failure, name_of(part))
                return
        if self.running:
            self._on_running()

    async def _stop(self) -> None:
        # A start in progress ends after its current part, when it sees that `running` is False.
        await self._starting
        await self._stop_started()

    async def _stop_started(self) -> None:
        while self._started:
            part = self._started.pop()
            try:
                await _awaited(part.stopService())
            except Exception:
                log.failure("Stopping {part} failed", part=name_of(part))


def name_of(part: IService) -> str:
    """Return the name of a part for messages: its `name`, else the name of its class."""
    return str(getattr(part, "name", None) or type(part).__name__)


async def _awaited(result: object) -> None:
    if isinstance(result, Deferred):
        await result

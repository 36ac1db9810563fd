# SPDX-License-Identifier: Apache-2.0
"""
A service whose children start one after another and stop in reverse, each awaited.

Twisted's `MultiService` calls all of its children at once and waits for none at start; a store
that opens in a thread would then meet its first request before it is open.  (After the idea of
Buildbot's ``AsyncMultiService``.)
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
    Starts `parts` in order, each awaited; stops those that started in reverse, each awaited.

    A part whose start fails stops the parts before it, and then `on_failure` is called once with
    the failure and the part's name.  A part whose stop fails is logged and does not keep the
    others from stopping.
    """

    def __init__(
        self,
        parts: Sequence[IService],
        on_failure: Callable[[Failure, str], None],
        on_running: Callable[[], None] = lambda: None,
    ) -> None:
        self._parts = tuple(parts)
        self._on_failure = on_failure
        self._on_running = on_running
        self._started: list[IService] = []
        self._starting: Deferred[None] = succeed(None)

    # -- IService

    def startService(self) -> None:
        super().startService()
        self._starting = Deferred.fromCoroutine(self._start())

    def stopService(self) -> Deferred[None]:
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    # -- inner

    async def _start(self) -> None:
        for part in self._parts:
            if not self.running:
                return
            try:
                # Counted as started before it has: a start that failed half-way is stopped too.
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
        # A start under way notices `running` after the part that it waits for.
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
    """Return the name of a part for messages: its `name`, else that of its class."""
    return str(getattr(part, "name", None) or type(part).__name__)


async def _awaited(result: object) -> None:
    if isinstance(result, Deferred):
        await result

# SPDX-License-Identifier: Apache-2.0
"""Housekeeping on a clock: has old tombstones reaped, and unnamed blobs collected."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from attrs import frozen
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from edge_twisted.store.interface import Store

log = Logger()

_HOUR_MS = 3_600_000
_DAY_SECONDS = 86_400.0


@frozen(kw_only=True)
class Retention:
    """
    How long tombstones and unnamed blobs are kept, and how often they are looked for.

    The first four fields are the system parameters of the same names.
    """

    tombstone_ttl_enabled: bool = True
    tombstone_ttl_hours: int = 168
    days_between_reaping: float = 1.0
    #: Most tombstones in one run of the reaper.
    tombstone_reap_batch_size: int = 10_000
    #: Delay of the first run of the reaper and of the collector after the start.
    first_run_seconds: float = 60.0
    #: How long a blob is kept after it was found without mentions.
    attachment_grace_seconds: float = 600.0
    attachment_interval_seconds: float = 600.0


class Housekeeping:
    """
    Runs the reaper and the collector of an open store on a clock.

    `stop` it before the store is closed.
    """

    def __init__(
        self,
        store: Store,
        clock: IReactorTime,
        now_ms: Callable[[], int],
        retention: Retention | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._now_ms = now_ms
        self._retention = retention or Retention()
        self._timers: dict[str, IDelayedCall] = {}
        self._running: set[Deferred[None]] = set()
        self._started = False

    def start(self) -> None:
        """Start the clock of both jobs; they first run after `Retention.first_run_seconds`."""
        self._started = True
        first = self._retention.first_run_seconds
        self._again("reap", first, self.reap)
        self._again("collect", first, self.collect)

    async def stop(self) -> None:
        """
        Begin no more runs, and end those under way after their next small step.

        What they left undone is due again after the next start.
        """
        self._started = False
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        for run in tuple(self._running):
            run.cancel()
            await run

    @property
    def retention(self) -> Retention:
        """The retention in force; setting it also restarts the timers."""
        return self._retention

    @retention.setter
    def retention(self, retention: Retention) -> None:
        self._retention = retention
        if self._started:
            for timer in self._timers.values():
                timer.cancel()
            self._timers.clear()
            self.start()

    async def reap(self) -> int:
        """
        Run the reaper once: forget tombstones older than the retention; return how many.

        0 if `Retention.tombstone_ttl_enabled` is false.

        :raises StoreError: the store could not; some of them may be gone.
        """
        retention = self._retention
        if not retention.tombstone_ttl_enabled:
            return 0
        before = self._now_ms() - retention.tombstone_ttl_hours * _HOUR_MS
        count = await self._store.reap(before, retention.tombstone_reap_batch_size)
        if count:
            log.info("Reaped {count} tombstones.", count=count)
        return count

    async def collect(self) -> int:
        """
        Run the collector once: delete blobs unnamed for the grace time; return how many.

        :raises StoreError: the store could not; some of them may be gone.
        """
        count = await self._store.blobs.collect(self._retention.attachment_grace_seconds)
        if count:
            log.info("Collected {count} attachments.", count=count)
        return count

    def _again(
        self, name: str, seconds: float, job: Callable[[], Coroutine[Any, Any, int]]
    ) -> None:
        def run() -> None:
            del self._timers[name]
            running = Deferred.fromCoroutine(self._run(name, job))
            self._running.add(running)
            running.addBoth(lambda _: self._running.discard(running))

        if self._started:
            self._timers[name] = self._clock.callLater(seconds, run)

    async def _run(self, name: str, job: Callable[[], Coroutine[Any, Any, int]]) -> None:
        try:
            count = await job()
        except CancelledError:
            return
        except Exception:  # the boundary of a timer
            count = 0
            log.failure("Housekeeping failed: {job}", job=name)
        self._again(name, self._interval(name, count), job)

    def _interval(self, name: str, count: int) -> float:
        retention = self._retention
        if name == "collect":
            return retention.attachment_interval_seconds
        if count >= retention.tombstone_reap_batch_size:
            # More old tombstones wait: run again soon, not after a day.
            return retention.first_run_seconds
        return retention.days_between_reaping * _DAY_SECONDS

# SPDX-License-Identifier: Apache-2.0
"""The lag of the reactor: how late its timers are called, because something blocked it."""

from __future__ import annotations

from collections.abc import Callable

from twisted.application.internet import TimerService
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

log = Logger()

INTERVAL_SECONDS = 0.5
#: A longer lag is logged; everything that runs on the reactor aims at 10 ms.
WARN_SECONDS = 0.25


class LagMeter(TimerService):
    """Measures the lag twice a second, hands it to `observe` in seconds, and logs long ones."""

    name = "reactor lag"

    def __init__(self, clock: IReactorTime, observe: Callable[[float], None]) -> None:
        super().__init__(INTERVAL_SECONDS, self._measure)
        self.clock = clock
        self._now = clock.seconds
        self._observe = observe
        self._due: float | None = None

    def startService(self) -> None:
        """Begin to measure; the first look has nothing to compare with."""
        self._due = None
        super().startService()

    def _measure(self) -> None:
        now = self._now()
        if self._due is not None:
            lag = max(0.0, now - self._due)
            self._observe(lag)
            if lag > WARN_SECONDS:
                log.warn("The reactor was blocked for {lag_seconds:.3f} s", lag_seconds=lag)
        self._due = now + INTERVAL_SECONDS

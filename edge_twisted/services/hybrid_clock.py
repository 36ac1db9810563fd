# SPDX-License-Identifier: Apache-2.0
"""
Says that the hybrid clock is ahead of the machine's clock, by how much, and until when.

That is so after the machine's clock was ahead and was set right, or after documents came from a
server to which that happened (`edge_twisted.documents.clock`).  It is also so while the machine's
clock is behind, which looks the same from here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Final

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from edge_twisted.api.health import Trouble
from edge_twisted.documents.clock import MAX_AHEAD_MS, ahead_ms, milliseconds
from edge_twisted.store.interface import Store

log = Logger()

#: How often the two clocks are compared.
LOOK_SECONDS: Final = 60.0
#: How often it is said again in the log.
REMIND_SECONDS: Final = 86_400.0


class HybridClockWatch:
    """
    Compares the hybrid clock of an open store with the wall clock, from `start` to `stop`.

    A clock that is ahead by no more than peers take undeclared (`MAX_AHEAD_MS`) is not mentioned.

    :param now_ms: the wall clock.
    """

    def __init__(self, store: Store, clock: IReactorTime, now_ms: Callable[[], int]) -> None:
        self._store = store
        self._clock = clock
        self._now_ms = now_ms
        self._call = LoopingCall(self._look)
        self._call.clock = clock
        #: When it was last said that the hybrid clock is ahead, in seconds of `clock`.
        self._said_at: float | None = None

    def start(self) -> None:
        """Begin to compare the clocks every `LOOK_SECONDS`; the store is open."""
        self._call.start(LOOK_SECONDS)

    def stop(self) -> None:
        """Stop comparing; the store may be closed afterwards."""
        if self._call.running:
            self._call.stop()

    @property
    def ahead_seconds(self) -> float:
        """By how many seconds the hybrid clock is ahead; 0 if it is not."""
        return ahead_ms(self._store.hybrid_time, self._now_ms()) / 1000

    def troubles(self) -> Iterator[Trouble]:
        """Yield one fault while the hybrid clock is ahead of the wall clock; else none."""
        if self._is_ahead:
            yield Trouble("clock_ahead", self._text)

    # -- inner

    @property
    def _is_ahead(self) -> bool:
        return self.ahead_seconds * 1000 > MAX_AHEAD_MS

    @property
    def _text(self) -> str:
        until = milliseconds(self._store.hybrid_time) / 1000
        return (
            f"the hybrid clock is {self.ahead_seconds:.0f} s ahead of this machine's clock, until"
            f" {_date(until)}: this clock or a peer's was ahead, or this clock is behind now"
        )

    def _look(self) -> None:
        now = self._clock.seconds()
        if not self._is_ahead:
            if self._said_at is not None:
                log.info("The hybrid clock is not ahead of this machine's clock any more")
            self._said_at = None
        elif self._said_at is None or now - self._said_at >= REMIND_SECONDS:
            self._said_at = now
            log.warn("Writes go on with the logical part of the clock: {what}", what=self._text)


def _date(seconds: float) -> str:
    """Return a time as text; the highest date for one beyond the calendar."""
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
    except (OverflowError, ValueError, OSError):
        return datetime.max.replace(tzinfo=UTC).isoformat(timespec="seconds")

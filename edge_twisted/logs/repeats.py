# SPDX-License-Identifier: Apache-2.0
"""
What is said again and again: a line in full, then at most one in `INTERVAL_SECONDS` for each kind.

An event names its kind in the field `fields.REPEATS`.  The first of a kind is a line at once.
Those that follow within the interval are counted; at its end the last of them is a line, with the
number of the others in `fields.LEFT_OUT`.  So a flood costs a few lines, and its end is told too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from attrs import define
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import LogEvent

from edge_twisted.logs.fields import LEFT_OUT

INTERVAL_SECONDS: Final = 10.0


@define
class _Interval:
    """What came of one kind since its last line."""

    call: IDelayedCall
    last: LogEvent | None = None
    count: int = 0


class Repeats:
    """
    Decides which events are lines.  For the reactor thread.

    `tell` gets what is a line later than its event came.  Kinds come from code, so they are few.
    """

    def __init__(self, clock: IReactorTime, tell: Callable[[LogEvent], None]) -> None:
        self._clock = clock
        self._tell = tell
        self._intervals: dict[str, _Interval] = {}
        self._is_stopped = False

    def is_line(self, kind: str, event: LogEvent) -> bool:
        """Tell whether an event is a line at once; else it is counted."""
        if self._is_stopped:
            return True
        interval = self._intervals.get(kind)
        if interval is None:
            self._begin(kind)
            return True
        interval.last = event
        interval.count += 1
        return False

    def stop(self) -> None:
        """Tell of what was counted, and count no more: the last lines of a server are few."""
        self._is_stopped = True
        intervals, self._intervals = self._intervals, {}
        for interval in intervals.values():
            interval.call.cancel()
            self._tell_of(interval)

    # -- inner

    def _begin(self, kind: str) -> None:
        call = self._clock.callLater(INTERVAL_SECONDS, self._end, kind)
        self._intervals[kind] = _Interval(call)

    def _end(self, kind: str) -> None:
        interval = self._intervals.pop(kind)
        if interval.count:
            # Before the line, which may be the reason for another of its kind.
            self._begin(kind)
        self._tell_of(interval)

    def _tell_of(self, interval: _Interval) -> None:
        if interval.last is None:
            return
        others = interval.count - 1
        self._tell({**interval.last, LEFT_OUT: others} if others else interval.last)

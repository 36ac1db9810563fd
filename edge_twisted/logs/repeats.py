# SPDX-License-Identifier: Apache-2.0
"""
Limits repeated events: at most one line in `INTERVAL_SECONDS` for each kind of event.

An event names its kind in the field `fields.REPEATS`.  The first event of a kind is logged at once.
Events that follow within the interval are counted; at its end the last of them is logged, with the
number of the others in `fields.LEFT_OUT`.  So a flood costs a few lines, and its end is logged
too.
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
    """Events of one kind since its last line."""

    call: IDelayedCall
    last: LogEvent | None = None
    count: int = 0


class Repeats:
    """
    Decides which events are logged.  For the reactor thread.

    `tell` is called with events that are logged at the end of an interval.  Kinds come from code,
    so they are few.
    """

    def __init__(self, clock: IReactorTime, tell: Callable[[LogEvent], None]) -> None:
        self._clock = clock
        self._tell = tell
        self._intervals: dict[str, _Interval] = {}
        self._is_stopped = False

    def is_line(self, kind: str, event: LogEvent) -> bool:
        """
        Return whether to log an event at once; if not, count it for the line that sums up.

        :param kind: what events must have in common to count as repeats of each other.
        """
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
        """Log the counted events, and let every later event be logged at once."""
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
            # Before `_tell_of`, whose line may cause another event of this kind.
            self._begin(kind)
        self._tell_of(interval)

    def _tell_of(self, interval: _Interval) -> None:
        if interval.last is None:
            return
        others = interval.count - 1
        self._tell({**interval.last, LEFT_OUT: others} if others else interval.last)

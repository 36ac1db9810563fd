# SPDX-License-Identifier: Apache-2.0
"""
The observer of ``twisted.logger``: renders each event once for all outputs.

Events may come from any thread and are rendered there, because their values may change afterwards;
outputs get lines on the reactor thread only.  A failing output does not affect the others.  An
event that an output logs while it takes a line is delivered after that line, so that no output is
entered twice.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from functools import partial
from typing import Final, Protocol, cast

from attrs import frozen
from twisted.logger import ILogObserver, LogEvent, Logger
from twisted.python import threadable
from twisted.python.failure import Failure
from zope.interface import implementer

from edge_twisted.logs.accept_events import reworded
from edge_twisted.logs.fields import REPEATS
from edge_twisted.logs.levels import Part, part_of, rank_and_name
from edge_twisted.logs.lines import Line
from edge_twisted.logs.redaction import Redactor

#: Calls a function on the reactor thread, soon.
CallFromThread = Callable[[Callable[[], None]], object]

#: Most lines that outputs may log about one line, so that they cannot loop forever.
MAX_LINES_ABOUT_A_LINE: Final = 100

_NEVER: Final = 1000

#: Tells whether an event of a kind is a line at once; see `repeats.Repeats.is_line`.
IsLine = Callable[[str, LogEvent], bool]


class Output(Protocol):
    """Receiver of lines, each with its line end, on the reactor thread."""

    def write(self, line: bytes) -> None:
        """
        Take the bytes of one line, its newline included.

        After an exception the line is lost to this output; the other outputs log that.
        """


class Spelling(Enum):
    """Form of lines for an output."""

    JSON = "json"
    TEXT = "text"
    COLOURED = "coloured"


@frozen(kw_only=True, eq=False)
class OutputRoute:
    """An output, its spelling, and the lowest rank for each part; no rank means no lines."""

    name: str
    output: Output
    ranks: Mapping[Part, int]
    spelling: Spelling = Spelling.JSON

    def wants(self, part: Part, rank: int) -> bool:
        """Return whether the output gets lines of this part, with a level of this rank."""
        return rank >= self.ranks.get(part, _NEVER)


def on_reactor_thread() -> bool:
    """Return whether the caller is on the reactor thread, or the reactor has not started."""
    reactor_thread = cast("int | None", threadable.ioThread)
    return reactor_thread is None or bool(threadable.isInIOThread())


@implementer(ILogObserver)
class LogRouter:
    """Observes ``twisted.logger`` and feeds the outputs."""

    def __init__(
        self,
        redactor: Redactor,
        *,
        call_from_thread: CallFromThread,
        on_reactor_thread: Callable[[], bool] = on_reactor_thread,
    ) -> None:
        self._redactor = redactor
        self._call_from_thread = call_from_thread
        self._on_reactor_thread = on_reactor_thread
        self._waiting: deque[list[tuple[OutputRoute, bytes]]] = deque()
        self._delivering = False
        self._broken: set[str] = set()
        #: Called on the reactor thread for events that name their kind.
        self.is_line: IsLine = lambda *_: True
        self.use(())

    def use(self, routes: Sequence[OutputRoute]) -> None:
        """Replace the routes: these outputs get all later lines, and no others do."""
        self._routes = tuple(routes)
        self._floors = {
            part: min((route.ranks.get(part, _NEVER) for route in routes), default=_NEVER)
            for part in Part
        }

    # -- ILogObserver

    def __call__(self, event: LogEvent) -> None:
        said = reworded(event)
        if said is None:
            return
        kind = said.get(REPEATS)
        if kind is None or not self._is_wanted(said):
            self.observe(said)
        elif self._on_reactor_thread():
            self._observe_kind(kind, said)
        else:
            self._call_from_thread(partial(self._observe_kind, kind, said))

    def observe(self, event: LogEvent) -> None:
        """Write an event to the outputs without limiting repeats (`is_line`)."""
        self._observe(event)

    # -- inner

    def _observe_kind(self, kind: str, event: LogEvent) -> None:
        if self.is_line(kind, event):
            self._observe(event)

    def _is_wanted(self, event: LogEvent) -> bool:
        rank, _ = rank_and_name(event)
        return rank >= self._floors[part_of(event.get("log_namespace") or "")]

    def _observe(self, event: LogEvent, without: OutputRoute | None = None) -> None:
        rank, level = rank_and_name(event)
        part = part_of(event.get("log_namespace") or "")
        if rank < self._floors[part]:
            return
        routes = [each for each in self._routes if each.wants(part, rank) and each is not without]
        line = self._line(event, level)
        delivery = [(route, _spelled(line, route.spelling)) for route in routes]
        if self._on_reactor_thread():
            self._deliver(delivery)
        else:
            self._call_from_thread(partial(self._deliver, delivery))

    def _line(self, event: LogEvent, level: str) -> Line:
        try:
            return Line(event, level, self._redactor)
        except Exception:
            # No other observer could log this failure, so its line replaces the event's.
            instead = {
                "log_format": "An event of {log_namespace} could not be rendered",
                "log_namespace": event.get("log_namespace"),
                "log_time": event.get("log_time"),
                "log_failure": Failure(),
            }
            return Line(instead, level, self._redactor)

    def _deliver(self, delivery: list[tuple[OutputRoute, bytes]]) -> None:
        self._waiting.append(delivery)
        if self._delivering:
            return
        self._delivering = True
        try:
            for _ in range(MAX_LINES_ABOUT_A_LINE):
                for route, line in self._waiting.popleft():
                    self._give(route, line)
                if not self._waiting:
                    return
            self._waiting.clear()
        finally:
            self._delivering = False

    def _give(self, route: OutputRoute, line: bytes) -> None:
        try:
            route.output.write(line)
        except Exception:
            # Logged once, by the other outputs, until this one works again.
            if route.name not in self._broken:
                self._broken.add(route.name)
                self._tell_others(route)
        else:
            self._broken.discard(route.name)

    def _tell_others(self, broken: OutputRoute) -> None:
        def observe(event: LogEvent) -> None:
            self._observe(event, without=broken)

        others = Logger(namespace=__name__, observer=_AsObserver(observe))
        others.failure("The log output {output} failed and lost a line", output=broken.name)


@implementer(ILogObserver)
@frozen
class _AsObserver:
    """Adapts a function to `ILogObserver`."""

    observe: Callable[[LogEvent], None]

    def __call__(self, event: LogEvent) -> None:
        self.observe(event)


def _spelled(line: Line, spelling: Spelling) -> bytes:
    if spelling is Spelling.JSON:
        return line.json
    return line.text(colour=spelling is Spelling.COLOURED)

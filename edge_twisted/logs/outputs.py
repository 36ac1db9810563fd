# SPDX-License-Identifier: Apache-2.0
"""Makes the outputs of a configuration, and the routes of lines to them."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Mapping
from typing import Final, Literal

from attrs import field, frozen
from twisted.internet.interfaces import IReactorTime

from edge_twisted.config.model import Logging
from edge_twisted.logs.console import Console, DescriptorStream, OutputStream
from edge_twisted.logs.levels import DEBUG_RANK, RANK, Part
from edge_twisted.logs.router import Output, OutputRoute, Spelling

#: Lines of the edge server kept for ``GET /logs`` when there are no rotating logs.
EDGE_BUFFER_BYTES: Final = 1024 * 1024
#: Lines of store, query and mesh kept for ``GET /logs``, at level debug.
DATA_BUFFER_BYTES: Final = 1024 * 1024


@frozen(kw_only=True)
class StandardStreams:
    """The standard streams, and the environment that decides on colours."""

    out: OutputStream = field(factory=lambda: DescriptorStream(1))
    err: OutputStream = field(factory=lambda: DescriptorStream(2))
    environ: Mapping[str, str] = field(factory=lambda: os.environ)

    def spelling(self, stream: OutputStream, chosen: Literal["text", "json"] | None) -> Spelling:
        """
        Return how to spell lines on `stream`: as JSON, as text, or as text with colours.

        :param chosen: what the configuration wants; None is text on a terminal, JSON elsewhere.
        """
        is_terminal = stream.is_terminal()
        if chosen == "json" or (chosen is None and not is_terminal):
            return Spelling.JSON
        # https://no-color.org: any value but an empty one counts.
        has_colours = is_terminal and not self.environ.get("NO_COLOR")
        return Spelling.COLOURED if has_colours else Spelling.TEXT


class LineBuffer:
    """Keeps the newest lines for ``GET /logs``, at most `max_bytes` of them."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._lines: deque[bytes] = deque()
        self._size = 0

    def write(self, line: bytes) -> None:
        """Keep the bytes of one line, and drop the oldest lines that have no room beside it."""
        self._lines.append(line)
        self._size += len(line)
        while self._size > self._max_bytes:
            self._size -= len(self._lines.popleft())

    def content(self) -> bytes:
        """Return the bytes of all lines that are kept, the oldest first."""
        return b"".join(self._lines)


class Outputs:
    """All outputs of one `Logging`; the service opens and closes their files."""

    def __init__(
        self,
        logging: Logging,
        clock: IReactorTime,
        streams: StandardStreams,
        rotating: Output | None,
    ) -> None:
        self._logging = logging
        self._streams = streams
        self.data_buffer = LineBuffer(DATA_BUFFER_BYTES)
        #: The last lines of the edge server; used if there is no `rotating`.
        self.edge_buffer = LineBuffer(EDGE_BUFFER_BYTES)
        self._kept = (
            ("rotating_logs", rotating) if rotating is not None else ("memory", self.edge_buffer)
        )
        self._err = Console("standard error", streams.err, clock)
        # One console per stream, because lines of two consoles could mix.
        same = logging.console == "std_err" or streams.out is streams.err
        self._edge = self._err if same else Console("standard output", streams.out, clock)

    def routes(self, logging: Logging) -> list[OutputRoute]:
        """Return a route for each output, with the levels of `logging`; its folders are ignored."""
        edge = {Part.EDGE_SERVER: RANK[logging.level]}
        data = {Part.DATA: RANK[logging.ditto_sdk]}
        routes = [
            OutputRoute(
                name="ditto_sdk buffer", output=self.data_buffer, ranks={Part.DATA: DEBUG_RANK}
            ),
            self._console_route(self._err, self._streams.err, data),
        ]
        if self._logging.console != "off":
            stream = self._streams.err if self._edge is self._err else self._streams.out
            routes.append(self._console_route(self._edge, stream, edge))
        name, output = self._kept
        routes.append(OutputRoute(name=name, output=output, ranks=edge | data))
        return routes

    def stop_consoles(self) -> None:
        """Write lines that wait for the consoles, as far as their streams take them."""
        self._edge.stop()
        self._err.stop()

    def _console_route(
        self, console: Console, stream: OutputStream, ranks: Mapping[Part, int]
    ) -> OutputRoute:
        spelling = self._streams.spelling(stream, self._logging.format)
        name = f"{console.name} ({'/'.join(part.value for part in ranks)})"
        return OutputRoute(name=name, output=console, ranks=ranks, spelling=spelling)

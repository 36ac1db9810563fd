# SPDX-License-Identifier: Apache-2.0
"""The side that is asked for the cells of its sketch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from edge_twisted.mesh.reconciliation.cells import CELL_BYTES
from edge_twisted.mesh.reconciliation.errors import MalformedReconciliation
from edge_twisted.mesh.reconciliation.rows import CellRows
from edge_twisted.mesh.reconciliation.sketch import Sketch
from edge_twisted.mesh.reconciliation.wire import SUMMARY_LEVEL, CellRequest

#: Requests of one reconciliation; a peer needs about ten, and each costs a pass over its parts.
MOST_REQUESTS: Final = 64


class CellSource:
    """
    Answers requests for the cells of a sketch.

    Requests name ever longer rows of ever fewer parts, and others are refused, so the work that a
    peer can cause is bounded.
    """

    def __init__(self, sketch: Sketch) -> None:
        self._sketch = sketch
        self._last: CellRequest | None = None
        self._rows: CellRows | None = None
        self._requests = 0

    def answer_in_steps(self, request: bytes) -> Iterator[bytes]:
        """Yield the encoded cells that answer a request, in pieces.

        Empty pieces stand between steps of work.

        :raises MalformedReconciliation: the request cannot come now: end the link.  It is raised by
            the call, not while iterating.
        """
        asked = CellRequest.decoded(request)
        self._check(asked)
        if self._rows is None:
            self._rows = CellRows(self._sketch, asked.level)
        self._last = asked
        self._requests += 1
        return self._cells(self._rows, asked)

    def answer(self, request: bytes) -> bytes:
        """Return the encoded cells that answer a request, at once.

        :raises MalformedReconciliation: the request cannot come now: end the link.
        """
        return b"".join(self.answer_in_steps(request))

    def _check(self, asked: CellRequest) -> None:
        last = self._last
        if self._requests >= MOST_REQUESTS:
            raise MalformedReconciliation("request", "beyond the last")
        if last is None:
            # The summary is cell 0 of its parts.
            if asked.start > (asked.level == SUMMARY_LEVEL):
                raise MalformedReconciliation("request", "that begins in the middle")
            return
        going_on = asked.level == last.level and asked.start == last.stop
        if not going_on or not set(asked.parts) <= set(last.parts):
            raise MalformedReconciliation("request", "that does not go on with the last")

    def _cells(self, rows: CellRows, asked: CellRequest) -> Iterator[bytes]:
        for step in rows.take_in_steps(asked.parts, asked.start, asked.stop):
            if step is None:
                yield b""
                continue
            yield b"".join(cell.to_bytes(CELL_BYTES, "little") for cell in step[1])

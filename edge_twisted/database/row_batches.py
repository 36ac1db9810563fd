# SPDX-License-Identifier: Apache-2.0
"""Streamed results: the batches of rows that follow the first one; warnings of a statement."""

from __future__ import annotations

from collections.abc import Callable

from attrs import define, field, frozen
from twisted.internet.defer import CancelledError, Deferred

from edge_twisted.dql.result import Result, Rows
from edge_twisted.store.interface import RowStream

#: Warnings that a result carries; further ones are only counted.
MAX_WARNINGS = 10


@define
class Warnings:
    """Collects the warnings of a statement."""

    shown: list[str] = field(factory=list)
    total: int = 0

    def add(self, text: str) -> None:
        """Add a warning; it is shown if it is among the first 10, and counted in any case."""
        self.total += 1
        if len(self.shown) < MAX_WARNINGS:
            self.shown.append(text)


@frozen
class RowBatch:
    """A batch of a streamed answer; `last` if no further batch follows."""

    rows: Rows
    last: bool


class RowBatches:
    """The batches of one SELECT after its first rows; see `edge_twisted.dql.result.Batches`."""

    def __init__(self, stream: RowStream[Result | RowBatch], give_up: Callable[[], None]) -> None:
        self._stream = stream
        #: Interrupts the statement on its thread; closing the stream only ends the store's reads.
        self._give_up = give_up
        self._is_over = False

    async def first(self) -> Result:
        """
        Return the result with its first rows; the stream is closed if these are all.

        Otherwise `Result.batches` is this object, from which the others come.

        :raises EdgeError: the statement failed; the stream is closed.
        """
        try:
            result = await self._stream.next()
        except BaseException:
            self._stream.close()
            raise
        assert isinstance(result, Result)
        if result.is_whole:
            self._stream.close()
        else:
            result.batches = self
        return result

    def next(self) -> Deferred[Rows | None]:
        """
        Fire with the next rows, with None at the end; one call at a time.

        :raises EdgeError: the statement failed; `close` in any case.
        """
        return Deferred.fromCoroutine(self._next())

    async def _next(self) -> Rows | None:
        if self._is_over:
            return None
        try:
            batch = await self._stream.next()
        except CancelledError:
            self._give_up()
            raise
        assert isinstance(batch, RowBatch)
        if batch.last:
            self._is_over = True
            self._stream.close()
        return batch.rows

    def close(self) -> None:
        """End the statement and release its snapshot; calling it again has no effect."""
        self._is_over = True
        self._give_up()
        self._stream.close()

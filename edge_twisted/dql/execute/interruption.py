# SPDX-License-Identifier: Apache-2.0
"""How a statement that runs is told to stop: its deadline passed, or its caller went away."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import ClassVar, Final, TypeVar

from edge_twisted.errors import EdgeError

Row = TypeVar("Row")

#: Rows between two looks at the clock: 64 rows of the slowest expression take about a millisecond.
ROWS_PER_CHECK: Final = 64


class StatementTimeout(EdgeError):
    """The statement took longer than it may; narrow it, add an index, or raise the limit."""

    code: ClassVar[str] = "statement_timeout"

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds

    def __str__(self) -> str:
        return f"the statement was stopped after {self.seconds:g} s"


class StatementCancelled(EdgeError):
    """The caller of the statement went away, or the server stops; nothing was changed."""

    code: ClassVar[str] = "statement_cancelled"

    def __str__(self) -> str:
        return "the statement was cancelled"


class Interruption:
    """
    Stops the rows of one statement.

    `cancel` may be called from any thread; `check` is called by the thread that computes rows.
    """

    def __init__(self, now: Callable[[], float], limit_seconds: float | None = None) -> None:
        self._now = now
        self._limit = limit_seconds
        self._deadline = None if limit_seconds is None else now() + limit_seconds
        self._cancelled = False

    def cancel(self) -> None:
        """Make the next check fail."""
        self._cancelled = True

    def check(self) -> None:
        """
        Return if the statement may go on.

        :raises StatementCancelled: after `cancel`.
        :raises StatementTimeout: after the deadline.
        """
        if self._cancelled:
            raise StatementCancelled
        if self._deadline is not None and self._now() > self._deadline:
            assert self._limit is not None
            raise StatementTimeout(self._limit)

    def watch(self, rows: Iterable[Row]) -> Iterator[Row]:
        """Yield ``rows``, checking before the first and every few."""
        self.check()
        left = ROWS_PER_CHECK
        for row in rows:
            left -= 1
            if not left:
                self.check()
                left = ROWS_PER_CHECK
            yield row

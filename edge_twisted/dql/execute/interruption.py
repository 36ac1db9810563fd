# SPDX-License-Identifier: Apache-2.0
"""How a statement that runs is told to stop: its deadline passed, or its caller went away."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import ClassVar, Final, TypeVar

from edge_twisted.errors import EdgeError

Row = TypeVar("Row")

#: Rows, or steps within a row, between two looks at the clock, where they are quick.
MOST_PER_LOOK: Final = 64
#: Where so many took longer than this, fewer do until the next look.
SLOW_SECONDS: Final = 0.004


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
        #: Of how many rows or steps the next look comes, how many of them are left, and when the
        #: last look was.  The first one or two may be slow, so they are looked at at once.
        self._pace = self._left = 1
        self._looked = 0.0

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

    def look(self) -> int:
        """
        Return after how many rows or steps to look again, by how long those before took.

        :raises StatementCancelled, StatementTimeout: see `check`.
        """
        if self._cancelled:
            raise StatementCancelled
        now = self._now()
        if self._deadline is not None and now > self._deadline:
            assert self._limit is not None
            raise StatementTimeout(self._limit)
        took, self._looked = now - self._looked, now
        if took <= SLOW_SECONDS:
            self._pace = min(2 * self._pace, MOST_PER_LOOK)
        else:
            self._pace = max(1, int(self._pace * SLOW_SECONDS / took))
        return self._pace

    def spend(self, steps: int) -> None:
        """Count steps of work within a row, looking at the clock every few."""
        self._left -= steps
        if self._left <= 0:
            self._left = self.look()

    def pause(self) -> float:
        """Return a mark for `resume`."""
        return self._now()

    def resume(self, paused: float) -> None:
        """Let the time since `pause` not count: somebody else was waited for."""
        if self._deadline is not None:
            self._deadline += self._now() - paused

    def watch(self, rows: Iterable[Row], most: int = MOST_PER_LOOK) -> Iterator[Row]:
        """Yield ``rows``, looking at the clock before the first and at most so many later."""
        left = min(self.look(), most)
        for row in rows:
            left -= 1
            if not left:
                left = min(self.look(), most)
            yield row


class BudgetExceeded(EdgeError):
    """An expression does more work on one document than whoever wrote it may ask for."""

    code: ClassVar[str] = "budget_exceeded"

    def __init__(self, steps: int) -> None:
        super().__init__(steps)
        self.steps = steps

    def __str__(self) -> str:
        return f"the condition takes more than {self.steps} steps on one document"


class Budget:
    """
    Ends work after so many steps, or after a time if a clock is given.

    For expressions that strangers wrote, evaluated where nothing else can stop them.
    """

    def __init__(
        self, steps: int, now: Callable[[], float] | None = None, limit_seconds: float = 0.0
    ) -> None:
        self._steps = steps
        self._left = steps
        self._now = now
        self._limit = limit_seconds
        self._deadline = now() + limit_seconds if now is not None else 0.0

    def spend(self, steps: int) -> None:
        """
        Count steps of work.

        :raises BudgetExceeded: there were too many.
        :raises StatementTimeout: the time is over.
        """
        self._left -= steps
        if self._left < 0:
            raise BudgetExceeded(self._steps)
        if self._now is not None and self._now() > self._deadline:
            raise StatementTimeout(self._limit)

# SPDX-License-Identifier: Apache-2.0
"""Interruption of a running statement: by its deadline, its caller, or a budget of steps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import ClassVar, Final, TypeVar

from edge_twisted.errors import Culprit, EdgeError

Row = TypeVar("Row")

#: The most rows, or steps within a row, between two checks of the clock.
MOST_PER_LOOK: Final = 64
#: Seconds between two checks above which the next check comes sooner.
SLOW_SECONDS: Final = 0.004


class StatementTimeout(EdgeError):
    """The statement took longer than it may; narrow it, add an index, or raise the limit."""

    code: ClassVar[str] = "statement_timeout"
    culprit = Culprit.CALLER

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds

    def __str__(self) -> str:
        return f"the statement was stopped after {self.seconds:g} s"


class StatementCancelled(EdgeError):
    """The caller of the statement went away, or the server stops; nothing was changed."""

    code: ClassVar[str] = "statement_cancelled"
    culprit = Culprit.NOBODY

    def __str__(self) -> str:
        return "the statement was cancelled"


class Interruption:
    """
    The stop signal and the deadline of one statement.

    `cancel` may be called from any thread; all else by the thread that computes the rows.
    """

    def __init__(self, now: Callable[[], float], limit_seconds: float | None = None) -> None:
        self._now = now
        self._limit = limit_seconds
        self._deadline = None if limit_seconds is None else now() + limit_seconds
        self._cancelled = False
        #: Rows or steps between two checks, those left until the next check, and the time of the
        #: last check.  It begins with 1, because already the first rows may be slow.
        self._pace = self._left = 1
        self._looked = 0.0

    def cancel(self) -> None:
        """Make the next check raise `StatementCancelled`; may be called from any thread."""
        self._cancelled = True

    def check(self) -> None:
        """
        Return if the statement may continue, else raise.

        :raises StatementCancelled: `cancel` was called; end the statement.
        :raises StatementTimeout: the deadline has passed; end the statement.
        """
        if self._cancelled:
            raise StatementCancelled
        if self._deadline is not None and self._now() > self._deadline:
            assert self._limit is not None
            raise StatementTimeout(self._limit)

    def look(self) -> int:
        """
        Check, and return the number of rows or steps to do before the next check.

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
        """
        Count steps of work within a row, and check the clock when enough have passed.

        :raises StatementCancelled, StatementTimeout: see `check`.
        """
        self._left -= steps
        if self._left <= 0:
            self._left = self.look()

    def pause(self) -> float:
        """Return the time, in monotonic seconds, to be given to `resume`."""
        return self._now()

    def resume(self, paused: float) -> None:
        """
        Extend the deadline by the time since `pause`, in which the statement only waited.

        :param paused: what `pause` returned, in monotonic seconds.
        """
        if self._deadline is not None:
            self._deadline += self._now() - paused

    def watch(self, rows: Iterable[Row], most: int = MOST_PER_LOOK) -> Iterator[Row]:
        """
        Yield ``rows``, checking the clock before the first and then at least every ``most``.

        :raises StatementCancelled, StatementTimeout: see `check`.
        """
        left = min(self.look(), most)
        for row in rows:
            left -= 1
            if not left:
                left = min(self.look(), most)
            yield row


class BudgetExceeded(EdgeError):
    """An expression needs more steps on one document than are allowed: simplify it."""

    code: ClassVar[str] = "budget_exceeded"
    culprit = Culprit.CALLER

    def __init__(self, steps: int) -> None:
        super().__init__(steps)
        self.steps = steps

    def __str__(self) -> str:
        return f"the condition takes more than {self.steps} steps on one document"


class Budget:
    """
    A limit of steps, and of time if a clock is given, for the evaluation of one expression.

    It guards expressions from peers, which are evaluated where nothing else can stop them.
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

        :raises BudgetExceeded: all steps together exceed the limit; end the work.
        :raises StatementTimeout: the time is over; end the work.
        """
        self._left -= steps
        if self._left < 0:
            raise BudgetExceeded(self._steps)
        if self._now is not None and self._now() > self._deadline:
            raise StatementTimeout(self._limit)

# SPDX-License-Identifier: Apache-2.0
"""
Step meters: the rows in and out of each step of a plan, and where its time went.

A step is an iterator over the step below it.  Its own time is the time until a row came out of it,
less the time until that row came out of the step below.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import ClassVar, Final, Protocol, TypeVar

from attrs import define, field

Row = TypeVar("Row")


class StepObserver(Protocol):
    """An observer that is given each step as a plan is put together, the lowest first."""

    @property
    def of_visible(self) -> bool:
        """Whether rows that the caller may not see must not be measured either."""

    def step(self, name: str, rows: Iterable[Row]) -> Iterator[Row]:
        """
        Return the rows of a step, counted or timed as they are read.

        :param name: the name of the step, as `QueryPlan.steps` has it.
        """


class NullMeter:
    """A meter that measures nothing, at no cost for each row."""

    of_visible: Final = False

    def step(self, name: str, rows: Iterable[Row]) -> Iterator[Row]:
        """Return the rows as they are, without measuring."""
        return iter(rows)


NO_METER: Final = NullMeter()


@define
class Step:
    """The figures of a step; times in nanoseconds."""

    rows: int = 0
    #: Time until rows came out, including the steps below.
    total: int = 0
    #: Time in which the steps above worked on rows.
    send: int = 0


@define
class RowCounter:
    """A meter of visible rows without times, from which hidden rows could be inferred."""

    of_visible: ClassVar[bool] = True
    steps: dict[str, Step] = field(factory=dict)

    def step(self, name: str, rows: Iterable[Row]) -> Iterator[Row]:
        """Return the rows of a step, counted as they are read."""
        found = self.steps[name] = Step()
        return self._count(found, rows)

    def _count(self, step: Step, rows: Iterable[Row]) -> Iterator[Row]:
        for row in rows:
            step.rows += 1
            yield row

    def stats(self) -> dict[str, dict[str, object]]:
        """Return for each step by name ``{"documentsIn": rows, "documentsOut": rows}``."""
        found: dict[str, dict[str, object]] = {}
        below: Step | None = None
        for name, step in self.steps.items():
            read = step if below is None else below
            found[name] = {"documentsIn": read.rows, "documentsOut": step.rows}
            below = step
        return found


@define
class StepMeter:
    """A meter of rows and times; `now` returns nanoseconds."""

    of_visible: ClassVar[bool] = False
    now: Callable[[], int]
    steps: dict[str, Step] = field(factory=dict)

    def step(self, name: str, rows: Iterable[Row]) -> Iterator[Row]:
        """Return the rows of a step, counted and timed as they are read."""
        found = self.steps[name] = Step()
        return self._measure(found, rows)

    def _measure(self, step: Step, rows: Iterable[Row]) -> Iterator[Row]:
        now = self.now
        begun = now()
        for row in rows:
            ready = now()
            step.rows += 1
            step.total += ready - begun
            yield row
            begun = now()
            step.send += begun - ready
        step.total += now() - begun

    def stats(self) -> dict[str, dict[str, object]]:
        """
        Return for each step by name its ``#stats``, as PROFILE shows them.

        They are ``documentsIn``, ``documentsOut`` and ``phaseTimes``: phase -> nanoseconds.  The
        store is a part of the step ``access``.
        """
        found: dict[str, dict[str, object]] = {}
        below = Step()
        for name, step in self.steps.items():
            is_store = below is self.steps.get("store")
            times = {
                "exec": max(0, step.total - below.total),
                "recv": 0 if is_store else below.total,
                "send": step.send,
                "stor": below.total if is_store else 0,
            }
            found[name] = {
                "documentsIn": below.rows if below.rows or name != "access" else step.rows,
                "documentsOut": step.rows,
                "phaseTimes": times,
            }
            below = step
        return found

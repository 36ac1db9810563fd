# SPDX-License-Identifier: Apache-2.0
"""
Aggregates: accumulators that take one value per row and answer at the end.

All ignore NULL and MISSING.  Of no values COUNT is 0, and the others are MISSING.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from math import fsum, inf, isfinite, nan
from typing import Final, Protocol

from attrs import define, field

from edge_twisted.documents.progress import sort_positions
from edge_twisted.documents.values import MISSING, Operand, canonical
from edge_twisted.dql.operators.arithmetic import INTEGER_MAX, INTEGER_MIN
from edge_twisted.dql.operators.comparison import precedes

#: Floats that a sum keeps before it adds them up: few roundings, bounded memory.
_FLOATS_KEPT: Final = 4096

#: Keeps the partial sums of that many floats from overflowing; a power of two loses nothing.
_SMALL: Final = 2.0**-64


class Accumulator(Protocol):
    """The aggregate of one group of rows."""

    def add(self, value: Operand) -> None:
        """Take the value of one more row; NULL and MISSING count only for COUNT(*)."""

    def result(self) -> Operand:
        """Return the aggregate of all the values so far."""


@define
class CountRows:
    """``COUNT(*)``."""

    _count: int = 0

    def add(self, value: Operand) -> None:
        """Count a row, whatever its value."""
        self._count += 1

    def result(self) -> Operand:
        """Return the number of rows."""
        return self._count


@define
class Count:
    """``COUNT(e)``: the rows where e is neither NULL, nor MISSING, nor FALSE."""

    _count: int = 0

    def add(self, value: Operand) -> None:
        """Count a value, unless it is NULL, MISSING or FALSE."""
        if value is not None and value is not MISSING and value is not False:
            self._count += 1

    def result(self) -> Operand:
        """Return the number of values that were counted."""
        return self._count


@define
class Sum:
    """``SUM(e)`` of the numbers: exact between integers, a float once there is a float."""

    _count: int = 0
    _integers: int = 0
    _floats: list[float] = field(factory=list)

    def add(self, value: Operand) -> None:
        """Add a number; a value that is no number is ignored."""
        if type(value) is int:
            self._integers += value
        elif type(value) is float:
            self._floats.append(value)
            if len(self._floats) > _FLOATS_KEPT:
                self._floats = [_exact_sum(self._floats)]
        else:
            return
        self._count += 1

    def result(self) -> Operand:
        """Return the sum; MISSING of no numbers, NULL beyond floats."""
        if not self._count:
            return MISSING
        total = self._total()
        return total if isfinite(total) else None

    def _total(self) -> float:
        if self._floats:
            return _exact_sum([*self._floats, self._integers])
        if INTEGER_MIN <= self._integers <= INTEGER_MAX:
            return self._integers
        return float(self._integers)


@define
class Average(Sum):
    """``AVG(e)`` of the numbers, a float."""

    def result(self) -> Operand:
        """Return the mean as a float; MISSING of no numbers, NULL beyond floats."""
        if not self._count:
            return MISSING
        if not self._floats:
            return self._integers / self._count
        numbers = [*self._floats, self._integers]
        mean = _exact_sum(numbers) / self._count
        if not isfinite(mean):
            mean = _exact_sum([number / self._count for number in numbers])
        return mean if isfinite(mean) else None


def _exact_sum(numbers: Sequence[float]) -> float:
    """Return the sum, rounded once (Shewchuk), or infinity or NaN."""
    try:
        return fsum(numbers)
    except OverflowError:
        # A partial sum is beyond floats, which the whole need not be.
        return fsum([number * _SMALL for number in numbers]) / _SMALL
    except ValueError:
        # Infinities of both signs, from sums before this one.
        return nan


@define
class Minimum:
    """``MIN(e)`` in the order of types and values."""

    _best: Operand = MISSING

    def add(self, value: Operand) -> None:
        """Take a value of any type but NULL and MISSING."""
        if value is None or value is MISSING:
            return
        if self._best is MISSING or precedes(value, self._best):
            self._best = value

    def result(self) -> Operand:
        """Return the first value in the total order of all values; MISSING of none."""
        return self._best


@define
class Maximum(Minimum):
    """``MAX(e)`` in the order of types and values."""

    def add(self, value: Operand) -> None:
        """Take a value of any type but NULL and MISSING."""
        if value is None or value is MISSING:
            return
        if self._best is MISSING or precedes(self._best, value):
            self._best = value


@define
class Median:
    """``MEDIAN(e)`` of the numbers, a float: the lower one of two in the middle."""

    _numbers: list[float] = field(factory=list)

    def add(self, value: Operand) -> None:
        """Keep a number; a value that is no number is ignored."""
        if type(value) is int or type(value) is float:
            self._numbers.append(value)

    def result(self) -> Operand:
        """Return the median as a float, of an even count the lower one; MISSING of none."""
        if not self._numbers:
            return MISSING
        places = sort_positions(self._numbers)
        return float(self._numbers[places[(len(places) - 1) // 2]])


@define
class Middle:
    """``MID(e)`` of the numbers, a float: halfway between the least and the greatest."""

    _least: float = inf
    _greatest: float = -inf

    def add(self, value: Operand) -> None:
        """Take a number; a value that is no number is ignored."""
        if type(value) is int or type(value) is float:
            if value < self._least:
                self._least = value
            if value > self._greatest:
                self._greatest = value

    def result(self) -> Operand:
        """Return the mean of the least and the greatest number; MISSING of none."""
        if self._least > self._greatest:
            return MISSING
        middle = (self._least + self._greatest) / 2
        # The sum of two great floats may be beyond floats, where each half is not.
        return middle if isfinite(middle) else self._least / 2 + self._greatest / 2


@define
class Distinct:
    """``DISTINCT``: hands each value on once, however often it comes and however it is written."""

    _inner: Accumulator
    _seen: set[Hashable] = field(factory=set)

    def add(self, value: Operand) -> None:
        """
        Hand a value on to the inner aggregate, unless an equal one came before.

        NULL and MISSING are not handed on.
        """
        if value is None or value is MISSING:
            return
        key: Hashable
        if type(value) is int or type(value) is float or type(value) is str:
            key = value  # whose hash and equality are the language's
        else:
            key = canonical(value)
        if key not in self._seen:
            self._seen.add(key)
            self._inner.add(value)

    def result(self) -> Operand:
        """Return the result of the inner aggregate."""
        return self._inner.result()


#: The aggregates by name, in lower case; ``COUNT(*)`` is `CountRows`.
AGGREGATES: Final[Mapping[str, Callable[[], Accumulator]]] = {
    "count": Count,
    "sum": Sum,
    "avg": Average,
    "min": Minimum,
    "max": Maximum,
    "median": Median,
    "mid": Middle,
}


def new_accumulator(name: str, *, distinct: bool = False) -> Accumulator:
    """Return a fresh accumulator of an aggregate, ``name`` being a key of `AGGREGATES`."""
    accumulator = AGGREGATES[name]()
    return Distinct(accumulator) if distinct else accumulator

# SPDX-License-Identifier: Apache-2.0
"""
Ranges: what a condition demands of one field, in a form that an index can serve.

A range is made once with the plan, from constant expressions; each execution resolves it to
intervals of encoded keys.  The intervals contain every field for which the condition is TRUE; if
the range is ``exact``, they contain no other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from attrs import frozen

from edge_twisted.documents.keys import after
from edge_twisted.documents.values import MISSING, Operand, sort_key
from edge_twisted.dql import syntax
from edge_twisted.dql.formatter import format_expression
from edge_twisted.dql.plan.intervals import (
    NOTHING,
    PRESENT,
    Interval,
    Intervals,
    intersect,
    point,
    section,
    union,
    with_all_objects,
)

#: Returns the value of a constant expression.
Evaluate = Callable[[syntax.Expression], Operand]


class Range(Protocol):
    """A demand of a condition on one field; each execution resolves it to intervals."""

    @property
    def exact(self) -> bool:
        """Whether the intervals contain only fields for which the condition is TRUE."""

    @property
    def points(self) -> bool:
        """Whether each interval is of a single value, so that the next key can be narrowed too."""

    def resolve(self, evaluate: Evaluate) -> Intervals:
        """
        Return the intervals of encoded keys in this execution, disjoint and ascending.

        :param evaluate: returns the value of a constant expression in this execution.
        """

    def describe(self) -> dict[str, object]:
        """Return the range as EXPLAIN shows it, such as ``{"low": ..., "high": ...}``."""


def _bound(expression: syntax.Expression, included: bool) -> dict[str, object]:
    return {"expr": format_expression(expression), "included": included}


@frozen
class Points:
    """``field = value``, or ``field IN [values]``."""

    values: tuple[syntax.Expression, ...]
    exact: bool = True
    points: bool = True

    def resolve(self, evaluate: Evaluate) -> Intervals:
        """Return the intervals of the values of the expressions."""
        return union([found for each in self.values for found in _equal_to(evaluate(each))])

    def describe(self) -> dict[str, object]:
        """Return one value as ``low`` and ``high``, several as ``in``."""
        if len(self.values) == 1:
            bound = _bound(self.values[0], True)
            return {"low": bound, "high": bound}
        return {"in": [format_expression(each) for each in self.values]}


@frozen
class ElementOf:
    """``field IN array``."""

    array: syntax.Expression
    exact: bool = True
    points: bool = True

    def resolve(self, evaluate: Evaluate) -> Intervals:
        """Return the intervals of the elements of the array; none if it is no array."""
        values = evaluate(self.array)
        if not isinstance(values, list):
            return NOTHING
        return union([found for value in values for found in _equal_to(value)])

    def describe(self) -> dict[str, object]:
        """Return the text of the array as ``in``."""
        return {"in": format_expression(self.array)}


def _equal_to(value: Operand) -> Intervals:
    # Nothing equals NULL or MISSING.
    return (point(value),) if section(value) else NOTHING


@frozen(kw_only=True)
class BoundedRange:
    """A comparison with a lower bound, an upper bound, or both, within one type."""

    low: syntax.Expression | None = None
    low_included: bool = True
    high: syntax.Expression | None = None
    high_included: bool = True
    exact: bool = True
    points: bool = False

    def resolve(self, evaluate: Evaluate) -> Intervals:
        """Return the interval between the bounds, of values that compare with them."""
        found: Intervals | None = None
        if self.low is not None:
            found = self._above(evaluate(self.low))
        if self.high is not None:
            below = self._below(evaluate(self.high))
            found = below if found is None else intersect(found, below)
        return found or NOTHING

    def _above(self, value: Operand) -> Intervals:
        comparable = section(value)
        if comparable is None:
            return NOTHING
        key = sort_key(value)
        return _interval(key if self.low_included else after(key), comparable[1])

    def _below(self, value: Operand) -> Intervals:
        comparable = section(value)
        if comparable is None:
            return NOTHING
        key = sort_key(value)
        return _interval(comparable[0], after(key) if self.high_included else key)

    def describe(self) -> dict[str, object]:
        """Return the bounds that there are, as ``low`` and ``high``."""
        shown: dict[str, object] = {}
        if self.low is not None:
            shown["low"] = _bound(self.low, self.low_included)
        if self.high is not None:
            shown["high"] = _bound(self.high, self.high_included)
        return shown


@frozen
class OtherThan:
    """``field != value``: two intervals, within the type of the value."""

    value: syntax.Expression
    exact: bool = True
    points: bool = False

    def resolve(self, evaluate: Evaluate) -> Intervals:
        """Return the intervals on both sides of the value, of values that compare with it."""
        value = evaluate(self.value)
        comparable = section(value)
        if comparable is None:
            return NOTHING
        low, high = point(value)
        return _interval(comparable[0], low) + _interval(high, comparable[1])

    def describe(self) -> dict[str, object]:
        """Return the text of the value as ``not``."""
        return {"not": format_expression(self.value)}


@frozen
class PrefixRange:
    """``field LIKE 'prefix%'``: strings that begin like the pattern, up to its first wildcard."""

    pattern: syntax.Expression
    escape: str = "\\"
    exact: bool = False
    points: bool = False

    def resolve(self, evaluate: Evaluate) -> Intervals:
        """Return the interval of the strings that begin with the prefix."""
        prefix = self.prefix(evaluate)
        if prefix is None:
            return NOTHING
        # The encoding of a prefix ends with a terminator, so it is no prefix of the encodings of
        # its extensions; the interval is therefore computed from strings, not from encodings.
        strings = section(prefix)
        assert strings is not None
        return _interval(sort_key(prefix), _after_prefix(prefix) or strings[1])

    def prefix(self, evaluate: Evaluate) -> str | None:
        """Return the prefix that every match of the pattern has; None if nothing can match."""
        pattern = evaluate(self.pattern)
        if not isinstance(pattern, str):
            return None
        for at, character in enumerate(pattern):
            # The prefix ends before an escape: a shorter prefix is still correct.
            if character in ("%", "_", self.escape):
                return pattern[:at]
        return pattern

    def describe(self) -> dict[str, object]:
        """Return the text of the pattern as ``prefix``."""
        return {"prefix": format_expression(self.pattern)}


def _after_prefix(prefix: str) -> bytes | None:
    """Return the key of the first string above all with ``prefix``; None if there is none."""
    for at in range(len(prefix) - 1, -1, -1):
        code = ord(prefix[at]) + 1
        if code == 0xD800:  # no string holds a lone surrogate
            code = 0xE000
        if code <= 0x10FFFF:
            return sort_key(prefix[:at] + chr(code))
    return None


@frozen
class Absent:
    """``field IS NULL`` or ``field IS MISSING``."""

    absence: syntax.Absence
    exact: bool = True
    points: bool = True

    def resolve(self, evaluate: Evaluate) -> Intervals:
        """Return the interval of the key of NULL, or of MISSING."""
        return (point(None if self.absence is syntax.Absence.NULL else MISSING),)

    def describe(self) -> dict[str, object]:
        """Return NULL or MISSING as ``low`` and ``high``."""
        bound = {"expr": self.absence.value.lower(), "included": True}
        return {"low": bound, "high": bound}


@frozen
class Present:
    """``field IS NOT MISSING``."""

    exact: bool = True
    points: bool = False

    def resolve(self, evaluate: Evaluate) -> Intervals:
        """Return the interval of all values but MISSING."""
        return PRESENT

    def describe(self) -> dict[str, object]:
        """Return MISSING as the bound ``high``, which is not included."""
        return {"high": {"expr": "missing", "included": False}}


@frozen
class LooseRange:
    """
    A range for readers who may see less of a document than the index has.

    An object may have fewer fields for them, so the range also contains all objects if it contains
    any, and is not exact.
    """

    inner: Range
    exact: bool = False
    points: bool = False

    def resolve(self, evaluate: Evaluate) -> Intervals:
        """Return the intervals of the inner range, widened to all objects if they hold one."""
        return with_all_objects(self.inner.resolve(evaluate))

    def describe(self) -> dict[str, object]:
        """Return the description of the inner range."""
        return self.inner.describe()


def resolve_all(ranges: Sequence[Range], evaluate: Evaluate) -> Intervals:
    """
    Return the intersection of the intervals of ``ranges``, of which there is at least one.

    :param evaluate: returns the value of a constant expression in this execution.
    """
    found = ranges[0].resolve(evaluate)
    for other in ranges[1:]:
        found = intersect(found, other.resolve(evaluate))
    return found


def _interval(low: bytes | None, high: bytes | None) -> tuple[Interval, ...]:
    if low is None or (high is not None and low >= high):
        return NOTHING
    return ((low, high),)

# SPDX-License-Identifier: Apache-2.0
"""
Translation of conditions to prefilters, which a store tests in a scan before it decodes documents.

A prefilter holds for every document for which the condition is TRUE.  It is exact if it holds for
no other document; then the condition need not be tested again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from attrs import define

from edge_twisted.documents.values import Operand
from edge_twisted.dql import syntax
from edge_twisted.dql.plan.conditions import Constraint
from edge_twisted.dql.plan.outline import NOTHING_ASKED, Outline, Part
from edge_twisted.dql.plan.ranges import (
    Absent,
    BoundedRange,
    ElementOf,
    Evaluate,
    OtherThan,
    Points,
    PrefixRange,
    Present,
    Range,
)
from edge_twisted.store.prefilter import (
    AllOf,
    AnyOf,
    Compares,
    HasPrefix,
    IsKind,
    Kind,
    OneOf,
    Operator,
    Prefilter,
    Scalar,
)

NEVER: Final = AnyOf(())
#: A tuple, because `isinstance` is faster with it than with a union.
_SCALARS: Final = (bool, int, float, str)
_ANY_KIND: Final[frozenset[Kind]] = frozenset(
    {"null", "boolean", "number", "string", "array", "object"}
)


# Not frozen: several are made for an execution, and frozen doubles the cost of making one.
@define
class Translation:
    """A prefilter, None if the store can test nothing, and whether it is exact."""

    prefilter: Prefilter | None
    exact: bool


UNTRANSLATED: Final = Translation(None, False)


def translate_loosely(asked: Outline, evaluate: Evaluate) -> Translation:
    """
    Translate a condition for a typed reader, who may miss fields of the stored document.

    A field that the reader sees has the stored value, so comparisons may be tested by the store. A
    test for MISSING may not: the store would reject a document whose field the reader misses.
    """
    found = [each for part in asked.parts if (each := _part(part, evaluate).prefilter) is not None]
    kept = [each for each in found if not _asks_missing(each)]
    return Translation(_all(kept), asked == NOTHING_ASKED)


def _asks_missing(prefilter: Prefilter) -> bool:
    match prefilter:
        case IsKind(kinds=kinds):
            return "missing" in kinds
        case AllOf(parts=parts) | AnyOf(parts=parts):
            return any(map(_asks_missing, parts))
    return False


def translate(asked: Outline, evaluate: Evaluate) -> Translation:
    """
    Translate a condition on the documents of one collection, as far as a store can test it.

    :param evaluate: gives the value of an expression without rows, with this execution's arguments.
    """
    found: list[Prefilter] = []
    exact = asked.whole
    for part in asked.parts:
        translation = _part(part, evaluate)
        exact = exact and translation.exact
        if translation.prefilter is not None:
            found.append(translation.prefilter)
    return Translation(_all(found), exact)


def _all(found: Sequence[Prefilter]) -> Prefilter | None:
    if len(found) == 1:
        return found[0]
    return AllOf(tuple(found)) if found else None


def _part(part: Part, evaluate: Evaluate) -> Translation:
    if isinstance(part, Constraint):
        return _range(part.path, part.range, evaluate)
    branches = [translate(branch, evaluate) for branch in part.branches]
    found = tuple(branch.prefilter for branch in branches if branch.prefilter is not None)
    if len(found) < len(branches):
        return UNTRANSLATED
    return Translation(AnyOf(found), all(branch.exact for branch in branches))


def _range(path: tuple[str, ...], range_: Range, evaluate: Evaluate) -> Translation:
    match range_:
        case Points(values=values):
            return _one_of(path, [evaluate(value) for value in values])
        case ElementOf(array=array):
            found = evaluate(array)
            return _one_of(path, found) if isinstance(found, list) else _exactly(NEVER)
        case BoundedRange():
            return _between(path, range_, evaluate)
        case OtherThan(value=value):
            return _compares(path, "!=", evaluate(value))
        case PrefixRange():
            prefix = range_.prefix(evaluate)
            if prefix is None:
                return _exactly(NEVER)
            return Translation(HasPrefix(path, prefix), False)
        case Absent(absence=syntax.Absence.NULL):
            return _exactly(IsKind(path, frozenset({"null"})))
        case Absent():
            return _exactly(IsKind(path, frozenset({"missing"})))
        case Present():
            return _exactly(IsKind(path, _ANY_KIND))
    return UNTRANSLATED


def _exactly(prefilter: Prefilter) -> Translation:
    return Translation(prefilter, True)


def _one_of(path: tuple[str, ...], values: Sequence[Operand]) -> Translation:
    scalars: list[Scalar] = []
    for value in values:
        if isinstance(value, _SCALARS):
            scalars.append(value)
        elif isinstance(value, list | dict | bytes):
            return UNTRANSLATED
        # A NULL or MISSING is left out, because no value equals it.
    if len(scalars) == 1:
        return _exactly(Compares(path, "=", scalars[0]))
    return _exactly(OneOf(path, tuple(scalars)) if scalars else NEVER)


def _between(path: tuple[str, ...], range_: BoundedRange, evaluate: Evaluate) -> Translation:
    sides: list[Translation] = []
    if range_.low is not None:
        symbol: Operator = ">=" if range_.low_included else ">"
        sides.append(_compares(path, symbol, evaluate(range_.low)))
    if range_.high is not None:
        symbol = "<=" if range_.high_included else "<"
        sides.append(_compares(path, symbol, evaluate(range_.high)))
    found = [side.prefilter for side in sides if side.prefilter is not None]
    return Translation(_all(found), all(side.exact for side in sides))


def _compares(path: tuple[str, ...], symbol: Operator, value: Operand) -> Translation:
    if isinstance(value, _SCALARS):
        return _exactly(Compares(path, symbol, value))
    if isinstance(value, list | dict | bytes):
        return UNTRANSLATED
    return _exactly(NEVER)

# SPDX-License-Identifier: Apache-2.0
"""
Conditions that a store may test while it scans, before a document is decoded.

A query planner translates what it can of a WHERE clause into these; the evaluator in dql/ has the
last word on the documents that remain.  Each condition is true or false of a document, exactly as
`holds` below defines it, so a translation that is exact in these terms needs no second
test.  A store must keep every document for which a prefilter holds, and no other.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, Literal

from attrs import frozen

#: Scalars that JSON can hold and that compare the same way everywhere.
Scalar = bool | int | float | str
Operator = Literal["=", "!=", "<", "<=", ">", ">="]
Kind = Literal["missing", "null", "boolean", "number", "binary", "string", "array", "object"]


@frozen
class Compares:
    """
    The value at `path` is of the operand's type (number, string, boolean) and compares so.

    Numbers compare exactly, integer or float; strings by code point; false before true.
    """

    path: tuple[str, ...]
    operator: Operator
    operand: Scalar


@frozen
class OneOf:
    """The value at `path` equals one of `operands`, in the sense of `Compares`."""

    path: tuple[str, ...]
    operands: tuple[Scalar, ...]

    @cached_property
    def by_kind(self) -> Mapping[Kind, frozenset[Scalar]]:
        """The operands of each kind, within which Python's hashes and equality are those asked."""
        found: dict[Kind, set[Scalar]] = {}
        for operand in self.operands:
            found.setdefault(_kind(operand), set()).add(operand)
        return {kind: frozenset(values) for kind, values in found.items()}


@frozen
class HasPrefix:
    """The value at `path` is a string that begins with `prefix`."""

    path: tuple[str, ...]
    prefix: str


@frozen
class IsKind:
    """The value at `path` is of one of these kinds; "missing" is the path's absence."""

    path: tuple[str, ...]
    kinds: frozenset[Kind]


@frozen
class AllOf:
    """Every part holds; true of no parts."""

    parts: tuple[Prefilter, ...]


@frozen
class AnyOf:
    """Some part holds; false of no parts."""

    parts: tuple[Prefilter, ...]


Prefilter = Compares | OneOf | HasPrefix | IsKind | AllOf | AnyOf


_COMPARISONS: Mapping[Operator, Callable[[Any, Any], object]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class _Missing:
    """The value of a path that is not there."""


_MISSING = _Missing()


def holds(prefilter: Prefilter, document: Mapping[str, object]) -> bool:
    """Return whether a decoded document satisfies `prefilter`: the definition of each kind."""
    match prefilter:
        case Compares(path, symbol, operand):
            return _compares(_at(document, path), symbol, operand)
        case OneOf(path):
            value = _at(document, path)
            chosen = prefilter.by_kind.get(_kind(value))
            return chosen is not None and value in chosen
        case HasPrefix(path, prefix):
            value = _at(document, path)
            return isinstance(value, str) and value.startswith(prefix)
        case IsKind(path, kinds):
            return _kind(_at(document, path)) in kinds
        case AllOf(parts):
            return all(holds(part, document) for part in parts)
        case AnyOf(parts):
            return any(holds(part, document) for part in parts)


def _at(document: Mapping[str, object], path: tuple[str, ...]) -> object:
    value: object = document
    for name in path:
        if not isinstance(value, Mapping) or name not in value:
            return _MISSING
        value = value[name]
    return value


def _kind(value: object) -> Kind:
    match value:
        case _Missing():
            return "missing"
        case None:
            return "null"
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "string"
        case bytes():
            return "binary"
        case list():
            return "array"
    return "object"


def _compares(value: object, symbol: Operator, operand: Scalar) -> bool:
    # Python compares numbers exactly and strings by code point, as the definition asks.
    return _kind(value) == _kind(operand) and bool(_COMPARISONS[symbol](value, operand))

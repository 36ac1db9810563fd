# SPDX-License-Identifier: Apache-2.0
"""
Conditions that a store may test while it scans, before a document is decoded.

A query planner translates parts of a WHERE clause into these conditions; the evaluator in dql/ then
tests the other parts on the documents that remain.  Each condition is true or false of a document,
as `holds` below defines it, so an exact translation needs no second test.  A store must keep every
document for which a prefilter holds, and no other.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, Literal

from attrs import frozen

from edge_twisted.documents.values import MISSING, Value
from edge_twisted.store.keys import at

#: Scalars that JSON can hold and that compare the same way everywhere.
Scalar = bool | int | float | str
Operator = Literal["=", "!=", "<", "<=", ">", ">="]
Kind = Literal["missing", "null", "boolean", "number", "binary", "string", "array", "object"]


@frozen
class Compares:
    """
    The value at `path` has the operand's type (number, string, boolean), and the comparison holds.

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
        """The operands by kind; within a kind, Python's equality is that of `Compares`."""
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
    """The value at `path` is of one of these kinds; "missing": the path is absent."""

    path: tuple[str, ...]
    kinds: frozenset[Kind]


@frozen
class AllOf:
    """Every part holds; true without parts."""

    parts: tuple[Prefilter, ...]


@frozen
class AnyOf:
    """At least one part holds; false without parts."""

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


def holds(prefilter: Prefilter, document: Mapping[str, Value]) -> bool:
    """
    Return whether a decoded document satisfies a prefilter.

    This is the definition of all conditions; what a store makes of them in SQL must agree with it.
    """
    match prefilter:
        case Compares(path, symbol, operand):
            return _compares(at(document, path), symbol, operand)
        case OneOf(path):
            value = at(document, path)
            chosen = prefilter.by_kind.get(_kind(value))
            return chosen is not None and value in chosen
        case HasPrefix(path, prefix):
            value = at(document, path)
            return isinstance(value, str) and value.startswith(prefix)
        case IsKind(path, kinds):
            return _kind(at(document, path)) in kinds
        case AllOf(parts):
            return all(holds(part, document) for part in parts)
        case AnyOf(parts):
            return any(holds(part, document) for part in parts)


def _kind(value: object) -> Kind:
    match value:
        case _ if value is MISSING:
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
    # Python compares numbers exactly and strings by code point, as `Compares` asks.
    return _kind(value) == _kind(operand) and bool(_COMPARISONS[symbol](value, operand))

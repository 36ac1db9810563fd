# SPDX-License-Identifier: Apache-2.0
"""Literals from values."""

from __future__ import annotations

from edge_twisted.documents.values import Value
from edge_twisted.dql.syntax.expressions import (
    ArrayLiteral,
    Expression,
    Literal,
    ObjectLiteral,
    ObjectPair,
)


def literal_of(value: Value) -> Expression | None:
    """
    Return the literal expression of a value; None if a part of it is binary.

    Binary has no literal.
    """
    if isinstance(value, bytes):
        return None
    if isinstance(value, list):
        elements = [literal_of(each) for each in value]
        found = tuple(each for each in elements if each is not None)
        return ArrayLiteral(found) if len(found) == len(elements) else None
    if isinstance(value, dict):
        pairs: list[ObjectPair] = []
        for key in sorted(value):
            inner = literal_of(value[key])
            if inner is None:
                return None
            pairs.append(ObjectPair(Literal(key), inner))
        return ObjectLiteral(tuple(pairs))
    return Literal(value)

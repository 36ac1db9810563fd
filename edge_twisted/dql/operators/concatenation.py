# SPDX-License-Identifier: Apache-2.0
"""Concatenation (``||``); for pattern operators see `edge_twisted.dql.patterns`."""

from __future__ import annotations

from collections.abc import Iterable

from edge_twisted.documents.values import Operand
from edge_twisted.dql.propagation import propagate
from edge_twisted.dql.result_limits import RESULT_LIMIT_BYTES, too_large, utf8_length, within_limit


def concatenate_all(first: Operand, others: Iterable[Operand]) -> Operand:
    """
    Return ``first || a || b ...``, joined once at the end instead of once for each operand.

    NULL or MISSING if an operand is no string.

    :raises EvaluationError: the result, or what comes before an operand that is no string, is
        larger than a document may be.
    """
    value = first
    parts = [first] if type(first) is str else []
    size = sum(map(utf8_length, parts))
    for other in others:
        if type(value) is str and type(other) is str:
            parts.append(other)
            size += utf8_length(other)
            if size > RESULT_LIMIT_BYTES:
                raise too_large("||")
        else:
            value = propagate(value, other)
    return "".join(parts) if type(value) is str else value


def concatenate(left: Operand, right: Operand) -> Operand:
    """
    Return ``left || right``; NULL or MISSING if an operand is no string.

    :raises EvaluationError: the result is larger than a document may be.
    """
    if type(left) is str and type(right) is str:
        return within_limit(left + right, "||")
    return propagate(left, right)

# SPDX-License-Identifier: Apache-2.0
"""``||``; the operators of patterns are in `edge_twisted.dql.patterns`."""

from __future__ import annotations

from edge_twisted.documents.values import Operand
from edge_twisted.dql.bounds import within_limit
from edge_twisted.dql.propagation import propagate


def concatenate(left: Operand, right: Operand) -> Operand:
    """
    ``left || right``.

    :raises EvaluationError: the result is larger than a document may be.
    """
    if type(left) is str and type(right) is str:
        return within_limit(left + right, "||")
    return propagate(left, right)

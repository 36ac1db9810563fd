# SPDX-License-Identifier: Apache-2.0
"""
Which truth value of a condition counts at a place in it.

A row is kept where the condition is TRUE; FALSE, NULL and MISSING make no difference.  So in the
condition, and in operands of AND and OR, *truth* counts: a rule may exchange the other three
values.  Below a NOT, *falsity* counts instead.  Example: ``a IN [1]`` may become ``a = 1``, which
differs only where both are not TRUE; in ``NOT (a IN [1])`` it may not.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Final

from edge_twisted.dql import syntax


class Polarity(Enum):
    """The value of a node that a rule must preserve; the other three may be exchanged."""

    TRUTH = True
    FALSITY = False


TRUTH: Final = Polarity.TRUTH
FALSITY: Final = Polarity.FALSITY

#: Returns a node with the value that counts for the same rows, or the same node.
Rule = Callable[[syntax.Expression, Polarity], syntax.Expression]

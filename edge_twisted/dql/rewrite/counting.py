# SPDX-License-Identifier: Apache-2.0
"""
What of a condition's four values counts at a place in it.

A row is kept where its condition is TRUE; whether it is FALSE, NULL or MISSING otherwise makes no
difference.  AND and OR hand that on to their operands, NOT turns it round: of what is negated it
counts whether it is FALSE.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Final

from edge_twisted.dql import syntax


class Counts(Enum):
    """Which value of a node must stay what it is; the others may become one another."""

    TRUTH = True
    FALSITY = False


TRUTH: Final = Counts.TRUTH
FALSITY: Final = Counts.FALSITY

#: Returns a node that has the value that counts for the same rows; the same node for no change.
Rule = Callable[[syntax.Expression, Counts], syntax.Expression]

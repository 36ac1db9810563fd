# SPDX-License-Identifier: Apache-2.0
"""
What an operator or a function answers when it cannot use its arguments.

The rule of the language: MISSING if any argument is MISSING; else NULL if any is NULL; else, the
only reason left being a wrong type or an impossible value, MISSING.  Implementations test for the
arguments they can use first, and ask here only when the test failed.
"""

from __future__ import annotations

from edge_twisted.documents.values import MISSING, Missing


def propagate(*arguments: object) -> Missing | None:
    """Return NULL if ``arguments`` hold a NULL and no MISSING, else MISSING."""
    return None if None in arguments and MISSING not in arguments else MISSING

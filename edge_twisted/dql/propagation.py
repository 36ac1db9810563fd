# SPDX-License-Identifier: Apache-2.0
"""
Propagation of MISSING and NULL: the result of a function that cannot use its arguments.

The result is MISSING if any argument is MISSING, else NULL if any is NULL, else MISSING, because
the only remaining cause is a wrong type or an impossible value.  Implementations check first for
arguments that they can use, and call `propagate` only if that fails.
"""

from __future__ import annotations

from edge_twisted.documents.values import MISSING, Missing


def propagate(*arguments: object) -> Missing | None:
    """
    Return NULL if an argument is NULL and none is MISSING, else MISSING.

    That is the result of a function or operator whose arguments have wrong types.
    """
    return None if None in arguments and MISSING not in arguments else MISSING

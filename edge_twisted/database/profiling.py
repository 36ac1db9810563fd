# SPDX-License-Identifier: Apache-2.0
"""The row that PROFILE adds to those of its statement."""

from __future__ import annotations

from edge_twisted.database.requests import Request
from edge_twisted.database.result import Result
from edge_twisted.documents.values import Value
from edge_twisted.dql import syntax

_NS = 1_000_000_000


def profile_of(
    statement: syntax.Statement,
    shown: Result,
    count: int,
    request: Request,
    elapsed_seconds: float,
    plan_seconds: float,
) -> dict[str, Value]:
    """Return the profile; `shown` is what EXPLAIN says.  Durations are in nanoseconds."""
    [row] = shown.items or ()
    assert isinstance(row, dict)
    return {
        **row,
        "queryType": statement.query_type,
        "resultCount": count,
        "state": "completed",
        "times": {
            "elapsed": int(elapsed_seconds * _NS),
            "parse": int(request.parse_seconds * _NS),
            "plan": int(plan_seconds * _NS),
        },
    }

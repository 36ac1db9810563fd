# SPDX-License-Identifier: Apache-2.0
"""The row that PROFILE adds to those of its statement."""

from __future__ import annotations

from typing import Any

from edge_twisted.database.requests import Request
from edge_twisted.database.result import Result
from edge_twisted.dql.plan.nodes import Description

_NS = 1_000_000_000


def profile_of(
    plan: Description, result: Result, request: Request, elapsed: float, planning: float
) -> dict[str, Any]:
    """Return the profile of what has run, from times in seconds; it shows nanoseconds."""
    return {
        "plan": plan,
        "queryType": result.query_type,
        "resultCount": len(result.items or ()),
        "state": "completed",
        "times": {
            "elapsed": int(elapsed * _NS),
            "parse": int(request.parse_seconds * _NS),
            "plan": int(planning * _NS),
        },
    }

# SPDX-License-Identifier: Apache-2.0
"""The row that PROFILE adds to those of its statement."""

from __future__ import annotations

from typing import Any

from edge_twisted.database.history import StatementRecord
from edge_twisted.database.result import Result
from edge_twisted.dql.plan.nodes import Description

_NS = 1_000_000_000


def profile_of(plan: Description, result: Result, times: dict[str, int] | None) -> dict[str, Any]:
    """Return the profile of what has run; `times` are in ns, None where they may not be told."""
    found = {
        "plan": plan,
        "queryType": result.query_type,
        "resultCount": len(result.items or ()),
        "state": "completed",
    }
    return found if times is None else {**found, "times": times}


def times_of(request: StatementRecord, elapsed: float, planning: float) -> dict[str, int]:
    """Return the times of a profile, of times in seconds."""
    return {
        "elapsed": int(elapsed * _NS),
        "parse": int(request.parse_seconds * _NS),
        "plan": int(planning * _NS),
    }

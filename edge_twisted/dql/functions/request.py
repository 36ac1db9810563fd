# SPDX-License-Identifier: Apache-2.0
"""Functions on the request itself."""

from __future__ import annotations

from edge_twisted.documents.values import Operand
from edge_twisted.dql.functions.context import FunctionContext


def request_info(context: FunctionContext) -> Operand:
    """Return an object with the strings ``app_id``, ``request_id`` and ``start_time``."""
    return {
        "app_id": context.app_id,
        "request_id": context.request_id,
        "start_time": context.start_time,
    }

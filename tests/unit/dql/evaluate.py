# SPDX-License-Identifier: Apache-2.0
"""Evaluates one expression without a row, by the language's own parser and compiler."""

from __future__ import annotations

from attrs import frozen

from edge_twisted.documents.values import Operand
from edge_twisted.dql.compiler import Environment, RowScope, compile_expression
from edge_twisted.dql.parser import parse_expression


@frozen
class Now:
    """The request that every table is evaluated in."""

    now_ms: int = 1_791_454_108_090
    app_id: str = "app"
    request_id: str = "request"
    start_time: str = "2026-10-08T10:08:28.090+00:00"


def evaluate(source: str) -> Operand:
    """Return the value of an expression; :raises DqlError: it has none."""
    return compile_expression(parse_expression(source), RowScope(()))(None, Environment({}, Now()))

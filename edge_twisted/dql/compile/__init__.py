# SPDX-License-Identifier: Apache-2.0
"""From syntax to closures: an expression becomes one function of a row and an environment."""

from __future__ import annotations

from edge_twisted.dql.compile.comprehensions import register
from edge_twisted.dql.compile.environment import Compiled, Environment
from edge_twisted.dql.compile.expressions import compile_expression
from edge_twisted.dql.compile.scope import GroupScope, NameScope, RowScope

register()

__all__ = ["Compiled", "Environment", "GroupScope", "NameScope", "RowScope", "compile_expression"]

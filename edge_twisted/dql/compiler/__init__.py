# SPDX-License-Identifier: Apache-2.0
"""
Compilation of expressions: a syntax tree becomes one closure over a row and an environment.

The way in is `compile_expression`.  `scope` says what names mean, `environment` is the state of one
execution, `comprehensions` has the forms that bind variables.
"""

from __future__ import annotations

from edge_twisted.dql.compiler.comprehensions import register
from edge_twisted.dql.compiler.environment import CompiledExpression, Environment, bind
from edge_twisted.dql.compiler.expressions import compile_expression
from edge_twisted.dql.compiler.scope import GroupScope, NameScope, RowScope

register()

__all__ = [
    "CompiledExpression",
    "Environment",
    "GroupScope",
    "NameScope",
    "RowScope",
    "bind",
    "compile_expression",
]

# SPDX-License-Identifier: Apache-2.0
"""
The formatter: from tree to text, on one line, keywords in upper case, fewest parentheses.

Parsing the text of a tree gives an equal tree.
"""

from __future__ import annotations

from edge_twisted.dql.formatter.expressions import expression as format_expression
from edge_twisted.dql.formatter.statements import statement as format_statement

__all__ = ["format_expression", "format_statement"]

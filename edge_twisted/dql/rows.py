# SPDX-License-Identifier: Apache-2.0
"""The rows that clauses hand on to the next: documents, rows of a join, or groups."""

from __future__ import annotations

from typing import TypeAlias

from attrs import frozen

from edge_twisted.documents.values import Operand, Value

Document: TypeAlias = dict[str, Value]
#: A document for each term of a join, None where an outer join found none.
JoinRow: TypeAlias = tuple[Document | None, ...]


@frozen
class GroupValues:
    """A row above the grouping: keys and aggregates, in the order of the statement."""

    keys: tuple[Operand, ...]
    aggregates: tuple[Operand, ...]


#: All rows of one statement, at one place in it, are of one kind; None where there is no row.
Row: TypeAlias = Document | JoinRow | GroupValues | None

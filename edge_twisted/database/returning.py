# SPDX-License-Identifier: Apache-2.0
"""RETURNING: what a mutation answers of the documents that it touched."""

from __future__ import annotations

from collections.abc import Sequence

from edge_twisted.database import changes
from edge_twisted.database.execution import Execution
from edge_twisted.database.inline import UNBOUNDED
from edge_twisted.database.select import Document, PlanReader
from edge_twisted.documents.values import Value
from edge_twisted.dql import syntax
from edge_twisted.store.interface import UnitOfWork


def returned(
    run: Execution,
    projections: tuple[syntax.Projection, ...],
    term: syntax.Term,
    documents: Sequence[Document],
    transaction: UnitOfWork,
) -> list[Value]:
    """Return what the projections, if there are any, make of documents; `term` names them."""
    if not projections:
        return []
    select = run.prepared.once("returning", lambda: changes.returning_of(projections, term))
    plan = run.planned(select, transaction)
    reading = PlanReader(
        snapshot=transaction,
        env=run.environment(),
        interruption=run.interruption,
        bounds=UNBOUNDED,
        virtual=None,
        measuring=run.measuring,
    )
    return reading.shaped(plan, iter(documents))

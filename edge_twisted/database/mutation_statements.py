# SPDX-License-Identifier: Apache-2.0
"""INSERT, UPDATE, DELETE and EVICT as statements: who may, on what, and what they answer."""

from __future__ import annotations

from edge_twisted.database import changes, inserts
from edge_twisted.database.changes import MutationOutcome, MutationRun
from edge_twisted.database.execution import Execution, OpenPlan
from edge_twisted.database.permissions import check_verb
from edge_twisted.database.result import Result, Warnings
from edge_twisted.database.returning import returned
from edge_twisted.database.rules import rules_of
from edge_twisted.documents import effort
from edge_twisted.dql import syntax
from edge_twisted.dql.errors import SemanticError
from edge_twisted.records.documents import DocumentWriter
from edge_twisted.store.interface import UnitOfWork

Change = syntax.Update | syntax.Delete | syntax.Evict
MUTATIONS = (syntax.Insert, syntax.Update, syntax.Delete, syntax.Evict)


def mutate(run: Execution, transaction: UnitOfWork) -> Result:
    """Run the statement of `run`, a mutation."""
    statement = run.prepared.statement
    assert isinstance(statement, MUTATIONS)
    check_verb(run.access, statement.query_type)
    token = effort.begin(run.interruption.spend)
    try:
        if isinstance(statement, syntax.Insert):
            _check_collection(run, statement.collection)
            return inserts.insert(run, statement, transaction)
        _check_collection(run, statement.term.collection)
        return _change(run, statement, transaction)
    finally:
        effort.end(token)


def _check_collection(run: Execution, collection: syntax.CollectionRef) -> None:
    if collection.namespace is not None:
        run.virtual.check(collection)
        if collection.namespace == "system":
            raise SemanticError("a virtual collection cannot be written", collection.span)


def _change(run: Execution, statement: Change, transaction: UnitOfWork) -> Result:
    """Change the documents that a statement is about."""
    target = run.prepared.once("target", lambda: changes.targets_of(statement))
    opened = run.open(target, transaction, "target")
    warnings, term = Warnings(), statement.term
    changing = MutationRun(
        reading=opened.reading,
        writer=DocumentWriter(transaction),
        rules=rules_of(
            run.prepared, term.collection, run.parameters, run.access, opened.reading.env
        ),
        warnings=warnings,
    )
    changed = _changed(run, statement, changing, opened)
    return Result(
        query_type=statement.query_type,
        verb=statement.query_type,
        collections=run.prepared.collections,
        items=returned(run, statement.returning, term, changed.documents, transaction),
        mutated_ids=changed.ids,
        warnings=warnings.shown,
        total_warnings=warnings.total,
    )


def _changed(
    run: Execution, statement: Change, changing: MutationRun, opened: OpenPlan
) -> MutationOutcome:
    match statement:
        case syntax.Update():
            plan = run.prepared.once("update", lambda: changes.plan_update(statement))
            return changes.update(plan, opened.plan, changing)
        case syntax.Delete():
            return changes.delete(opened.plan, changing)
        case syntax.Evict():
            return changes.evict(opened.plan, changing)

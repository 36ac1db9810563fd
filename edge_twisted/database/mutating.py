# SPDX-License-Identifier: Apache-2.0
"""INSERT, UPDATE, DELETE and EVICT as statements: who may, on what, and what they answer."""

from __future__ import annotations

from collections.abc import Sequence

from edge_twisted.database import changes
from edge_twisted.database.changes import Changed, Changing
from edge_twisted.database.execution import Execution, Opened
from edge_twisted.database.inline import UNBOUNDED
from edge_twisted.database.mutations import Limits, Rules
from edge_twisted.database.permissions import check_verb, predicate, read_rule, write_rule
from edge_twisted.database.result import Result, Warnings
from edge_twisted.database.select import Reading
from edge_twisted.database.stored import Writer
from edge_twisted.database.typing import reads_of, writes_of
from edge_twisted.documents.values import Operand, Value
from edge_twisted.dql import syntax
from edge_twisted.dql.compile import Environment
from edge_twisted.dql.errors import SemanticError
from edge_twisted.store.interface import WriteTransaction

Mutation = syntax.Insert | syntax.Update | syntax.Delete | syntax.Evict
MUTATIONS = (syntax.Insert, syntax.Update, syntax.Delete, syntax.Evict)


def mutate(run: Execution, transaction: WriteTransaction) -> Result:
    """Run the statement of `run`, a mutation."""
    statement = run.prepared.statement
    assert isinstance(statement, MUTATIONS)
    kind = statement.query_type
    check_verb(run.access, kind)
    collection = _collection_of(statement)
    if collection.namespace is not None:
        run.virtual.check(collection)
        if collection.namespace == "system":
            raise SemanticError("a virtual collection cannot be written", collection.span)
    opened = _opened(run, statement, transaction)
    reading = opened.reading if opened is not None else _reading(run, transaction)
    warnings = Warnings()
    changing = Changing(
        reading=reading,
        writer=Writer(transaction),
        rules=_rules(run, collection, reading.env, warnings),
        warnings=warnings,
        new_id=run.new_id,
    )
    changed = _change(run, statement, changing, opened)
    return Result(
        query_type=kind,
        verb=kind,
        collections=run.prepared.collections,
        items=_returned(run, statement, changed, changing, transaction),
        mutated_ids=changed.ids,
        warnings=warnings.shown,
        total_warnings=warnings.total,
    )


def _opened(run: Execution, statement: Mutation, transaction: WriteTransaction) -> Opened | None:
    """Return what finds the documents that the statement is about, None for plain INSERT."""
    if isinstance(statement, syntax.Insert):
        source = statement.documents
        return run.open(source, transaction) if isinstance(source, syntax.Select) else None
    target = run.prepared.once("target", lambda: changes.targets_of(statement))
    return run.open(target, transaction, "target")


def _reading(run: Execution, transaction: WriteTransaction) -> Reading:
    return Reading(
        snapshot=transaction,
        env=run.environment(),
        interruption=run.interruption,
        bounds=UNBOUNDED,
        virtual=None,
        measuring=run.measuring,
    )


def _change(
    run: Execution, statement: Mutation, changing: Changing, opened: Opened | None
) -> Changed:
    if isinstance(statement, syntax.Insert):
        values: Sequence[Operand]
        if opened is not None:
            values = opened.reading.rows(opened.plan)
        else:
            documents = run.prepared.once(
                "documents", lambda: changes.compiled_documents(statement)
            )
            values = [document(None, changing.reading.env) for document in documents]
        return changes.insert(statement, values, changing)
    assert opened is not None
    match statement:
        case syntax.Update():
            plan = run.prepared.once("update", lambda: changes.plan_update(statement))
            return changes.update(plan, opened.plan, changing)
        case syntax.Delete():
            return changes.delete(opened.plan, changing)
        case syntax.Evict():
            return changes.evict(opened.plan, changing)


def _rules(
    run: Execution, collection: syntax.CollectionRef, env: Environment, warnings: Warnings
) -> Rules:
    parameters = run.parameters
    readable = read_rule(run.access, collection)
    writable = write_rule(run.access, collection)
    return Rules(
        limits=Limits(soft_bytes=parameters.soft_bytes, hard_bytes=parameters.hard_bytes),
        warn=warnings.add,
        typing=writes_of(collection, parameters),
        reads=reads_of(collection, parameters),
        may_see=predicate(readable, run.access.identity, env),
        may_write=predicate(writable, run.access.identity, env),
    )


def _returned(
    run: Execution,
    statement: Mutation,
    changed: Changed,
    changing: Changing,
    transaction: WriteTransaction,
) -> list[Value]:
    if not statement.returning:
        return []
    if isinstance(statement, syntax.Insert):
        term = syntax.Term(statement.collection)
    else:
        term = statement.term
    select = run.prepared.once("returning", lambda: changes.returning_of(statement.returning, term))
    plan = run.planned(select, transaction)
    return changing.reading.shaped(plan, iter(changed.documents))


def _collection_of(statement: Mutation) -> syntax.CollectionRef:
    if isinstance(statement, syntax.Insert):
        return statement.collection
    return statement.term.collection

# SPDX-License-Identifier: Apache-2.0
"""
INSERT, UPDATE, DELETE and EVICT, and transactions of them, within one unit of work.

This module finds the documents that a statement changes and makes the result; `mutations` checks
the caller's rights and writes each document.  INSERT of one document is the most frequent
mutation, so it makes no objects that only other mutations need.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, TypeVar

from attrs import define, field, frozen

from edge_twisted.database.execution import Execution, OpenPlan, returning_query_of, target_query_of
from edge_twisted.database.mutation_rules import MutationRules, rules_of
from edge_twisted.database.mutations import CheckedWriter, collect_documents
from edge_twisted.database.permissions import check_verb
from edge_twisted.database.select import PlanReader
from edge_twisted.documents import progress
from edge_twisted.documents.ids import DocumentId
from edge_twisted.documents.operations import (
    UNTYPED,
    Increment,
    Operation,
    Path,
    Restart,
    Set,
    Unset,
)
from edge_twisted.documents.values import MISSING, Operand, Value
from edge_twisted.dql import syntax
from edge_twisted.dql.compiler import CompiledExpression, Environment, RowScope, compile_expression
from edge_twisted.dql.errors import DqlError, SemanticError, TransactionFailed
from edge_twisted.dql.name_resolution import resolve_names
from edge_twisted.dql.plan.query import field_of_term
from edge_twisted.dql.result import Result
from edge_twisted.dql.rows import Document
from edge_twisted.errors import EdgeError
from edge_twisted.records.documents import ID, DocumentWriter
from edge_twisted.records.evictions import count_unsynced, note_evicted
from edge_twisted.store.interface import UnitOfWork
from edge_twisted.store.keys import at
from edge_twisted.store.rows import StoredDocument

T = TypeVar("T")
Change = syntax.Update | syntax.Delete | syntax.Evict
#: Computes one operation of UPDATE from a document; returns None for no operation.
Step = Callable[[Document, Environment], Operation | None]

MUTATIONS: Final = (syntax.Insert, syntax.Update, syntax.Delete, syntax.Evict)
#: Documents written between two checks for interruption: a write takes some 50 microseconds.
_WRITES_PER_CHECK: Final = 16


def run_transaction(runs: Sequence[Execution], unit: UnitOfWork) -> list[Result]:
    """
    Run SELECTs and mutations in order, each on the outcome of those before; return results.

    :raises TransactionFailed: a statement failed; the caller must abandon the unit of work.
    """
    results: list[Result] = []
    for index, run in enumerate(runs):
        try:
            if isinstance(run.prepared.statement, syntax.Select):
                results.append(run.query(unit))
            else:
                results.append(mutate(run, unit))
        except DqlError as error:
            raise TransactionFailed(index, error.within(run.prepared.parsed.source)) from None
        except EdgeError as error:
            raise TransactionFailed(index, error) from None
    return results


def mutate(run: Execution, unit: UnitOfWork) -> Result:
    """
    Run INSERT, UPDATE, DELETE or EVICT in a unit of work; return its result, without an lsn.

    :raises StatementForbidden: the caller may not run such statements, or not on the collection.
    :raises SemanticError: the collection is virtual.
    :raises EdgeError: a document cannot be stored, see `CheckedWriter`; undo the unit.
    """
    statement = run.prepared.statement
    assert isinstance(statement, MUTATIONS)
    check_verb(run.access, statement.query_type)
    token = progress.begin(run.interruption.spend)
    try:
        if isinstance(statement, syntax.Insert):
            _check_collection(run, statement.collection)
            return _insert(run, statement, unit)
        _check_collection(run, statement.term.collection)
        return _change(run, statement, unit)
    finally:
        progress.end(token)


def _check_collection(run: Execution, collection: syntax.CollectionRef) -> None:
    if collection.namespace is not None:
        run.virtual.check(collection)
        if collection.namespace == "system":
            raise SemanticError("a virtual collection cannot be written", collection.span)


def _returning_rows(
    run: Execution,
    projections: tuple[syntax.Projection, ...],
    term: syntax.Term,
    documents: Sequence[Document],
    unit: UnitOfWork,
) -> list[Value]:
    """Return the rows of RETURNING for documents that were written; `term` names them."""
    if not projections:
        return []
    select = run.prepared.once("returning", lambda: returning_query_of(projections, term))
    plan = run.plan_over_rows(select, unit)
    reader = PlanReader(
        snapshot=unit,
        env=run.make_environment(),
        interruption=run.interruption,
        virtual=None,
        meter=run.meter,
    )
    return reader.shape(plan, iter(documents))


# -- INSERT


def _insert(run: Execution, statement: syntax.Insert, unit: UnitOfWork) -> Result:
    """Run INSERT; :raises EdgeError: a document may not be stored, see `CheckedWriter.insert`."""
    collection, source = statement.collection, statement.documents
    opened = run.open(source, unit) if isinstance(source, syntax.Select) else None
    env = run.make_environment() if opened is None else opened.reader.env
    rules = rules_of(run.prepared, collection, run.parameters, run.access, env)
    values: Sequence[Operand]
    if opened is not None:
        values = opened.reader.read_rows(opened.plan)
    else:
        values = [document(None, env) for document in _compile_documents(run, statement)]
    if values:
        unit.admit_collection(collection.name)
    visible: list[Document] = []
    ids: list[Value] = []
    writer = CheckedWriter(DocumentWriter(unit), collection.name, rules)
    for new in _watch(run, collect_documents(values, run.new_id)):
        if statement.initial:
            written = writer.insert_initial(new)
        else:
            written = writer.insert(new, statement.policy)
        if written is not None:
            ids.append(written.document[ID])
            if written.visible:
                visible.append(written.document)
    return Result(
        query_type="insert",
        verb="insert",
        collections=run.prepared.collections,
        items=_returning_rows(run, statement.returning, syntax.Term(collection), visible, unit)
        if statement.returning
        else [],
        mutated_ids=ids,
        warnings=writer.warnings.shown,
        total_warnings=writer.warnings.total,
    )


def _watch(run: Execution, documents: Sequence[T]) -> Iterable[T]:
    """Yield documents, and check for interruption every few of them."""
    if len(documents) == 1:
        return documents
    return run.interruption.watch(documents, _WRITES_PER_CHECK)


def _compile_documents(run: Execution, statement: syntax.Insert) -> list[CompiledExpression]:
    """Compile the documents of INSERT, once for a prepared statement."""
    compiled: list[CompiledExpression] | None = run.prepared.made.get("documents")
    if compiled is None:
        assert isinstance(statement.documents, syntax.DocumentsClause)
        compiled = [_compile_document(each) for each in statement.documents.items]
        run.prepared.made["documents"] = compiled
    return compiled


def _compile_document(node: syntax.Expression) -> CompiledExpression:
    """Compile a document of INSERT; :raises SemanticError: it names a field of a document."""
    for each in node.walk():
        if isinstance(each, syntax.Path):
            raise SemanticError("Cannot convert to a literal", each.span)
    return compile_expression(node, RowScope(()))


# -- UPDATE, DELETE and EVICT


@define
class _Target:
    """The documents that a statement changes, and its result so far."""

    run: Execution
    opened: OpenPlan
    writer: CheckedWriter
    #: The documents that RETURNING shows, in order.
    shown: list[Document] = field(factory=list)
    #: The ids of the documents that were changed.
    ids: list[Value] = field(factory=list)

    def documents(self) -> Iterable[tuple[DocumentId, Document]]:
        """Yield the documents; all are found before the first one is changed."""
        found = [
            row for row in self.opened.reader.read_rows(self.opened.plan) if isinstance(row, dict)
        ]
        return ((DocumentId.of(each[ID]), each) for each in _watch(self.run, found))

    def note_changed(self, document: Document, *, visible: bool = True) -> None:
        """Record a changed document, and whether RETURNING may show it as it is now."""
        self.ids.append(document[ID])
        if visible:
            self.shown.append(document)


def _change(run: Execution, statement: Change, unit: UnitOfWork) -> Result:
    """Run UPDATE, DELETE or EVICT."""
    select = run.prepared.once("target", lambda: target_query_of(statement))
    opened = run.open(select, unit, "target")
    collection, env = statement.term.collection, opened.reader.env
    rules = rules_of(run.prepared, collection, run.parameters, run.access, env)
    writer = CheckedWriter(DocumentWriter(unit), collection.name, rules)
    target = _Target(run, opened, writer)
    match statement:
        case syntax.Update():
            _update(run.prepared.once("update", lambda: plan_update(statement)), target)
        case syntax.Delete():
            _delete(target)
        case syntax.Evict():
            _evict(target)
    return Result(
        query_type=statement.query_type,
        verb=statement.query_type,
        collections=run.prepared.collections,
        items=_returning_rows(run, statement.returning, statement.term, target.shown, unit),
        mutated_ids=target.ids,
        warnings=writer.warnings.shown,
        total_warnings=writer.warnings.total,
    )


def _update(plan: UpdatePlan, target: _Target) -> None:
    """Apply a plan to each document; a document that would not change is not written."""
    env, writer = target.opened.reader.env, target.writer
    for id_, document in target.documents():
        state = writer.load(id_)
        assert state is not None
        operations = plan.operations(document, env)
        if not operations or _changes_nothing(operations, document, writer.rules):
            target.shown.append(document)
            continue
        written = writer.change(id_, state, operations)
        target.note_changed(written.document, visible=written.visible)


def _changes_nothing(
    operations: Sequence[Operation], document: Document, rules: MutationRules
) -> bool:
    """Return whether operations only remove fields that the document does not have."""
    if rules.typing is not UNTYPED or rules.reads is not UNTYPED:
        # The field may have a variant of another type, which the document does not show.
        return False
    return all(
        isinstance(each, Unset) and at(document, each.path) is MISSING for each in operations
    )


def _delete(target: _Target) -> None:
    """Delete each document that the rules permit to delete."""
    for id_, document in target.documents():
        state = target.writer.load(id_)
        assert state is not None
        if target.writer.delete(id_, state):
            target.note_changed(document)


def _evict(target: _Target) -> None:
    """Evict each document that the rules permit to evict; warn of edits that no peer has."""
    writer = target.writer
    rows: list[StoredDocument] = []
    for id_, document in target.documents():
        row = writer.evict(id_)
        if row is not None:
            rows.append(row)
            target.note_changed(document)
    unsynced = count_unsynced(writer.unit, rows)
    if unsynced:
        writer.warnings.add(f"{unsynced} evicted documents had edits that no peer has acknowledged")
    note_evicted(writer.unit, writer.collection, rows)


# -- the plan of UPDATE


@frozen
class UpdatePlan:
    """The compiled clauses of an UPDATE; each reads the document as it was before all of them."""

    _steps: tuple[Step, ...]

    def operations(self, document: Document, env: Environment) -> list[Operation]:
        """
        Return the operations of the UPDATE on one document, in order; SET to MISSING makes none.

        :raises DqlError: an expression cannot be evaluated.
        """
        found = [step(document, env) for step in self._steps]
        return [operation for operation in found if operation is not None]


def plan_update(statement: syntax.Update) -> UpdatePlan:
    """
    Compile the clauses of UPDATE, in the order in which they are applied.

    :raises SemanticError: a name has no meaning, or a whole document is to be set.
    """
    return UpdatePlan(tuple(_steps(resolve_names(statement, (statement.term,)))))


def _steps(statement: syntax.Update) -> Iterator[Step]:
    term = statement.term.name
    scope = RowScope((term,))
    field_of = field_of_term(term)

    def path(node: syntax.Path) -> Path:
        names = field_of(node)
        if names is None:
            raise SemanticError("a whole document cannot be changed, only its fields", node.span)
        return names

    for apply in statement.applies:
        value = compile_expression(apply.operand or syntax.Literal(0), scope)
        yield _apply(path(apply.path), apply.operation, value)
    for assignment in statement.assignments:
        value = compile_expression(assignment.value or syntax.Literal(None), scope)
        yield _assign(path(assignment.path), value)
    yield from (_unset(path(each)) for each in statement.removals)


def _apply(path: Path, operation: syntax.CounterOperation, value: CompiledExpression) -> Step:
    def step(document: Document, env: Environment) -> Operation | None:
        found = value(document, env)
        amount = None if found is MISSING else found
        match operation:
            case syntax.CounterOperation.RESTART:
                return Restart(path, amount)
            case syntax.CounterOperation.PN_INCREMENT:
                return Increment(path, amount, pn=True)
        return Increment(path, amount)

    return step


def _assign(path: Path, value: CompiledExpression) -> Step:
    def step(document: Document, env: Environment) -> Operation | None:
        found = value(document, env)
        return None if found is MISSING else Set(path, found)

    return step


def _unset(path: Path) -> Step:
    return lambda document, env: Unset(path)

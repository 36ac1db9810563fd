# SPDX-License-Identifier: Apache-2.0
"""UPDATE, DELETE and EVICT, within one unit of work."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from attrs import define, field, frozen

from edge_twisted.database import mutations
from edge_twisted.database.result import Warnings
from edge_twisted.database.rules import Document, Rules
from edge_twisted.database.select import PlanReader
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
from edge_twisted.documents.values import MISSING, Value
from edge_twisted.dql import syntax
from edge_twisted.dql.compile import Compiled, Environment, RowScope, compile_expression
from edge_twisted.dql.errors import SemanticError
from edge_twisted.dql.names import resolved
from edge_twisted.dql.plan.query import QueryPlan, field_of_term
from edge_twisted.records.documents import ID, DocumentWriter
from edge_twisted.records.evictions import count_unsynced, note_evicted
from edge_twisted.store.keys import at
from edge_twisted.store.rows import StoredDocument as Row

T = TypeVar("T")
#: Documents written between two looks at the clock: a write takes some 50 microseconds.
_WRITES_PER_CHECK = 16


@define(kw_only=True)
class MutationRun:
    """One execution of a mutation: where it reads and writes, and what it keeps to."""

    reading: PlanReader
    writer: DocumentWriter
    rules: Rules
    warnings: Warnings

    def each(self, documents: Sequence[T]) -> Iterable[T]:
        """Yield the documents that are to be changed, looking now and then whether to go on."""
        if len(documents) == 1:
            return documents
        return self.reading.interruption.watch(documents, _WRITES_PER_CHECK)


@define
class MutationOutcome:
    """What a mutation did: the documents for RETURNING, in order, and their ids."""

    documents: list[Document] = field(factory=list)
    ids: list[Value] = field(factory=list)

    def add(self, document: Document, *, visible: bool = True) -> None:
        """Take one more document, which RETURNING shows if it is visible to the caller."""
        self.show(document, visible=visible)
        self.ids.append(document[ID])

    def show(self, document: Document, *, visible: bool = True) -> None:
        """Take a document that was found, and nothing about it changed."""
        if visible:
            self.documents.append(document)


@frozen
class UpdatePlan:
    """What UPDATE does to each document: compiled once, computed from the document as it was."""

    _steps: tuple[Callable[[Document, Environment], Operation | None], ...]

    def operations(self, document: Document, env: Environment) -> list[Operation]:
        """Return the operations on one document; SET to MISSING is none."""
        found = [step(document, env) for step in self._steps]
        return [operation for operation in found if operation is not None]


def plan_update(statement: syntax.Update) -> UpdatePlan:
    """:raises SemanticError: an expression means nothing."""
    statement = resolved(statement, (statement.term,))
    term = statement.term.name
    scope = RowScope((term,))
    field_of = field_of_term(term)

    def path(node: syntax.Path) -> Path:
        names = field_of(node)
        if names is None:
            raise SemanticError("a whole document cannot be changed, only its fields", node.span)
        return names

    steps: list[Callable[[Document, Environment], Operation | None]] = []
    for apply in statement.applies:
        value = compile_expression(apply.operand or syntax.Literal(0), scope)
        steps.append(_apply(path(apply.path), apply.operation, value))
    for assignment in statement.assignments:
        value = compile_expression(assignment.value or syntax.Literal(None), scope)
        steps.append(_assign(path(assignment.path), value))
    steps.extend(_unset(path(each)) for each in statement.removals)
    return UpdatePlan(tuple(steps))


def _apply(
    path: Path, operation: syntax.CounterOperation, value: Compiled
) -> Callable[[Document, Environment], Operation | None]:
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


def _assign(path: Path, value: Compiled) -> Callable[[Document, Environment], Operation | None]:
    def step(document: Document, env: Environment) -> Operation | None:
        found = value(document, env)
        return None if found is MISSING else Set(path, found)

    return step


def _unset(path: Path) -> Callable[[Document, Environment], Operation | None]:
    return lambda document, env: Unset(path)


def update(plan: UpdatePlan, target: QueryPlan, run: MutationRun) -> MutationOutcome:
    """Run UPDATE on the documents that `target` finds, all found before the first is changed."""
    env = run.reading.env
    changed = MutationOutcome()
    collection = _collection(target)
    for document in run.each(list(_targets(target, run))):
        id_ = DocumentId.of(document[ID])
        state = run.writer.load(collection, id_.key)
        assert state is not None
        operations = plan.operations(document, env)
        if operations and not _changes_nothing(operations, document, run.rules):
            written = mutations.change(
                run.writer, collection, id_, state, operations, run.rules, run.warnings
            )
            changed.add(written.document, visible=written.visible)
        else:
            changed.show(document)
    return changed


def _changes_nothing(operations: Sequence[Operation], document: Document, rules: Rules) -> bool:
    """Return whether operations only take away what is not there."""
    if rules.typing is not UNTYPED or rules.reads is not UNTYPED:
        # Another type than the declared one may be there, which the document does not show.
        return False
    return all(
        isinstance(each, Unset) and at(document, each.path) is MISSING for each in operations
    )


def delete(target: QueryPlan, run: MutationRun) -> MutationOutcome:
    """Run DELETE on the documents that `target` finds."""
    changed = MutationOutcome()
    collection = _collection(target)
    for document in run.each(list(_targets(target, run))):
        id_ = DocumentId.of(document[ID])
        state = run.writer.load(collection, id_.key)
        assert state is not None
        if mutations.delete(run.writer, collection, id_, state, run.rules):
            changed.add(document)
    return changed


def evict(target: QueryPlan, run: MutationRun) -> MutationOutcome:
    """Run EVICT on the documents that `target` finds."""
    changed = MutationOutcome()
    collection = _collection(target)
    transaction = run.writer.transaction
    rows: list[Row] = []
    for document in run.each(list(_targets(target, run))):
        id_ = DocumentId.of(document[ID])
        row = mutations.evict(run.writer, collection, id_, run.rules)
        if row is not None:
            rows.append(row)
            changed.add(document)
    unsynced = count_unsynced(transaction, rows)
    if unsynced:
        run.warnings.add(f"{unsynced} evicted documents had edits that no peer has acknowledged")
    note_evicted(transaction, collection, rows)
    return changed


def _targets(target: QueryPlan, run: MutationRun) -> Iterator[Document]:
    for row in run.reading.rows(target):
        assert isinstance(row, dict)
        yield row


def _collection(target: QueryPlan) -> str:
    source = target.statement.source
    assert source is not None
    return source.collection.name


def targets_of(statement: syntax.Update | syntax.Delete | syntax.Evict) -> syntax.Select:
    """Return the SELECT that finds the documents a mutation is about."""
    return syntax.Select(
        projections=(syntax.Wildcard(),),
        source=statement.term,
        selection=statement.selection,
        directives=statement.directives,
    )


def returning_of(projections: tuple[syntax.Projection, ...], term: syntax.Term) -> syntax.Select:
    """Return the SELECT over the documents touched that RETURNING is."""
    return syntax.Select(projections=projections, source=term)

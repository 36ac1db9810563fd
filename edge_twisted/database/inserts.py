# SPDX-License-Identifier: Apache-2.0
"""
INSERT, within one unit of work.

The commonest mutation, and most of them are of one document: what few of them need is not made
for all.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from edge_twisted.database import mutations
from edge_twisted.database.execution import Execution
from edge_twisted.database.mutations import WrittenDocument
from edge_twisted.database.result import Result, Warnings
from edge_twisted.database.returning import returned
from edge_twisted.database.rules import Document, Rules, rules_of
from edge_twisted.documents.values import Operand, Value
from edge_twisted.dql import syntax
from edge_twisted.dql.compile import Compiled, RowScope, compile_expression
from edge_twisted.dql.errors import SemanticError
from edge_twisted.records.documents import ID, DocumentWriter
from edge_twisted.store.interface import UnitOfWork

#: Documents written between two looks at the clock: a write takes some 50 microseconds.
WRITES_PER_CHECK = 16


def insert(run: Execution, statement: syntax.Insert, transaction: UnitOfWork) -> Result:
    """
    Run INSERT.

    :raises EdgeError: a document cannot be stored, or may not; see `mutations.insert`.
    """
    collection, source = statement.collection, statement.documents
    opened = run.open(source, transaction) if isinstance(source, syntax.Select) else None
    env = run.environment() if opened is None else opened.reading.env
    rules = rules_of(run.prepared, collection, run.parameters, run.access, env)
    values: Sequence[Operand]
    if opened is not None:
        values = opened.reading.rows(opened.plan)
    else:
        values = [document(None, env) for document in _compiled(run, statement)]
    if values:
        transaction.admit_collection(collection.name)
    written: list[Document] = []
    ids: list[Value] = []
    warnings, writer = Warnings(), DocumentWriter(transaction)
    for new in _watched(run, mutations.documents_in(values, run.new_id)):
        found = _insert_one(statement, writer, new, rules, warnings)
        if found is not None:
            ids.append(found.document[ID])
            if found.visible:
                written.append(found.document)
    return Result(
        query_type="insert",
        verb="insert",
        collections=run.prepared.collections,
        items=returned(run, statement.returning, syntax.Term(collection), written, transaction)
        if statement.returning
        else [],
        mutated_ids=ids,
        warnings=warnings.shown,
        total_warnings=warnings.total,
    )


def _watched(run: Execution, documents: Sequence[WrittenDocument]) -> Iterable[WrittenDocument]:
    """Yield documents, looking now and then whether to go on."""
    if len(documents) == 1:
        return documents
    return run.interruption.watch(documents, WRITES_PER_CHECK)


def _insert_one(
    statement: syntax.Insert,
    writer: DocumentWriter,
    new: WrittenDocument,
    rules: Rules,
    warnings: Warnings,
) -> WrittenDocument | None:
    name = statement.collection.name
    if statement.initial:
        return mutations.insert_initial(writer, name, new, rules, warnings)
    return mutations.insert(writer, name, new, statement.policy, rules, warnings)


def _compiled(run: Execution, statement: syntax.Insert) -> list[Compiled]:
    """:raises SemanticError: a document names fields, of which there are none yet."""
    found: list[Compiled] | None = run.prepared.made.get("documents")
    if found is None:
        assert isinstance(statement.documents, syntax.DocumentsClause)
        found = [_document(each) for each in statement.documents.items]
        run.prepared.made["documents"] = found
    return found


def _document(node: syntax.Expression) -> Compiled:
    for each in node.walk():
        if isinstance(each, syntax.Path):
            raise SemanticError("Cannot convert to a literal", each.span)
    return compile_expression(node, RowScope(()))

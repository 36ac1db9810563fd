# SPDX-License-Identifier: Apache-2.0
"""
Mutations of single documents, within one unit of work.

Every function takes a `DocumentWriter` and checks what the caller may see and write, so all
statements that write documents go through this module.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from attrs import define, evolve
from twisted.logger import Logger

from edge_twisted.database.errors import (
    DocumentTooLarge,
    DuplicateIds,
    IdConflict,
    NotADocument,
    StatementForbidden,
)
from edge_twisted.database.mutation_rules import Document, MutationRules
from edge_twisted.database.row_batches import Warnings
from edge_twisted.documents import writes
from edge_twisted.documents.ids import DocumentId
from edge_twisted.documents.json_text import to_text
from edge_twisted.documents.operations import UNTYPED, Operation, Set
from edge_twisted.documents.state import DocumentState
from edge_twisted.documents.values import MISSING, Operand
from edge_twisted.dql.syntax import ConflictPolicy
from edge_twisted.records.documents import ID, DocumentWriter, document_of_state
from edge_twisted.records.evictions import note_initial_delete, was_initial_deleted
from edge_twisted.store.rows import StoredDocument as Row

log = Logger()

#: The text of every refusal to write: the reason could reveal a hidden document.
NOT_WRITTEN: Final = "the document may not be written"


@define
class WrittenDocument:
    """A document that a mutation wrote, or is about to write."""

    id: DocumentId
    document: Document
    #: Whether RETURNING may show it.
    visible: bool = True


def collect_documents(
    values: Sequence[Operand], new_id: Callable[[], str]
) -> list[WrittenDocument]:
    """
    Collect the documents of INSERT from its values; an array stands for its elements.

    :param new_id: makes the id of a document without one.
    :raises NotADocument: a value is no object.
    :raises InvalidDocumentId: a value of `_id` cannot be an id.
    :raises DuplicateIds: two documents have the same id.
    """
    flat: list[Operand] = []
    for value in values:
        flat.extend(value if isinstance(value, list) else [value])
    found: list[WrittenDocument] = []
    for each in flat:
        if not isinstance(each, dict):
            raise NotADocument(_kind(each))
        document = each if ID in each else {ID: new_id(), **each}
        found.append(WrittenDocument(DocumentId.of(document[ID]), document))
    if len(found) > 1 and len({each.id.key for each in found}) < len(found):
        raise DuplicateIds
    return found


def insert(
    writer: DocumentWriter,
    collection: str,
    new: WrittenDocument,
    policy: ConflictPolicy,
    rules: MutationRules,
    warnings: Warnings,
) -> WrittenDocument | None:
    """
    Store a new document; if its id is taken, apply the policy.  Return None if nothing is written.

    If the present document is hidden from the caller, DO NOTHING does nothing, and every other
    policy is refused before the two documents are compared.

    :raises IdConflict: the id is taken, and the policy is FAIL.
    :raises StatementForbidden: the caller may not store the document, or the present one is hidden.
    :raises DocumentTooLarge, InvalidWrite: the document cannot be stored.
    """
    old = writer.load(collection, new.id.key)
    is_plain = old is None and rules.typing is UNTYPED
    if is_plain and not writer.evicted(collection, new.id.key):
        _check(writer, collection, new.id, new.document, rules)
        size = writer.save_fresh(collection, new.id, new.document)
        check_size(new.id, size, rules, warnings)
        return new if rules.may_see is None else evolve(new, visible=rules.shows(new.document))
    fields = {name: value for name, value in new.document.items() if name != ID}
    if old is None or not old.is_alive:
        state = writes.insert(old, fields, writer.stamp(), rules.typing)
        return _save(writer, collection, new.id, state, rules, warnings)
    if policy is ConflictPolicy.NOTHING:
        return None
    if not rules.shows(document_of_state(new.id, old)):
        # The same answer as to any forbidden write, so that it reveals nothing.
        raise StatementForbidden(NOT_WRITTEN)
    match policy:
        case ConflictPolicy.FAIL:
            raise IdConflict(new.id.value)
        case ConflictPolicy.UPDATE_LOCAL_DIFF:
            operations = list(writes.differences(old, fields, rules.typing))
        case ConflictPolicy.UPDATE:
            operations = [Set((name,), value) for name, value in fields.items()]
    if not operations:
        return None
    return change(writer, collection, new.id, old, operations, rules, warnings)


def insert_initial(
    writer: DocumentWriter,
    collection: str,
    new: WrittenDocument,
    rules: MutationRules,
    warnings: Warnings,
) -> WrittenDocument | None:
    """
    Store a document with the stamp of the beginning of time, so that every other write wins.

    Return None, and change nothing, if the id is or was in use, visible to the caller or not.
    """
    if writer.load(collection, new.id.key) is not None:
        return None
    if was_initial_deleted(writer.transaction, collection, new.id.key):
        return None
    fields = {name: value for name, value in new.document.items() if name != ID}
    state = writes.initial(fields, rules.typing)
    return _save(writer, collection, new.id, state, rules, warnings)


def change(
    writer: DocumentWriter,
    collection: str,
    id_: DocumentId,
    state: DocumentState,
    operations: Sequence[Operation],
    rules: MutationRules,
    warnings: Warnings,
) -> WrittenDocument:
    """
    Apply operations to a live document.

    :raises StatementForbidden: the document is hidden, or rules forbid the old or the new one.
    :raises DocumentTooLarge, InvalidWrite: the new document cannot be stored.
    """
    if not permits(rules, id_, state):
        raise StatementForbidden("the document may not be changed")
    changed = writes.apply(state, operations, writer.stamp(), rules.typing)
    return _save(writer, collection, id_, changed, rules, warnings)


def delete(
    writer: DocumentWriter,
    collection: str,
    id_: DocumentId,
    state: DocumentState,
    rules: MutationRules | None,
) -> bool:
    """
    Delete a live document for all peers; return False, and do nothing, if the rules forbid it.

    :param rules: None if the mesh deletes, not a caller.
    """
    if rules is not None and not permits(rules, id_, state):
        return False
    deleted = writes.delete(state, writer.stamp())
    writer.save(collection, id_, deleted)
    note_initial_delete(writer.transaction, collection, id_.key, deleted.version)
    return True


def evict(
    writer: DocumentWriter, collection: str, id_: DocumentId, rules: MutationRules
) -> Row | None:
    """
    Remove a live document from this server alone; return its row, for `note_evicted`.

    Return None, and do nothing, if the rules forbid it.
    """
    if rules.are_conditional:
        state = writer.load(collection, id_.key)
        assert state is not None
        if not permits(rules, id_, state):
            return None
    row = writer.transaction.get(collection, id_.key)
    assert row is not None
    writer.transaction.remove(collection, id_.key)
    return row


def permits(rules: MutationRules, id_: DocumentId, state: DocumentState) -> bool:
    """
    Return whether the caller may both see and write a live document, as it is without types.

    Every change of an existing document is checked here: a caller who may not see a document may
    not change it, whatever the write rule says.
    """
    if not rules.are_conditional:
        return True
    document = document_of_state(id_, state)
    return rules.shows(document) and rules.permits(document)


def check_size(id_: DocumentId, size: int, rules: MutationRules, warnings: Warnings) -> None:
    """
    Warn of a document that is larger than the soft limit; `size` is in bytes.

    :raises DocumentTooLarge: the document is larger than the hard limit.
    """
    limits = rules.parameters
    if size > limits.hard_bytes:
        raise DocumentTooLarge(id_.value, size, limits.hard_bytes)
    if size > limits.soft_bytes:
        shown_id = to_text(id_.value).decode("utf-8")
        text = (
            f"Document `_id = {shown_id}` size is {size} bytes and exceeds recommended limit of "
            f"{limits.soft_bytes} bytes"
        )
        log.warn("{text}", text=text)
        warnings.add(text)


def _save(
    writer: DocumentWriter,
    collection: str,
    id_: DocumentId,
    state: DocumentState,
    rules: MutationRules,
    warnings: Warnings,
) -> WrittenDocument:
    document = document_of_state(id_, state)
    _check(writer, collection, id_, document, rules)
    check_size(id_, writer.save(collection, id_, state), rules, warnings)
    visible = rules.shows(document)
    if rules.reads is not UNTYPED:
        document = document_of_state(id_, state, rules.reads)
    return WrittenDocument(id_, document, visible)


def _check(
    writer: DocumentWriter,
    collection: str,
    id_: DocumentId,
    document: Document,
    rules: MutationRules,
) -> None:
    """Check a document to be stored; :raises StatementForbidden, AttachmentForbidden: refused."""
    if not rules.permits(document):
        raise StatementForbidden(NOT_WRITTEN)
    if rules.attachments is not None:
        rules.attachments.check(writer.transaction, collection, id_.key, document)


def _kind(value: Operand) -> str:
    if value is MISSING:
        return "MISSING"
    names = {bool: "a boolean", int: "an integer", float: "a float", str: "a string"}
    return "NULL" if value is None else names.get(type(value), "a value of another type")

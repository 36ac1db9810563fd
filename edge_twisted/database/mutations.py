# SPDX-License-Identifier: Apache-2.0
"""
Mutations of single documents, within one unit of work.

`CheckedWriter` checks what the caller may see and write, so all statements that write documents
go through it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from attrs import define, evolve, field
from twisted.logger import Logger

from edge_twisted.database.errors import (
    DocumentTooLarge,
    DuplicateIds,
    IdConflict,
    NotADocument,
    StatementForbidden,
)
from edge_twisted.database.mutation_rules import MutationRules
from edge_twisted.database.row_batches import Warnings
from edge_twisted.documents import writes
from edge_twisted.documents.ids import DocumentId
from edge_twisted.documents.json_text import to_text
from edge_twisted.documents.operations import UNTYPED, Operation, Set
from edge_twisted.documents.state import DocumentState
from edge_twisted.documents.values import MISSING, Operand, Value
from edge_twisted.dql.rows import Document
from edge_twisted.dql.syntax import ConflictPolicy
from edge_twisted.records.documents import ID, DocumentWriter, document_of_state
from edge_twisted.records.evictions import note_initial_delete, was_initial_deleted
from edge_twisted.store.interface import UnitOfWork
from edge_twisted.store.rows import StoredDocument

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
    Return the documents of INSERT, with their ids, from its values; an array is many.

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


@define
class CheckedWriter:
    """Writes documents of one collection, each checked by the rules of the mutation."""

    _writer: DocumentWriter
    collection: str
    rules: MutationRules
    warnings: Warnings = field(factory=Warnings)

    @property
    def unit(self) -> UnitOfWork:
        """The unit of work in which the documents are written."""
        return self._writer.unit

    def load(self, id_: DocumentId) -> DocumentState | None:
        """
        Return the state of a document, deleted or not; None if there is none.

        :raises DocumentDamaged: the document is in quarantine.
        """
        return self._writer.load(self.collection, id_.key)

    def insert(self, new: WrittenDocument, policy: ConflictPolicy) -> WrittenDocument | None:
        """
        Store a new document, or apply the policy if its id is taken; return what was written.

        Returns None if nothing was written.  If the present document is hidden from the caller, DO
        NOTHING does nothing, and every other policy is refused before the two documents are
        compared.

        :raises IdConflict: the id is taken, and the policy is FAIL.
        :raises StatementForbidden: rules forbid the document, or hide the present one.
        :raises DocumentTooLarge, InvalidWrite: the document cannot be stored.
        """
        rules, writer, old = self.rules, self._writer, self.load(new.id)
        is_plain = old is None and rules.typing is UNTYPED
        if is_plain and not writer.evicted_version(self.collection, new.id.key):
            self._check(new.id, new.document)
            self._check_size(new.id, writer.save_fresh(self.collection, new.id, new.document))
            return new if rules.may_see is None else evolve(new, visible=rules.shows(new.document))
        if old is None or not old.is_alive:
            state = writes.insert(old, _fields(new), writer.stamp(), rules.typing)
            return self._save(new.id, state)
        if policy is ConflictPolicy.NOTHING:
            return None
        if not rules.shows(document_of_state(new.id, old)):
            # The same answer as to any forbidden write, so that it reveals nothing.
            raise StatementForbidden(NOT_WRITTEN)
        if policy is ConflictPolicy.FAIL:
            raise IdConflict(new.id.value)
        operations = self._updates(old, _fields(new), policy)
        return self.change(new.id, old, operations) if operations else None

    def _updates(
        self, old: DocumentState, fields: dict[str, Value], policy: ConflictPolicy
    ) -> Sequence[Operation]:
        """Return what DO UPDATE or DO UPDATE_LOCAL_DIFF writes to the present document."""
        if policy is ConflictPolicy.UPDATE_LOCAL_DIFF:
            return list(writes.differences(old, fields, self.rules.typing))
        return [Set((name,), value) for name, value in fields.items()]

    def insert_initial(self, new: WrittenDocument) -> WrittenDocument | None:
        """
        Store a document with the stamp of the beginning of time, so that every other write wins.

        Return None, and change nothing, if the id is or was in use, visible to the caller or not.

        :raises StatementForbidden: rules forbid the document.
        :raises DocumentTooLarge, InvalidWrite: the document cannot be stored.
        """
        if self.load(new.id) is not None:
            return None
        if was_initial_deleted(self.unit, self.collection, new.id.key):
            return None
        return self._save(new.id, writes.initial(_fields(new), self.rules.typing))

    def change(
        self, id_: DocumentId, state: DocumentState, operations: Sequence[Operation]
    ) -> WrittenDocument:
        """
        Apply operations to a live document, and store it; return the changed document.

        :param state: the state of the document now.
        :raises StatementForbidden: the document is hidden, or rules forbid the old or the new one.
        :raises DocumentTooLarge, InvalidWrite: the new document cannot be stored.
        """
        if not self._permits(id_, state):
            raise StatementForbidden("the document may not be changed")
        changed = writes.apply(state, operations, self._writer.stamp(), self.rules.typing)
        return self._save(id_, changed)

    def delete(self, id_: DocumentId, state: DocumentState) -> bool:
        """
        Delete a live document for all peers; return False, doing nothing, if rules forbid it.

        :param state: the state of the document now.
        """
        if not self._permits(id_, state):
            return False
        delete(self._writer, self.collection, id_, state)
        return True

    def evict(self, id_: DocumentId) -> StoredDocument | None:
        """
        Remove a live document from this server alone; return its row, for `note_evicted`.

        Return None, and do nothing, if the rules forbid it.
        """
        if self.rules.are_conditional:
            state = self.load(id_)
            assert state is not None
            if not self._permits(id_, state):
                return None
        row = self.unit.get(self.collection, id_.key)
        assert row is not None
        self.unit.remove(self.collection, id_.key)
        return row

    def _permits(self, id_: DocumentId, state: DocumentState) -> bool:
        """
        Return whether the caller may both see and write a live document, as it is without types.

        Every change of an existing document is checked here: a caller who may not see a document
        may not change it, whatever the write rule says.
        """
        if not self.rules.are_conditional:
            return True
        document = document_of_state(id_, state)
        return self.rules.shows(document) and self.rules.permits(document)

    def _check_size(self, id_: DocumentId, size: int) -> None:
        """
        Warn of a document that is larger than the soft limit; `size` is in bytes.

        :raises DocumentTooLarge: the document is larger than the hard limit.
        """
        limits = self.rules.parameters
        if size > limits.hard_bytes:
            raise DocumentTooLarge(id_.value, size, limits.hard_bytes)
        if size > limits.soft_bytes:
            shown_id = to_text(id_.value).decode("utf-8")
            text = (
                f"Document `_id = {shown_id}` size is {size} bytes and exceeds recommended limit "
                f"of {limits.soft_bytes} bytes"
            )
            log.warn("{text}", text=text)
            self.warnings.add(text)

    def _save(self, id_: DocumentId, state: DocumentState) -> WrittenDocument:
        rules, document = self.rules, document_of_state(id_, state)
        self._check(id_, document)
        self._check_size(id_, self._writer.save(self.collection, id_, state))
        visible = rules.shows(document)
        if rules.reads is not UNTYPED:
            document = document_of_state(id_, state, rules.reads)
        return WrittenDocument(id_, document, visible)

    def _check(self, id_: DocumentId, document: Document) -> None:
        """Check a new document; :raises StatementForbidden, AttachmentForbidden: it is refused."""
        if not self.rules.permits(document):
            raise StatementForbidden(NOT_WRITTEN)
        if self.rules.attachments is not None:
            self.rules.attachments.check(self.unit, self.collection, id_.key, document)


def delete(writer: DocumentWriter, collection: str, id_: DocumentId, state: DocumentState) -> None:
    """
    Delete a live document for all peers, without asking rules, as the mesh does.

    :param state: the state of the document now.
    """
    deleted = writes.delete(state, writer.stamp())
    writer.save(collection, id_, deleted)
    note_initial_delete(writer.unit, collection, id_.key, deleted.version)


def _fields(new: WrittenDocument) -> dict[str, Value]:
    return {name: value for name, value in new.document.items() if name != ID}


def _kind(value: Operand) -> str:
    if value is MISSING:
        return "MISSING"
    names = {bool: "a boolean", int: "an integer", float: "a float", str: "a string"}
    return "NULL" if value is None else names.get(type(value), "a value of another type")

# SPDX-License-Identifier: Apache-2.0
"""
What mutations do to single documents, within one unit of work.

Every function works on a `Writer`, checks what may be written, and returns the document as it is
after (or, for DELETE and EVICT, was before).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from attrs import define, evolve
from twisted.logger import Logger

from edge_twisted.database.departures import note_initial_delete, was_initial_deleted
from edge_twisted.database.errors import (
    DocumentTooLarge,
    DuplicateIds,
    Forbidden,
    IdConflict,
    NotADocument,
)
from edge_twisted.database.result import Warnings
from edge_twisted.database.rules import Document, Rules
from edge_twisted.database.stored import ID, Writer, shown
from edge_twisted.documents import writing
from edge_twisted.documents.ids import DocumentId
from edge_twisted.documents.json_text import to_text
from edge_twisted.documents.operations import UNTYPED, Operation, Set
from edge_twisted.documents.state import State
from edge_twisted.documents.values import MISSING, Operand
from edge_twisted.dql.syntax import ConflictPolicy
from edge_twisted.store.interface import WriteTransaction

log = Logger()


@define
class Written:
    """A document that a mutation touched."""

    id: DocumentId
    document: Document
    #: Whether RETURNING may show it.
    visible: bool = True


def documents_in(values: Sequence[Operand], new_id: Callable[[], str]) -> list[Written]:
    """
    Return the documents that INSERT was given; arrays contribute each of their elements.

    :raises NotADocument: something is no object.
    :raises InvalidDocumentId: an id cannot be one.
    :raises DuplicateIds: an id comes twice.
    """
    flat: list[Operand] = []
    for value in values:
        flat.extend(value if isinstance(value, list) else [value])
    found: list[Written] = []
    for each in flat:
        if not isinstance(each, dict):
            raise NotADocument(_kind(each))
        document = each if ID in each else {ID: new_id(), **each}
        found.append(Written(DocumentId.of(document[ID]), document))
    if len(found) > 1 and len({each.id.key for each in found}) < len(found):
        raise DuplicateIds
    return found


def insert(
    writer: Writer,
    collection: str,
    new: Written,
    policy: ConflictPolicy,
    rules: Rules,
    warnings: Warnings,
) -> Written | None:
    """
    Store a new document, or do what the policy says; None if nothing was written.

    :raises IdConflict: there is one with the id, and the policy is FAIL.
    :raises Forbidden, DocumentTooLarge, InvalidWrite: it may not be stored; Forbidden also
        where the one with the id is hidden from the caller.
    """
    old = writer.load(collection, new.id.key)
    is_plain = old is None and rules.typing is UNTYPED
    if is_plain and not writer.evicted(collection, new.id.key):
        _check(new.document, rules)
        size = writer.save_fresh(collection, new.id, new.document)
        check_size(new.id, size, rules, warnings)
        return new if rules.may_see is None else evolve(new, visible=rules.may_see(new.document))
    fields = {name: value for name, value in new.document.items() if name != ID}
    if old is None or not old.is_alive:
        state = writing.insert(old, fields, writer.stamp(), rules.typing)
        return _saved(writer, collection, new.id, state, rules, warnings)
    match policy:
        case ConflictPolicy.FAIL:
            if rules.may_see is not None and not rules.may_see(shown(new.id, old)):
                # As any other write that is not permitted: not a word about whose document it is.
                raise Forbidden("the document may not be written")
            raise IdConflict(new.id.value)
        case ConflictPolicy.NOTHING:
            return None
        case ConflictPolicy.UPDATE_LOCAL_DIFF:
            operations = list(writing.differences(old, fields, rules.typing))
        case ConflictPolicy.UPDATE:
            operations = [Set((name,), value) for name, value in fields.items()]
    if not operations and policy is ConflictPolicy.UPDATE_LOCAL_DIFF:
        return None
    return change(writer, collection, new.id, old, operations, rules, warnings)


def insert_initial(
    writer: Writer, collection: str, new: Written, rules: Rules, warnings: Warnings
) -> Written | None:
    """Store a document at the beginning of time; None if there is, or was, one with its id."""
    if writer.load(collection, new.id.key) is not None:
        return None
    if was_initial_deleted(writer.transaction, collection, new.id.key):
        return None
    fields = {name: value for name, value in new.document.items() if name != ID}
    state = writing.initial(fields, rules.typing)
    return _saved(writer, collection, new.id, state, rules, warnings)


def change(
    writer: Writer,
    collection: str,
    id_: DocumentId,
    state: State,
    operations: Sequence[Operation],
    rules: Rules,
    warnings: Warnings,
) -> Written:
    """
    Apply operations to a live document.

    :raises Forbidden, DocumentTooLarge, InvalidWrite: it may not become what it would.
    """
    if not permits(rules, id_, state):
        raise Forbidden("the document may not be changed")
    changed = writing.apply(state, operations, writer.stamp(), rules.typing)
    return _saved(writer, collection, id_, changed, rules, warnings)


def delete(writer: Writer, collection: str, id_: DocumentId, state: State) -> None:
    """Delete a live document everywhere."""
    deleted = writing.delete(state, writer.stamp())
    writer.save(collection, id_, deleted)
    note_initial_delete(writer.transaction, collection, id_.key, deleted.version)


def evict(transaction: WriteTransaction, collection: str, id_: DocumentId) -> None:
    """Forget a document here, without a trace."""
    transaction.remove(collection, id_.key)


def permits(rules: Rules, id_: DocumentId, state: State) -> bool:
    """Return whether a live document may be written, as it shows itself to everybody."""
    return rules.may_write is None or rules.may_write(shown(id_, state))


def check_size(id_: DocumentId, size: int, rules: Rules, warnings: Warnings) -> None:
    """
    Warn of a document beyond the soft limit.

    :raises DocumentTooLarge: it is beyond the hard one.
    """
    limits = rules.parameters
    if size > limits.hard_bytes:
        raise DocumentTooLarge(id_.value, size, limits.hard_bytes)
    if size > limits.soft_bytes:
        shown = to_text(id_.value).decode("utf-8")
        text = (
            f"Document `_id = {shown}` size is {size} bytes and exceeds recommended limit of "
            f"{limits.soft_bytes} bytes"
        )
        log.warn("{text}", text=text)
        warnings.add(text)


def _saved(
    writer: Writer,
    collection: str,
    id_: DocumentId,
    state: State,
    rules: Rules,
    warnings: Warnings,
) -> Written:
    document = shown(id_, state)
    _check(document, rules)
    check_size(id_, writer.save(collection, id_, state), rules, warnings)
    visible = rules.may_see is None or rules.may_see(document)
    if rules.reads is not UNTYPED:
        document = shown(id_, state, rules.reads)
    return Written(id_, document, visible)


def _check(document: Document, rules: Rules) -> None:
    if not rules.permits(document):
        raise Forbidden("the document may not be written")


def _kind(value: Operand) -> str:
    if value is MISSING:
        return "MISSING"
    names = {bool: "a boolean", int: "an integer", float: "a float", str: "a string"}
    return "NULL" if value is None else names.get(type(value), "a value of another type")

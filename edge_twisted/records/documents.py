# SPDX-License-Identifier: Apache-2.0
"""
Reading and writing documents: the rows of a store on one side, merge states on the other.
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import define, field

from edge_twisted.documents.attachments import tokens_in
from edge_twisted.documents.digest import digest, digest_of_write
from edge_twisted.documents.encoding import CorruptState, decode, encode, encode_fresh
from edge_twisted.documents.entries import Stamp
from edge_twisted.documents.ids import DocumentId
from edge_twisted.documents.json_text import InvalidJson, from_text, to_text
from edge_twisted.documents.operations import UNTYPED, VariantRules
from edge_twisted.documents.state import DocumentState, forgets, merge
from edge_twisted.documents.typed_fields import fields_as, has_hidden_variants
from edge_twisted.documents.values import Value
from edge_twisted.documents.version_exceptions import except_evicted
from edge_twisted.documents.versions import NO_VERSION, Replica, VersionVector
from edge_twisted.documents.writes import MAX_DEPTH, check_depth
from edge_twisted.records.evictions import Evictions, evicted_of
from edge_twisted.records.facts import HIDDEN_VARIANTS
from edge_twisted.records.transit_size import count_change
from edge_twisted.store.errors import DocumentDamaged, StoreCorrupt
from edge_twisted.store.hidden import hidden_name
from edge_twisted.store.interface import Snapshot, UnitOfWork
from edge_twisted.store.rows import StoredDocument

ID = "_id"


@define(eq=False)
class DocumentWriter:
    """Writes documents within one unit of work of this server."""

    unit: UnitOfWork
    _own: Replica | None = None
    #: By collection: whether documents are remembered there as evicted.
    _evicts: dict[str, bool] = field(factory=dict)
    #: Whether there are documents in transit beside the collections that are written.
    _hides: dict[str, bool] = field(factory=dict)

    def stamp(self) -> Stamp:
        """Name a new write of this server; return its stamp: timestamp, replica, sequence."""
        dot = self.unit.next_dot()
        self._own = dot.replica
        return Stamp(self.unit.tick(), dot.replica, dot.sequence)

    def evicted_version(self, collection: str, key: bytes) -> VersionVector:
        """Return the evicted version of a document that has not come back; empty for all others."""
        evicts = self._evicts.get(collection)
        if evicts is None:
            evictions = Evictions.of(self.unit, collection)
            evicts = self._evicts[collection] = evictions.count > 0
        return evicted_of(self.unit, collection, key) if evicts else NO_VERSION

    def _in_transit(self, collection: str, key: bytes) -> StoredDocument | None:
        """Return the document of this id that is in transit, if there is one."""
        hides = self._hides.get(collection)
        if hides is None:
            found = self.unit.collection(hidden_name(collection))
            hides = self._hides[collection] = found is not None
        return self.unit.get(hidden_name(collection), key) if hides else None

    def _with_transit(
        self, collection: str, row: StoredDocument, state: DocumentState
    ) -> DocumentState:
        """Take a document out of transit; return its state merged with the one that is written."""
        hidden = hidden_name(collection)
        other = load_state(self.unit, hidden, row.id_key)
        assert other is not None
        self.unit.remove(hidden, row.id_key)
        count_change(self.unit, row, None)
        merged = merge(state, other)
        if merged.is_alive and forgets(state, other):
            # As where a merge of what peers sent drops writes, see `replication.merges`.
            version = merged.version.with_dot(self.stamp().dot)
            merged = DocumentState(merged.root, merged.life, version)
        return merged

    def load(self, collection: str, key: bytes) -> DocumentState | None:
        """
        Return the state of a document, deleted or not, as `load_state` does; None if absent.

        :raises DocumentDamaged, StoreCorrupt: see `load_state`.
        """
        return load_state(self.unit, collection, key)

    def save(self, collection: str, id_: DocumentId, state: DocumentState) -> int:
        """
        Store a state; return the size of the document's text in bytes, 0 for a deleted one.

        Makes the text, the digest and the attachments from the state, and merges in what is in
        transit.

        :param state: has the write that is to be stored already, under a stamp of `stamp`.
        :raises DocumentDamaged, StoreCorrupt: the document here cannot be read, see `load_state`.
        """
        evicted = self.evicted_version(collection, id_.key)
        # No own replica: INITIAL writes with the stamp of the beginning of time.
        if self._own is not None and (evicted or state.version.exceptions):
            before = self.load(collection, id_.key) or DocumentState()
            state = except_evicted(state, before, self._own, evicted.seen(self._own))
        passing = self._in_transit(collection, id_.key)
        if passing is not None:
            state = self._with_transit(collection, passing, state)
        fields = state.fields
        document = None if fields is None else {**fields, ID: id_.value}
        text = None if document is None else to_text(document)
        self.unit.put(
            collection,
            id_.key,
            body=text,
            state=encode(state),
            digest=digest(id_.key, state.version),
            attachments=tokens_of(text, document),
            value=document,
        )
        if text and has_hidden_variants(state.root):
            note_hidden_variants(self.unit, collection)
        return len(text) if text else 0

    def save_fresh(self, collection: str, id_: DocumentId, document: Mapping[str, Value]) -> int:
        """
        Store a new document, its id included; return the size of its text in bytes.

        A shortcut for inserting into an empty state and saving that.  Only for an id under which
        nothing was ever stored: no tombstone, no `evicted_version`.

        :raises InvalidWrite: the document is nested too deep.
        """
        unit = self.unit
        dot = unit.next_dot()
        stamp = Stamp(unit.tick(), *dot)
        text = _checked_text(document if isinstance(document, dict) else dict(document))
        if self._in_transit(collection, id_.key) is not None:
            fields = {name: value for name, value in document.items() if name != ID}
            return self.save(collection, id_, decode(encode_fresh(stamp), fields))
        unit.put(
            collection,
            id_.key,
            body=text,
            state=encode_fresh(stamp),
            digest=digest_of_write(id_.key, dot),
            attachments=tokens_of(text, document),
            value=document,
        )
        return len(text)


def _checked_text(document: dict[str, Value]) -> bytes:
    """Return a document's text; :raises InvalidWrite: the document is nested too deep."""
    try:
        text = to_text(document)
    except (TypeError, RecursionError):
        # The encoder's own limit of depth raised; ours gives the error for users.
        check_depth(document)
        raise
    # A level takes two characters; counting brackets takes a third of the time of `check_depth`.
    if len(text) > 2 * MAX_DEPTH and text.count(b"{") + text.count(b"[") > MAX_DEPTH:
        check_depth(document)
    return text


def load_state(snapshot: Snapshot, collection: str, key: bytes) -> DocumentState | None:
    """
    Load the state of a document, deleted or not; None if the store has none.

    :raises DocumentDamaged: the document is in quarantine.
    :raises StoreCorrupt: the stored bytes cannot be decoded.
    """
    row = snapshot.get(collection, key)
    if row is None:
        check_not_damaged(snapshot, collection, key)
        return None
    fields = None
    if row.body is not None:
        fields = document_of(row.body)
        fields.pop(ID, None)
    try:
        return decode(row.state, fields)
    except CorruptState as error:
        which = f"collection {collection}, document with key {key.hex()}"
        raise StoreCorrupt(which, str(error)) from error


def check_not_damaged(snapshot: Snapshot, collection: str, key: bytes) -> None:
    """
    Check that a document without a row is absent for good reason, and not for damage.

    :raises DocumentDamaged: the document is in quarantine.
    """
    if snapshot.damaged(collection, key) is not None:
        raise DocumentDamaged(collection, key)


def document_of(text: bytes) -> dict[str, Value]:
    """
    Decode a stored text to a document, its id included.

    :raises StoreCorrupt: the text is no JSON object.
    """
    try:
        document = from_text(text)
    except (InvalidJson, ValueError) as error:
        raise StoreCorrupt("a stored document", str(error)) from error
    if not isinstance(document, dict):
        raise StoreCorrupt("a stored document", f"a {type(document).__name__} where a map belongs")
    return document


def note_hidden_variants(unit: UnitOfWork, collection: str) -> None:
    """
    Remember that a document of the collection has a variant that its body does not show.

    Typed reads of the collection use no index from then on.  The note is never removed.
    """
    if not hides_variants(unit, collection):
        unit.put_fact(HIDDEN_VARIANTS, collection.encode(), b"1")


def hides_variants(snapshot: Snapshot, collection: str) -> bool:
    """Return whether a document of the collection may have a variant that bodies do not show."""
    return snapshot.fact(HIDDEN_VARIANTS, collection.encode()) is not None


def document_of_state(
    id_: DocumentId, state: DocumentState, typing: VariantRules = UNTYPED
) -> dict[str, Value]:
    """
    Return the document of a live state, its id included.

    :param typing: shows each field as the variant that these declared types choose.
    """
    fields = state.fields if typing is UNTYPED else fields_as(state.root, typing)
    return {ID: id_.value, **(fields or {})}


def load_typed_document(
    snapshot: Snapshot, collection: str, typing: VariantRules, document: dict[str, Value]
) -> dict[str, Value]:
    """
    Return a stored document as declared types show it, made from its merge state.

    :param document: the document as its text shows it, id included; returned if it has no state.
    :raises DocumentDamaged, StoreCorrupt: see `load_state`.
    """
    id_ = DocumentId.of(document[ID])
    state = load_state(snapshot, collection, id_.key)
    return document if state is None else document_of_state(id_, state, typing)


def tokens_of(text: bytes | None, document: Mapping[str, Value] | None) -> tuple[str, ...]:
    """
    Return the ids of the blobs that a document names, each once; none for a deleted one.

    :param text: the stored text; None for a deleted document.
    :param document: the same, decoded.
    """
    # Every token has this key, so one search in the text settles most documents.
    if text is None or b'"metadata":' not in text:
        return ()
    return tuple(dict.fromkeys(tokens_in(dict(document or {}))))

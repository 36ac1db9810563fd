# SPDX-License-Identifier: Apache-2.0
"""Merging of a batch with the documents here: decides what to store, and stores nothing."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

from edge_twisted.documents.deltas import DeltaGap, apply_delta
from edge_twisted.documents.digest import digest, digest_of_write
from edge_twisted.documents.encoding import decode, encode
from edge_twisted.documents.entries import Stamp
from edge_twisted.documents.headers import Header, read_header
from edge_twisted.documents.json_text import to_text
from edge_twisted.documents.state import DocumentState, forgets, merge
from edge_twisted.documents.typed_fields import has_hidden_variants
from edge_twisted.documents.values import Value
from edge_twisted.documents.version_exceptions import except_evicted
from edge_twisted.documents.versions import NO_VERSION, VersionVector
from edge_twisted.documents.writes import delete
from edge_twisted.mesh.ports.requests import Scope
from edge_twisted.mesh.wire.items import Announced, Item, Left, Partial, Seen, Whole
from edge_twisted.records.documents import ID, document_of, hides_variants, tokens_of
from edge_twisted.records.evictions import evicted_of
from edge_twisted.replication.item_checks import check_delta, check_fresh, check_full
from edge_twisted.replication.knowledge import Knowledge
from edge_twisted.replication.scopes import Scopes
from edge_twisted.store.interface import Snapshot
from edge_twisted.store.rows import StoredDocument


class MergedDocument(NamedTuple):
    """A document as it is to be stored."""

    id_key: bytes
    body: bytes | None
    state: bytes
    digest: int
    version: VersionVector
    attachments: Collection[str]
    value: dict[str, Value] | None
    #: The document as it is here now.
    before: StoredDocument | None
    #: Whether the peer has all that is in it.
    is_theirs: bool


class _Renunciation(NamedTuple):
    """A merged document that has seen writes which it gives up (see `Merge.renounce`)."""

    #: The document as it is here now.
    found: StoredDocument
    state: DocumentState
    id_value: Value
    #: Whether all writes that it lives by are known to be deleted.
    has_ended: bool


class Merge:
    """
    The merge of one batch with the documents here; it writes nothing.

    :param wanted: the scopes that the batch is for, at least one, all of one collection.
    :ivar results: the documents to be stored.
    :ivar lacking: id keys of documents that have to come whole first.
    :ivar renunciations: documents that give up writes; `renounce` adds them to the results.
    :ivar hides: whether some result has a hidden variant, and no document here had one before.
    :ivar echoes: id key and digest of documents that the peer and this server have alike.
    :ivar gone: documents of the peer that are known to be deleted.
    :ivar older: id keys of documents of which the peer has an older version.
    :ivar doubtful: id keys of documents that are not taken, because they may have been deleted
        here, and the peer has not said that it knows of these deletes.
    """

    def __init__(
        self,
        here: Snapshot,
        wanted: Sequence[Scope],
        scopes: Scopes,
        vouched: VersionVector | None = None,
    ) -> None:
        self._here = here
        self._wanted = wanted
        self._collection = wanted[0].collection
        self._scopes = scopes
        self._knowledge = Knowledge(here, self._collection, vouched)
        self.results: list[MergedDocument] = []
        self.lacking: list[bytes] = []
        self.renunciations: list[_Renunciation] = []
        self.hides = False
        self._seeks_hidden = not hides_variants(here, self._collection)
        self.echoes: list[tuple[bytes, int]] = []
        self.gone: list[Seen] = []
        self.older: list[bytes] = []
        self.doubtful: list[bytes] = []

    def take(self, item: Item, header: Header | None) -> None:
        """
        Decide what becomes of one document of the batch: adds it to one or more of the lists.

        :param header: the header of its state; None for an item without a state.
        :raises CorruptItem: the document contradicts itself.
        """
        found = self._here.get(self._collection, item.id_key)
        if header is None:
            self._take_notice(item, found)
        elif found is None:
            self._take_new(item, header)
        else:
            self._take_known(item, header, found)

    def _take_notice(self, item: Item, found: StoredDocument | None) -> None:
        assert isinstance(item, Announced | Left)
        if found is not None and found.digest == item.digest:
            self.echoes.append((item.id_key, item.digest))
        elif isinstance(item, Announced) or self._is_wanted(found):
            self.lacking.append(item.id_key)

    def _is_wanted(self, found: StoredDocument | None) -> bool:
        """Return whether this server has a document in a scope, which is in none at the peer."""
        if found is None or found.body is None:
            return False
        body = found.body
        return any(self._scopes.matches(scope, body) for scope in self._wanted)

    def _take_new(self, item: Item, header: Header) -> None:
        id_key = item.id_key
        write = header.write
        is_new = write is not None and self._knowledge.is_new(write)
        if not is_new and self._knowledge.is_gone(id_key, header.version):
            # A tombstone needs no answer: the peer knows of the delete.
            if isinstance(item, Partial) or (isinstance(item, Whole) and item.body is not None):
                self.gone.append(Seen(id_key, header.version))
        elif not isinstance(item, Whole):
            self.lacking.append(id_key)
        elif write is not None:
            if not is_new and self._knowledge.may_have_ended(id_key, (write,)):
                self.doubtful.append(id_key)
                return
            checked = check_fresh(self._collection, item)
            number = digest_of_write(id_key, write)
            self._keep(item, header, number, checked.attachments, checked.value)
        else:
            state, checked = check_full(self._collection, item)
            if state.is_alive and self._knowledge.has_ended(id_key, state.live_dots):
                self.gone.append(Seen(id_key, header.version))
                return
            if state.is_alive and self._knowledge.may_have_ended(id_key, state.live_dots):
                self.doubtful.append(id_key)
                return
            self._note_hidden(state)
            number = digest(id_key, header.version)
            self._keep(item, header, number, checked.attachments, checked.value)

    def _keep(
        self,
        item: Whole,
        header: Header,
        number: int,
        attachments: Collection[str],
        value: dict[str, Value] | None,
    ) -> None:
        self.echoes.append((item.id_key, number))
        self.results.append(
            MergedDocument(
                item.id_key,
                item.body,
                item.state,
                number,
                header.version,
                attachments,
                value,
                None,
                True,
            )
        )

    def _take_known(self, item: Item, header: Header, found: StoredDocument) -> None:
        theirs = header.version
        mine = read_header(found.state).version
        if mine.includes(theirs):
            if theirs.includes(mine):
                self.echoes.append((item.id_key, found.digest))
            else:
                self.older.append(item.id_key)
            return
        before = None if found.body is None else document_of(found.body)
        id_value = None if before is None else before.pop(ID)
        state = decode(found.state, before)
        try:
            merged, their_id, has_dropped = self._with(state, item)
        except DeltaGap:
            self.lacking.append(item.id_key)
            return
        former = NO_VERSION
        if before is not None and merged.is_alive:
            former = self._knowledge.former(item.id_key, mine, merged)
        if not former and self._is_doubtful(item.id_key, mine, merged, before is not None):
            self.doubtful.append(item.id_key)
            return
        if former:
            # Keep the state here; only the version says that the former life was seen.
            merged = DocumentState(state.root, state.life, mine.join(former))
        id_value = id_value if their_id is None else their_id
        revives = before is None and merged.is_alive
        has_ended = revives and self._knowledge.has_ended(item.id_key, merged.live_dots)
        if revives and id_value is None and not has_ended:
            # The delta revives a tombstone, which does not have the id as it was written.
            self.lacking.append(item.id_key)
        elif former or has_ended or (has_dropped and merged.is_alive):
            self.renunciations.append(_Renunciation(found, merged, id_value, has_ended))
        else:
            self._merged(found, merged, id_value, theirs.includes(merged.version))

    def _is_doubtful(
        self, id_key: bytes, mine: VersionVector, merged: DocumentState, was_alive: bool
    ) -> bool:
        """Return whether a merge with a document or tombstone here may bring back a former life."""
        if not merged.is_alive:
            return False
        if was_alive:
            return self._knowledge.may_be_former(id_key, mine, merged)
        ended = self._knowledge.has_ended(id_key, merged.live_dots)
        return not ended and self._knowledge.may_have_ended(id_key, merged.live_dots)

    def _with(self, state: DocumentState, item: Item) -> tuple[DocumentState, Value, bool]:
        """
        Merge a state with an item.

        Return the merged state; the id in the item, None if it has none; and whether writes were
        dropped that one side had forgotten.
        """
        if isinstance(item, Whole):
            other, checked = check_full(self._collection, item)
            id_value = None if checked.value is None else checked.value[ID]
            return merge(state, other), id_value, forgets(state, other)
        assert isinstance(item, Partial)
        told = check_delta(self._collection, item)
        return apply_delta(state, told), None, forgets(state, told.changes, told.omitted_dots)

    def renounce(self, next_stamp: Callable[[], Stamp]) -> None:
        """
        Add documents to `results` that give up a former life, or forgotten writes.

        Each gets a new write of this server, with a stamp of `next_stamp`.  Other servers have seen
        the same writes and still hold them, and documents of equal versions have to be equal.  Call
        it once, after the last `take`.
        """
        for found, merged, id_value, has_ended in self.renunciations:
            stamp = next_stamp()
            if has_ended:
                state = delete(merged, stamp)
            else:
                state = DocumentState(merged.root, merged.life, merged.version.with_dot(stamp.dot))
            # Writes that were evicted here may have come back with this merge.
            evicted = evicted_of(self._here, self._collection, found.id_key)
            state = except_evicted(state, merged, stamp.replica, evicted.seen(stamp.replica))
            self._merged(found, state, id_value, False)

    def _note_hidden(self, state: DocumentState) -> None:
        if self._seeks_hidden and state.is_alive and has_hidden_variants(state.root):
            self.hides, self._seeks_hidden = True, False

    def _merged(
        self, found: StoredDocument, merged: DocumentState, id_value: Value, is_theirs: bool
    ) -> None:
        fields = merged.fields
        value = None if fields is None else {**fields, ID: id_value}
        body = None if value is None else to_text(value)
        self._note_hidden(merged)
        number = digest(found.id_key, merged.version)
        if is_theirs:
            self.echoes.append((found.id_key, number))
        self.results.append(
            MergedDocument(
                found.id_key,
                body,
                encode(merged),
                number,
                merged.version,
                tokens_of(body, value),
                value,
                found,
                is_theirs,
            )
        )

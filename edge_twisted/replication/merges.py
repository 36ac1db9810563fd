# SPDX-License-Identifier: Apache-2.0
"""What becomes of each document of a batch, before anything is stored."""

from __future__ import annotations

from collections.abc import Callable, Collection
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
from edge_twisted.documents.version_exceptions import excepted
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
    #: What is here of it.
    before: StoredDocument | None
    #: The peer has all that is in it.
    is_theirs: bool


class _Renounced(NamedTuple):
    """A document that has seen what it gives up, and its row as it is here."""

    found: StoredDocument
    state: DocumentState
    id_value: Value
    #: It lives by what was deleted.
    has_ended: bool


class Merge:
    """
    The documents of a batch against those here; nothing is written.

    :ivar results: what is to be stored.
    :ivar lacking: id keys of what has to come whole first.
    :ivar renounced: what has seen writes of a former life, or forgotten ones, only to give them
        up; to be stored with a write of ours (`renounce`).
    :ivar hides: whether some result holds a variant that it does not show, the first of its
        collection.
    """

    def __init__(self, here: Snapshot, scope: Scope, scopes: Scopes) -> None:
        self._here = here
        self._scope = scope
        self._collection = scope.collection
        self._scopes = scopes
        self._knowledge = Knowledge(here, scope.collection)
        self.results: list[MergedDocument] = []
        self.lacking: list[bytes] = []
        self.renounced: list[_Renounced] = []
        self.hides = False
        self._looks = not hides_variants(here, scope.collection)
        self.echoes: list[tuple[bytes, int]] = []
        self.gone: list[Seen] = []
        self.older: list[bytes] = []

    def take(self, item: Item, header: Header | None) -> None:
        """
        Decide about one document.

        :raises CorruptItem: it contradicts itself.
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
        """Return whether we have to learn that a document left the scope."""
        if found is None or found.body is None:
            return False
        return self._scopes.matches(self._scope, found.body)

    def _take_new(self, item: Item, header: Header) -> None:
        id_key = item.id_key
        write = header.write
        is_new = write is not None and self._knowledge.is_new(write)
        if not is_new and self._knowledge.is_gone(id_key, header.version):
            # A tombstone is what we would tell of it.
            if isinstance(item, Partial) or (isinstance(item, Whole) and item.body is not None):
                self.gone.append(Seen(id_key, header.version))
        elif not isinstance(item, Whole):
            self.lacking.append(id_key)
        elif write is not None:
            checked = check_fresh(self._collection, item)
            number = digest_of_write(id_key, write)
            self._keep(item, header, number, checked.attachments, checked.value)
        else:
            state, checked = check_full(self._collection, item)
            if state.is_alive and self._knowledge.has_ended(id_key, state.living):
                self.gone.append(Seen(id_key, header.version))
                return
            self._look(state)
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
        if former:
            # What has been seen and is not here is gone, whoever still has it.
            merged = DocumentState(state.root, state.life, mine.joined(former))
        id_value = id_value if their_id is None else their_id
        revives = before is None and merged.is_alive
        has_ended = revives and self._knowledge.has_ended(item.id_key, merged.living)
        if revives and id_value is None and not has_ended:
            # The delta revives what is a tombstone here: nothing here has the id as written.
            self.lacking.append(item.id_key)
        elif former or has_ended or (has_dropped and merged.is_alive):
            self.renounced.append(_Renounced(found, merged, id_value, has_ended))
        else:
            self._merged(found, merged, id_value, theirs.includes(merged.version))

    def _with(self, state: DocumentState, item: Item) -> tuple[DocumentState, Value, bool]:
        """
        Return a state merged with what came, the id of that, None if it does not say, and whether
        something was dropped that one side had forgotten.
        """
        if isinstance(item, Whole):
            other, checked = check_full(self._collection, item)
            id_value = None if checked.value is None else checked.value[ID]
            return merge(state, other), id_value, forgets(state, other)
        assert isinstance(item, Partial)
        told = check_delta(self._collection, item)
        return apply_delta(state, told), None, forgets(state, told.changes, told.unsaid)

    def renounce(self, next_stamp: Callable[[], Stamp]) -> None:
        """
        Add the documents that give something up to the results: a former life, or forgotten writes.

        That it is given up is a write of ours: others that have seen the same writes still hold
        them, and equal versions are equal documents.
        """
        for found, merged, id_value, has_ended in self.renounced:
            stamp = next_stamp()
            if has_ended:
                state = delete(merged, stamp)
            else:
                state = DocumentState(merged.root, merged.life, merged.version.with_dot(stamp.dot))
            # What was evicted here may have come back with this very merge.
            evicted = evicted_of(self._here, self._collection, found.id_key)
            state = excepted(state, merged, stamp.replica, evicted.seen(stamp.replica))
            self._merged(found, state, id_value, False)

    def _look(self, state: DocumentState) -> None:
        if self._looks and state.is_alive and has_hidden_variants(state.root):
            self.hides, self._looks = True, False

    def _merged(
        self, found: StoredDocument, merged: DocumentState, id_value: Value, is_theirs: bool
    ) -> None:
        fields = merged.fields
        value = None if fields is None else {**fields, ID: id_value}
        body = None if value is None else to_text(value)
        self._look(merged)
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

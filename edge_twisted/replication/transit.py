# SPDX-License-Identifier: Apache-2.0
"""
Documents in transit as sync sees them: what of a batch is taken, where it goes, how much there is.

`TransitStore` is the account of one server's documents in transit.  Where it is None, a server
keeps nothing for others, and nothing here costs it anything.
"""

from __future__ import annotations

from array import array
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple, cast

from attrs import define, evolve, field

from edge_twisted.documents.headers import Header, read_header
from edge_twisted.documents.values import Value
from edge_twisted.documents.versions import NO_VERSION, VersionVector
from edge_twisted.mesh.ports.requests import (
    Answer,
    Changes,
    Digests,
    DocumentRequest,
    FindDropped,
    FindSeen,
    ReadChanges,
    ReadDigests,
    Scope,
)
from edge_twisted.mesh.wire.items import Announced, Item, Left, Seen, Whole
from edge_twisted.records.documents import document_of, tokens_of
from edge_twisted.records.evictions import Evictions, drop_positions, note_evicted, prefix_of
from edge_twisted.records.facts import EVICTED, TRANSIT_BLOBS
from edge_twisted.records.transit import (
    DropMark,
    join_transit,
    was_dropped,
)
from edge_twisted.records.transit_size import TransitSize, count_change, size_of
from edge_twisted.replication.knowledge import note_reaped
from edge_twisted.replication.scopes import OwnSubscriptions, Scopes
from edge_twisted.store.hidden import PREFIX_BYTES, hidden_name, is_hidden, shown_name
from edge_twisted.store.interface import Snapshot, UnitOfWork
from edge_twisted.store.rows import StoredDocument

#: Dropped versions that are remembered, some 400 bytes each, so that they are not taken again when
#: they come back over another neighbour: in a ring they would go round for ever.
MOST_PASSED: Final = 32_768
#: When documents are dropped, so much of the room becomes free: one part of so many.
FREE_PART: Final = 4
#: Documents, and about how many bytes, that one unit of work drops.
DROPPED_AT_ONCE: Final = 256
DROPPED_BYTES_AT_ONCE: Final = 1 << 20

#: Collection and id key.
Place = tuple[str, bytes]


class PassedVersion(NamedTuple):
    """A version of a document that was in transit: its digest, and the writes that it had seen."""

    digest: int
    version: VersionVector


@define(eq=False)
class TransitStore:
    """
    The account of the documents in transit; changed on the reactor thread, read on any.

    :ivar most_bytes: what they may come to (setting `database.transit`).
    :ivar size: what they come to, in bytes (`records.transit.size_of`).
    :ivar documents: how many there are, tombstones included.
    :ivar dropped: how many were dropped to make room since the server started.
    """

    most_bytes: int
    size: int = 0
    documents: int = 0
    dropped: int = 0
    #: Of each document that was dropped lately, the version that went last.
    _passed: OrderedDict[Place, PassedVersion] = field(factory=OrderedDict)

    # -- the account

    def refresh(self, snapshot: Snapshot) -> None:
        """Take the size from a snapshot."""
        self.size, self.documents = TransitSize.of(snapshot)

    def came_back(self, collection: str, id_key: bytes) -> None:
        """Forget that a document was dropped, for it is here again."""
        self._passed.pop((collection, id_key), None)

    @property
    def is_full(self) -> bool:
        """Whether there is more than there may be."""
        return self.size > self.most_bytes

    @property
    def enough_bytes(self) -> int:
        """What is left when documents are dropped, so that there is room for a while."""
        return self.most_bytes - self.most_bytes // FREE_PART

    # -- what was dropped

    def passed_version(self, collection: str, id_key: bytes) -> PassedVersion | None:
        """Return the version of a document that was dropped here last, if that was lately."""
        return self._passed.get((collection, id_key))

    def note_passed(self, places: Iterable[tuple[Place, PassedVersion]]) -> None:
        """Remember versions that were dropped."""
        for place, version in places:
            self._passed[place] = version
            self._passed.move_to_end(place)
            self.dropped += 1
        while len(self._passed) > MOST_PASSED:
            self._passed.popitem(last=False)

    def passed(self, collection: str) -> list[tuple[bytes, PassedVersion]]:
        """Return id key and version of what was dropped lately of a collection."""
        found = tuple(self._passed.items())
        return [(id_key, version) for (name, id_key), version in found if name == collection]

    def want_again(self, collection: str) -> None:
        """Take again what was dropped of a collection, when it comes."""
        for place in [each for each in self._passed if each[0] == collection]:
            del self._passed[place]


@define(eq=False)
class TransitIntake:
    """
    The choice of what is taken of one batch of which at least one scope is in transit.

    :ivar unwanted: how many documents no scope of the batch wants.
    :ivar recalled: id keys of documents that were dropped here and have changed at the peer: they
        have to come whole, for neighbours have them and must hear of the change.
    """

    store: TransitStore
    here: Snapshot
    wanted: Sequence[Scope]
    scopes: Scopes
    unwanted: int = 0
    recalled: list[bytes] = field(factory=list)

    def takes(self, item: Item, header: Header | None) -> bool:
        """Return whether an item is to be merged."""
        collection, id_key = self.wanted[0].collection, item.id_key
        if self.here.get(collection, id_key) is not None:
            return True
        if self._has_passed(item, header):
            return False
        if isinstance(item, Left):
            if was_dropped(self.here, collection, id_key):
                self.recalled.append(id_key)
            return False
        if not isinstance(item, Whole) or item.body is None or self._is_wanted(item.body):
            return True
        if was_dropped(self.here, collection, id_key):
            return True
        self.unwanted += 1
        return False

    def _has_passed(self, item: Item, header: Header | None) -> bool:
        """Return whether a version, or a later one, was dropped here lately."""
        collection, id_key = self.wanted[0].collection, item.id_key
        passed = self.store.passed_version(collection, id_key)
        if passed is None:
            return False
        if isinstance(item, Announced | Left):
            return item.digest == passed.digest
        assert header is not None
        return passed.version.includes(header.version)

    def _is_wanted(self, body: bytes) -> bool:
        try:
            return any(self.scopes.matches(scope, body) for scope in self.wanted)
        except ValueError:
            # The merge says what is wrong with it.
            return True


@define(eq=False)
class TransitHomes:
    """The choice where the documents of one batch are stored: shown, or in transit."""

    store: TransitStore
    own: OwnSubscriptions
    #: Whether the batch came for others.
    is_in_transit: bool

    def home(
        self, unit: Snapshot, collection: str, id_key: bytes, value: dict[str, Value] | None
    ) -> str:
        """
        Return the collection, hidden or not, in which a document is to be stored.

        :param value: the document; None: it is deleted.
        """
        if unit.get(collection, id_key) is not None:
            return collection
        hidden = hidden_name(collection)
        if not self.is_in_transit and unit.get(hidden, id_key) is None:
            return collection
        return collection if value is not None and self.own.wants(collection, value) else hidden

    def leave(self, unit: UnitOfWork, collection: str, id_key: bytes) -> None:
        """Remove a document that is in transit, because it is about to be stored elsewhere."""
        hidden = hidden_name(collection)
        row = unit.get(hidden, id_key)
        if row is not None:
            unit.remove(hidden, id_key)
            count_change(unit, row, None)

    def have_put(
        self, unit: UnitOfWork, hidden: str, id_key: bytes, before: StoredDocument | None
    ) -> None:
        """Account for a document in transit that was just stored; `before`: as it was."""
        count_change(unit, before, unit.get(hidden, id_key))
        if before is None:
            unit.after_commit(lambda: self.store.came_back(shown_name(hidden), id_key))


def note_removed(unit: UnitOfWork, collection: str, rows: Sequence[StoredDocument]) -> None:
    """Account for documents that the store is about to remove; a hook of the store."""
    if is_hidden(collection):
        for row in rows:
            count_change(unit, row, None)


# -- making room


class DroppedDocuments(NamedTuple):
    """Documents that a unit of work dropped, each as it was."""

    places: list[tuple[Place, PassedVersion]]
    #: Whether more can be dropped.
    more: bool


def drop_oldest(
    unit: UnitOfWork, store: TransitStore, passed: Mapping[str, int]
) -> DroppedDocuments:
    """
    Drop documents in transit, some at a time and the oldest first, while there are too many.

    :param passed: for each collection the commit up to which nobody waits for it; a collection
        that is missing is waited for by nobody.
    """
    surplus = TransitSize.of(unit).size - store.enough_bytes
    found, is_cut = _oldest(unit, passed)
    by_collection: dict[str, list[StoredDocument]] = {}
    size = count = 0
    for _, collection, row in found:
        if size >= surplus or count >= DROPPED_AT_ONCE:
            break
        by_collection.setdefault(collection, []).append(row)
        size += size_of(row)
        count += 1
    for collection, rows in by_collection.items():
        _drop(unit, collection, rows)
        note_removed(unit, hidden_name(collection), rows)
    places = [
        ((collection, row.id_key), PassedVersion(row.digest, read_header(row.state).version))
        for collection, rows in by_collection.items()
        for row in rows
    ]
    unit.after_commit(lambda: store.note_passed(places))
    return DroppedDocuments(places, bool(places) and (is_cut or count < len(found)))


def _oldest(
    unit: UnitOfWork, passed: Mapping[str, int]
) -> tuple[list[tuple[int, str, StoredDocument]], bool]:
    """Return what may be dropped, the oldest first (commit, collection), and whether it is cut."""
    found: list[tuple[int, str, StoredDocument]] = []
    is_cut = False
    for info in unit.collections(hidden=True):
        limit = passed.get(shown_name(info.name), unit.lsn)
        batch = unit.changes_after(
            0, (info.name,), limit=DROPPED_AT_ONCE, limit_bytes=DROPPED_BYTES_AT_ONCE
        )
        is_cut = is_cut or batch.more
        found += [
            (each.document.lsn, shown_name(info.name), each.document)
            for each in batch.changes
            if each.document.lsn <= limit
        ]
    found.sort(key=lambda each: each[0])
    return found, is_cut


def _drop(unit: UnitOfWork, collection: str, rows: Sequence[StoredDocument]) -> None:
    hidden = hidden_name(collection)
    before = DropMark.of(unit, collection)
    dead = [row for row in rows if row.body is None]
    # A tombstone is forgotten as the reaper forgets one.
    note_reaped(unit, hidden, dead)
    # A live one counts as evicted, so that nobody takes it for deleted.
    live = [row for row in rows if row.body is not None]
    note_evicted(unit, hidden, live, positions_hold=True)
    for row in live:
        _note_blobs(unit, collection, row)
    for row in rows:
        unit.remove(hidden, row.id_key)
    DropMark(
        max(before.lsn, *(row.lsn for row in rows)),
        max([before.tombstone_lsn, *(row.lsn for row in dead)]),
    ).store(unit, collection)


def _note_blobs(unit: UnitOfWork, collection: str, row: StoredDocument) -> None:
    """Remember which blobs a document named that is about to be dropped: peers may still come."""
    for blob in tokens_of(row.body, None if row.body is None else document_of(row.body)):
        place = PREFIX_BYTES + blob.encode() + b"\x00" + collection.encode()
        unit.put_fact(TRANSIT_BLOBS, place, b"")


def fetch_again(unit: UnitOfWork, collection: str) -> None:
    """Forget the positions in what others send for others, so that repairs fetch it again."""
    hidden = hidden_name(collection)
    drop_positions(unit, hidden)
    found = Evictions.of(unit, hidden)
    evolve(found, generation=found.generation + 1).store(unit, hidden)


def add_transit(
    request: DocumentRequest, answer: Answer, store: TransitStore, snapshot: Snapshot
) -> Answer:
    """
    Return an answer about documents, those in transit included, as it is to be given.

    Where something was dropped, a fingerprint would say that something is missing, so none is told.
    In repairs of what this server has for others, what it dropped lately counts as here: a repair
    that pauses while there is no room goes on where it was.
    """
    match request, answer:
        case ReadChanges(scope=scope), Changes() if DropMark.of(snapshot, scope.collection).lsn:
            return evolve(answer, fingerprint=None)
        case ReadDigests(scope=scope, for_peer=False), Digests() if scope.route is not None:
            passed = [version.digest for _, version in store.passed(scope.collection)]
            return evolve(answer, values=answer.values + array("q", passed))
        case FindSeen(scope=scope, digests=digests), tuple() if scope.route is not None:
            return (*cast(tuple[Seen, ...], answer), *_seen(snapshot, store, scope, digests))
    return answer


def _seen(
    snapshot: Snapshot, store: TransitStore, scope: Scope, digests: Sequence[int]
) -> Iterator[Seen]:
    """Yield id and version of dropped documents that have these digests."""
    wanted, hidden = set(digests), hidden_name(scope.collection)
    for id_key, (number, version) in store.passed(scope.collection):
        if number in wanted and snapshot.get(hidden, id_key) is None:
            yield Seen(id_key, version)


def find_dropped(request: FindDropped, store: TransitStore, snapshot: Snapshot) -> tuple[Seen, ...]:
    """
    Perform `FindDropped`, from the facts about dropped documents; folded ones are left out.

    What was dropped lately has its digest in the repair.  The version that went is not named: a
    neighbour that was away when it passed lacks it.
    """
    shown = request.scope.collection
    hidden = hidden_name(shown)
    prefix = prefix_of(hidden)
    found: list[Seen] = []
    after = prefix + request.after
    while facts := snapshot.facts(EVICTED, prefix, after=after, limit=request.limit):
        snapshot.check_cancelled()
        for after, _ in facts:
            id_key = after[len(prefix) :]
            if store.passed_version(shown, id_key) is not None:
                continue
            if all(snapshot.get(name, id_key) is None for name in (shown, hidden)):
                found.append(Seen(id_key, NO_VERSION))
            if len(found) == request.limit:
                return tuple(found)
    return tuple(found)


def joined_with(store: TransitStore | None, snapshot: Snapshot) -> Snapshot:
    """Return what a server reads of its own for peers: with documents in transit, if it has any."""
    return snapshot if store is None else join_transit(snapshot)

# SPDX-License-Identifier: Apache-2.0
"""
The contract of stores, whichever database is under them.

A caller hands over a named function of one `Snapshot` or one `UnitOfWork`; the name shows in logs
and metrics.  The function runs on a thread of the store, perhaps more than once (`UnitOfWork`), so
it must be plain: no Deferreds, no reactor, and it keeps nothing of its argument after it returns.
Every implementation passes `tests.support.store_contract`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol, TypeVar

from twisted.internet.defer import Deferred

from edge_twisted.documents.clock import BEGINNING, Timestamp
from edge_twisted.documents.values import Value
from edge_twisted.documents.versions import Dot, Replica, VersionVector
from edge_twisted.store.blobs.interface import BlobStore
from edge_twisted.store.fields import Fields
from edge_twisted.store.index_read import IndexRead
from edge_twisted.store.prefilter import Prefilter
from edge_twisted.store.rows import (
    BodyRow,
    Census,
    ChangeBatch,
    CollectionInfo,
    Commit,
    DamageReport,
    IndexDefinition,
    IndexInfo,
    ReadLimit,
    ScanRow,
    StoredDocument,
    UnitResult,
)

T = TypeVar("T")


class Snapshot(Protocol):
    """
    One consistent state of the database.

    Iterators yield batches (lists, never empty), read as they are asked for, and raise
    `ReadCancelled` at the next batch once the read is cancelled.  Collections that do not exist are
    empty ones.

    :raises StoreError: from every method; `StoreCorrupt`, `StoreIOError` concern this read alone.
    """

    @property
    def lsn(self) -> int:
        """The number of the newest commit in this snapshot; 0 for a database never written."""

    @property
    def catalog_version(self) -> int:
        """A number that changes with collections and indexes; plans of another one are stale."""

    @property
    def written(self) -> VersionVector:
        """All writes of this site that this snapshot contains, of former epochs too."""

    def check_cancelled(self) -> None:
        """Raise `ReadCancelled` if the caller has given up; for loops that run between batches."""

    # -- documents

    def get(self, collection: str, id_key: bytes) -> StoredDocument | None:
        """
        Return the document, its tombstone if it was deleted, or None.

        :raises DocumentDamaged: its bytes are not what was written.
        """

    def body(self, collection: str, id_key: bytes) -> bytes | None:
        """
        Return the stored JSON text of a live document; None if it is deleted or absent.

        The cheapest point read.

        :raises DocumentDamaged: its bytes are not what was written.
        """

    def damaged(self, collection: str, id_key: bytes) -> int | None:
        """
        Return the digest of a document in quarantine; None if the document is not in quarantine.

        The other methods do not see a document in quarantine.  See `Store.quarantine`.
        """

    def bodies(self, collection: str, id_keys: Sequence[bytes]) -> Iterator[list[ScanRow]]:
        """Yield (id key, stored text) of the live documents among `id_keys`, in their order."""

    def scan(
        self, collection: str, prefilter: Prefilter | None = None, fields: Fields | None = None
    ) -> Iterator[list[ScanRow]]:
        """
        Yield (id key, stored text) of the live documents that `prefilter` keeps, in any order.

        :param fields: yield rows of these fields instead of texts, as `fields.row_of` makes them.
        """

    def count(self, collection: str, prefilter: Prefilter) -> int:
        """Return how many documents `scan` would yield, without handing them over."""

    def digests(
        self, collection: str, *, tombstones: bool = False
    ) -> Iterator[list[tuple[bytes, int]]]:
        """
        Yield (id key, digest) of every live document, in no promised order.

        Set reconciliation compares these digests, and asks for a missing document by its id key.
        Two documents have the same digest with a chance of 1 in 2^64.  The sum and the exclusive
        or of the digests are `CollectionInfo.fingerprint`.

        :param tombstones: yield tombstones as well.  Replicas with equal documents may have
            different tombstones, because each replica reaps by its own date of receipt.  So a
            tombstone that only one side has is no damage if `CollectionInfo.reaped_lsn` explains
            it.
        """

    # -- indexes

    def indexes(self, collection: str) -> Sequence[IndexInfo]:
        """Return the indexes of a collection, by name; those not `ready` are being built."""

    def index_bodies(self, read: IndexRead) -> Iterator[list[BodyRow]]:
        """
        Yield 1-tuples of stored text (or of a row of `IndexRead.fields`) of what an index finds.

        In the order of the index's keys, or against it if `IndexRead.descending`.

        :raises UnknownIndex: the index is not there, or not ready: plan again.
        """

    def index_texts(
        self, read: IndexRead, most: ReadLimit, first: int | None = None
    ) -> list[bytes] | None:
        """
        Return what `index_bodies` yields as one list of texts: the cheapest read of a few.

        :param most: return None if there are more rows or bytes; then call `index_bodies`.
        :param first: return only this many of the first documents.
        :raises UnknownIndex: see `index_bodies`.
        """

    def index_ids(self, read: IndexRead) -> Iterator[list[bytes]]:
        """
        Yield the id keys of the documents that an index finds, in ascending order of index keys.

        For uniting or intersecting.  Of `read`, only the collection, the index and the spans count.

        :raises UnknownIndex: see `index_bodies`.
        """

    def index_count(self, read: IndexRead) -> int:
        """
        Return how many documents `index_bodies` would yield, without handing them over.

        :raises UnknownIndex: see `index_bodies`.
        """

    # -- collections and the log

    def collection(self, name: str) -> CollectionInfo | None:
        """Return a collection's totals, which the store keeps; None if it never held a document."""

    def collections(self, *, hidden: bool = False) -> Sequence[CollectionInfo]:
        """
        Return every collection that ever held a document, by name.

        There may be very many: not for the reactor's thread.

        :param hidden: instead of those that are shown, the hidden ones (`store.hidden`).
        """

    def census(self, largest: int) -> Census:
        """
        Return how many collections and documents are shown, and which collections are largest.

        Reads a line for each collection: not for the reactor's thread.

        :param largest: how many collections are named at most.
        """

    def changes_after(
        self,
        lsn: int,
        collections: Collection[str] | None = None,
        *,
        limit: int = 1000,
        limit_bytes: int = 1 << 20,
    ) -> ChangeBatch:
        """
        Return the documents that changed after commit `lsn`, tombstones too, by commit.

        :param collections: only these; None is all of them.
        :param limit: stop at the end of the first commit that reaches this many documents, or
            `limit_bytes` of bodies and states: a commit is never split.
        :raises DocumentDamaged: the bytes of one of them are not what was written.
        """

    # -- facts and attachments

    def fact(self, space: str, key: bytes) -> bytes | None:
        """Return the value that `UnitOfWork.put_fact` stored under space and key, or None."""

    def facts(
        self, space: str, prefix: bytes = b"", *, after: bytes | None = None, limit: int = 1000
    ) -> Sequence[tuple[bytes, bytes]]:
        """
        Return (key, value) of a space's facts whose key begins with `prefix`, by key.

        At most `limit` of them, behind the key `after`: pass the last key to go on.
        """

    def referrers(
        self, attachment: str, *, limit: int = 1000, hidden: bool = False
    ) -> Sequence[tuple[str, bytes]]:
        """
        Return (collection, id key) of up to `limit` documents that name a blob, tombstones too.

        :param attachment: the id of the blob.
        :param hidden: those of hidden collections as well, under the names of these.
        """


class UnitOfWork(Snapshot, Protocol):
    """
    A unit of work while it runs: a snapshot that sees its own writes.

    A unit is stored wholly or not at all: an exception undoes what it wrote, and nothing else.  A
    unit that changes nothing takes no lsn.

    **A unit may run more than once.**  A store on a network runs it again from its beginning when
    another writer was faster, or when the connection broke before the commit.  Of a run that is
    not stored nothing is left in the store, so each run may assume:

    * documents, facts and indexes are as the newest stored unit left them, which may be a newer
      one than in the run before;
    * `next_dot` and `renew_epoch` give the same numbers again, without a gap;
    * `tick` gives a later timestamp than in the run before;
    * the hooks of `Store.before_reap` and `Store.before_quarantine` run again with it.

    So a unit changes nothing outside of the store but by `after_commit`, which calls an effect
    once, for the run that was stored.  Each run computes its result again, and may ask for the time
    and for random numbers.  `tests.support.rerun_store` holds callers to this.
    """

    @property
    def lsn(self) -> int:
        """The number of the commit that this unit becomes, if it changes documents."""

    @property
    def replica(self) -> Replica:
        """The replica under which this unit writes; another one after `renew_epoch`."""

    def next_dot(self) -> Dot:
        """Return the dot of a new write of this replica; sequences are 1, 2, ... without a gap."""

    def tick(self) -> Timestamp:
        """Return a timestamp above all that this store ever gave (`tick`) or was shown (`see`)."""

    def see(self, remote: Timestamp, declared: Timestamp = BEGINNING) -> None:
        """
        Move the hybrid clock past a timestamp that came from elsewhere.

        :param declared: the hybrid clock that its sender declared, see `HybridClock.see`.
        :raises ClockSkew: it is too far ahead to be believed.
        """

    def put(
        self,
        collection: str,
        id_key: bytes,
        *,
        body: bytes | None,
        state: bytes,
        digest: int = 0,
        attachments: Collection[str] = (),
        value: Mapping[str, Value] | None = None,
    ) -> None:
        """
        Store the document, whatever was there before; it counts as changed even if it is equal.

        :param body: stored text; None makes it a tombstone, received now.
        :param state: the encoded merge state; `digest` is that of id and version.
        :param attachments: ids of the blobs that this row keeps from being collected.
        :param value: the decoded body, if at hand: saves decoding it for the indexes.
        """

    def remove(self, collection: str, id_key: bytes) -> None:
        """Forget the document and leave no tombstone (EVICT); nothing if it is not there."""

    def forget_damaged(self, collection: str, id_key: bytes) -> None:
        """Forget the bytes that quarantine keeps of a document, for it is whole or given up."""

    def put_fact(self, space: str, key: bytes, value: bytes | None) -> None:
        """
        Store a small durable value next to the documents, None to forget it.

        Facts are what must be as durable as, and change together with, documents: cursors,
        knowledge, subscriptions, sync scopes, system parameters.  Alone they take no lsn.
        """

    def create_index(self, definition: IndexDefinition) -> None:
        """
        Begin an index; existing documents are added in the background, see `Store.index_ready`.

        :raises IndexExists: the name is taken on that collection.
        """

    def drop_index(self, collection: str, name: str) -> None:
        """
        Forget an index; its entries go in the background.

        :raises UnknownIndex: the collection has no index of that name.
        """

    def admit_collection(self, name: str) -> None:
        """
        Do nothing if there is, or may be, a collection of this name.

        For statements that would make a new one.  What peers send is not asked for: this server's
        own subscriptions bound it.

        :raises TooManyCollections: it would be one more than this database may have.
        """

    def renew_epoch(self) -> Replica:
        """
        Become, and return, a new replica of the same site, whose writes begin at sequence 1.

        For when a peer knows writes of this server that its store lacks: the store is an old copy.
        """

    def after_commit(self, effect: Callable[[], None]) -> None:
        """Call `effect` on the reactor thread once this unit is durable; never if it fails."""


#: A database that is not told otherwise has no more collections than this: some 100 MiB of memory.
MOST_COLLECTIONS = 100_000

#: See `Store.before_reap` and `Store.before_quarantine`.
RemovalHook = Callable[[UnitOfWork, str, Sequence[StoredDocument]], None]


class RowStream(Protocol[T]):
    """
    Batches of one snapshot, produced only as fast as they are asked for.

    Close a stream in any case.  It holds a snapshot, so the store closes an idle one: `next` then
    fails with `ReadCancelled`.
    """

    def next(self) -> Deferred[T | None]:
        """Fire with the next batch, with None at the end; one call at a time."""

    def close(self) -> None:
        """Give the snapshot back; harmless when repeated."""


class Store(Protocol):
    """
    A database: one writer, many readers, all calls from the reactor thread.

    Construction does no I/O.

    A store that is reached over a network will have one more error, `StoreUnavailable`: code
    `store_unavailable`, a 503 with Retry-After, raised by reads and by units of work whose commit
    is known not to have happened.  The store in a local file has no use for it.

    :raises StoreClosed: from whatever reads or writes while the store is not open.
    """

    def open(self) -> Deferred[None]:
        """
        Open, create or upgrade the files, off the reactor thread.

        :raises DirectoryLocked: another process has them.
        :raises StoreTooNew: a newer server wrote them.
        :raises StoreError: they cannot be read, written or made.
        """

    def close(self) -> Deferred[None]:
        """Finish the writes that wait, cancel the reads; fire when all files are closed."""

    @property
    def replica(self) -> Replica:
        """The replica under which this server writes; changes with `UnitOfWork.renew_epoch`."""

    @property
    def lsn(self) -> int:
        """The number of the newest durable commit; 0 for a database never written."""

    @property
    def hybrid_time(self) -> Timestamp:
        """The hybrid clock: nothing that a snapshot holds was written later than this."""

    @property
    def blobs(self) -> BlobStore:
        """The blobs of this database."""

    def write(self, name: str, work: Callable[[UnitOfWork], T]) -> Deferred[UnitResult[T]]:
        """
        Queue a unit of work; fire with its result and lsn after the fsync.

        Units run in the order of the calls.  A unit may be as big as a received batch: thousands of
        `put` with the `see` of their timestamps and the `put_fact` of the cursor become durable
        together, under one lsn, or not at all.  It holds up other units while it runs, so a batch
        of some hundred is best.

        Cancelling a unit that has not begun removes it; one that has begun runs to its next
        `check_cancelled` or batch.

        :raises StoreOverloaded: the queue is full; nothing was queued.
        :raises StoreFull, StoreReadOnly, StoreIOError: it could not be stored.  Whatever `work`
            raises comes out as it is.
        """

    def read(self, name: str, work: Callable[[Snapshot], T]) -> Deferred[T]:
        """
        Run `work` on a reader thread; fire with its result.  Cancelling interrupts it.

        :raises ReadCancelled: it held its snapshot too long.  What `work` raises comes out as it
            is.
        """

    def stream(self, name: str, work: Callable[[Snapshot], Iterator[T]]) -> RowStream[T]:
        """Run `work` on a reader thread, one step of its iterator for each `RowStream.next`."""

    def snapshot(self) -> AbstractContextManager[Snapshot]:
        """Enter a snapshot on this very thread, for reads that cost microseconds."""

    def hurried(self) -> AbstractContextManager[None]:
        """
        Let reads of this very thread's snapshot raise `ReadTooLong` after some milliseconds.

        For reads that may cost more than microseconds; a block within that of the snapshot.
        """

    def index_ready(self, collection: str, name: str) -> Deferred[None]:
        """
        Fire when the index can be used, at once if it can already.

        :raises UnknownIndex: the index does not exist, or was dropped meanwhile.
        """

    def reap(self, received_before: int, most: int) -> Deferred[int]:
        """
        Forget tombstones received before a moment (ms since 1970), a few at a time.

        Fires with how many went: at most `most`, the oldest of a collection first.  Cancelling
        ends it soon, with some of them gone.
        """

    def before_reap(self, hook: RemovalHook) -> Callable[[], None]:
        """
        Call `hook` with the unit, a collection and some tombstones, before they are reaped.

        It runs within the unit of work that reaps the tombstones, to leave facts of what must not
        be forgotten with them; what it raises ends the reaping, and the tombstones stay.  Returns a
        function that removes the hook.
        """

    def quarantine(self, collection: str, id_key: bytes) -> Deferred[bool]:
        """
        Take a document out of all that reads see if its bytes are not what was written.

        They are kept, see `Snapshot.damaged`, until the document is whole again.  A read that
        meets a damaged document has this done by itself, some moments later.  Fires with False if
        the document is damaged and has to stay, because no `before_quarantine` hook is set.

        :raises StoreError: it could not be moved.
        """

    def before_quarantine(self, hook: RemovalHook) -> Callable[[], None]:
        """
        Call `hook` with the unit, a collection and a damaged document before its quarantine.

        As `before_reap`; what of the document can be read may be wrong.
        """

    @property
    def damage(self) -> DamageReport:
        """What is damaged, as far as reads and the scrubber have found it."""

    def on_commit(self, hook: Callable[[Commit], None]) -> Callable[[], None]:
        """
        Call `hook` on the reactor thread after commits (several may be told at once).

        Returns a function that removes the hook.
        """

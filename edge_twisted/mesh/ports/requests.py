# SPDX-License-Identifier: Apache-2.0
"""
What a session asks of the database, and the answers: the only way from the mesh to documents.

A session never waits: it emits `effects.Ask` with one of these requests and is told the answer by
`Session.answered`.  Whoever performs them (`Documents`) does each whole or not at all; a request
that fails ends the link.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping
from typing import Protocol

from attrs import field, frozen
from twisted.internet.defer import Deferred

from edge_twisted.documents.clock import Timestamp
from edge_twisted.documents.values import Value
from edge_twisted.documents.versions import Replica, VersionVector
from edge_twisted.mesh.wire.items import Item, ScopeKey, Seen, Whole


@frozen(kw_only=True)
class Scope:
    """One subscription: what a receiver wants of a sender."""

    key: ScopeKey
    query: str
    arguments: Mapping[str, Value]
    collection: str
    #: Without a condition, a scope is the whole collection: knowledge and fingerprints exist.
    is_whole: bool


# -- asked by a receiver


@frozen(kw_only=True)
class FindPosition:
    """Where a stream from `sender` goes on.  Answer: `StreamPosition`."""

    scope: Scope
    sender: Replica


@frozen(kw_only=True)
class StreamPosition:
    """`lsn` None: nothing is known of this sender; `held`: documents in the collection here."""

    lsn: int | None
    held: int


@frozen(kw_only=True)
class ApplyBatch:
    """
    Merge a batch and move the cursor, in one transaction.  Answer: `Applied` or `Lacking`.

    Raises `ClockSkew` (nothing applied), `CorruptItem` (their fault).
    """

    scope: Scope
    sender: Replica
    items: tuple[Item, ...]
    #: The cursor after it; None leaves the cursor alone (answers out of the stream's order).
    lsn: int | None
    #: The cursor before it, as `FindPosition` or the last batch left it; None: there was none.
    after: int | None = None
    #: What the sender knows of the whole collection, if the batch made us catch up with it.
    knowledge: VersionVector | None = None


@frozen(kw_only=True)
class Lacking:
    """Nothing was applied: these documents have to come whole first (`ReadDocuments` there)."""

    id_keys: tuple[bytes, ...]


@frozen(kw_only=True)
class Applied:
    """What became of a batch."""

    documents: int
    #: False: the cursor here was no longer `after` (EVICT dropped it, another link moved it), so
    #: it stays as it is.  The documents were applied; ask `FindPosition` again.
    moved: bool = True
    #: (id key, digest) whose version here is now exactly the sender's: no need to send them back.
    echoes: tuple[tuple[bytes, int], ...] = ()
    #: Refused: known to be deleted; tell the sender (`Gone`).
    gone: tuple[Seen, ...] = ()
    #: The sender's version was older than ours: offer it ours.
    older: tuple[bytes, ...] = ()
    #: Ids of blobs that came into sight, for `auto_fetch_attachments`.
    attachments: tuple[str, ...] = ()


@frozen(kw_only=True)
class DeleteGone:
    """
    The peer says that these were deleted: delete what lives by nothing else.  Answer: None.
    """

    collection: str
    seen: tuple[Seen, ...]


# -- asked by a sender


@frozen(kw_only=True)
class ReadChanges:
    """
    The next batch of a stream.  Answer: `Changes`, `CursorUnknown` or `ScopeClosed`.

    `skip` holds (id key -> digest) of versions that the receiver has from us or gave to us;
    `base` is what it is known to have of the collection, for deltas.  Whole commits only, at
    least one; about `limit_bytes`.
    """

    scope: Scope
    after: int
    base: VersionVector | None = None
    skip: Mapping[bytes, int] = field(factory=dict)
    #: Announce documents above this size instead of sending them; None never does.
    announce_above: int | None = None
    limit_bytes: int = 256 * 1024


@frozen(kw_only=True)
class Changes:
    """
    A batch.

    With `more` False the receiver will have all as of `lsn`: then `knowledge` (what we know of
    the collection; only for a whole scope) and `fingerprint` (16 bytes over the live documents)
    are of that snapshot.
    """

    items: tuple[Item, ...]
    lsn: int
    more: bool
    knowledge: VersionVector | None = None
    fingerprint: bytes | None = None


@frozen(kw_only=True)
class CursorUnknown:
    """The cursor is beyond our lsn, or before the reaping horizon: the receiver must repair."""

    reason: str


@frozen(kw_only=True)
class ScopeClosed:
    """The collection's sync scope does not allow it to be sent; the cursor stays."""


@frozen(kw_only=True)
class ReadDocuments:
    """
    Documents by id, or by digest, whole, whether they match or not.

    Answer: tuple of `Whole`, those that are not here left out; `ScopeClosed`.
    """

    scope: Scope
    id_keys: tuple[bytes, ...] = ()
    digests: tuple[int, ...] = ()


@frozen(kw_only=True)
class FindGone:
    """
    What became here of documents that, in a repair, only the receiver has.

    Answer: `Fates`; `ScopeClosed`.
    """

    scope: Scope
    seen: tuple[Seen, ...]


@frozen(kw_only=True)
class Fates:
    """The answer about each that there is something to say of."""

    #: Known to be deleted: tell the receiver (`Gone`).
    gone: tuple[Seen, ...] = ()
    #: Here with more than the receiver has, but out of the scope: offer it, so that it learns why.
    moved_out: tuple[bytes, ...] = ()


# -- repair, both sides


@frozen(kw_only=True)
class ReadDigests:
    """
    The digests of all documents of a scope, tombstones included.

    Answer: `Digests`, or `ScopeClosed` to a peer (`for_peer`) that may not have them.

    A tombstone belongs to every scope of its collection.
    """

    scope: Scope
    #: Asked by the sender in a repair; False by the receiver, of its own.
    for_peer: bool = True


@frozen(kw_only=True)
class Digests:
    """As of `lsn`: 64-bit digests, in no order; an array('q')."""

    lsn: int
    values: array[int]
    knowledge: VersionVector | None = None


@frozen(kw_only=True)
class FindSeen:
    """(id, version) of the documents with these digests.  Answer: tuple of `Seen`."""

    scope: Scope
    digests: tuple[int, ...]


@frozen(kw_only=True)
class Observe:
    """A peer's HELLO: its clock, and the highest sequence it knows of this site.  Answer: None."""

    clock: Timestamp
    of_us: int


DocumentRequest = (
    FindPosition
    | ApplyBatch
    | DeleteGone
    | ReadChanges
    | ReadDocuments
    | FindGone
    | ReadDigests
    | FindSeen
    | Observe
)
Answer = (
    StreamPosition
    | Lacking
    | Applied
    | Changes
    | CursorUnknown
    | ScopeClosed
    | Digests
    | Fates
    | tuple[Whole, ...]
    | tuple[Seen, ...]
    | None
)


class Watcher(Protocol):
    """Hears, on the reactor thread, what concerns links beside commits."""

    def cursors_dropped(self, collections: frozenset[str]) -> None:
        """EVICT: positions in these collections are to be asked for again, at once."""

    def scopes_opened(self, collections: frozenset[str]) -> None:
        """What was `ScopeClosed` may be sent now: as if there had been a commit in each."""

    def replica_renewed(self, replica: Replica) -> None:
        """We are somebody else now: every link has to say hello anew."""


class Documents(Protocol):
    """The database as the mesh needs it; all calls from the reactor thread."""

    @property
    def replica(self) -> Replica:
        """Who we are; changes when the epoch is renewed: every link then has to say hello anew."""

    @property
    def lsn(self) -> int:
        """The newest durable commit."""

    def heard_of(self, replica: Replica) -> int:
        """Return the highest sequence of a replica in what came here: for its `Observe.of_us`."""

    def watch(self, watcher: Watcher) -> Callable[[], None]:
        """Tell somebody what happens; return a function that ends it."""

    def scope(self, query: str, arguments: Mapping[str, Value]) -> Scope:
        """
        Return the scope that a subscription query names.

        :raises DqlError: it is no subscription.
        """

    def perform(self, request: DocumentRequest) -> Deferred[Answer]:
        """Fire with the answer; mutations only once they are durable."""

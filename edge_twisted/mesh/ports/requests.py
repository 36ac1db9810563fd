# SPDX-License-Identifier: Apache-2.0
"""
Requests of a session to the database, and the answers: the only way from the mesh to documents.

A session does not wait.  It emits `effects.Ask` with one of these requests, and its owner gives the
answer to `Session.answered`.  `Documents` performs each request whole or not at all; a request that
fails ends the link.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping
from typing import Generic, NamedTuple, Protocol, TypeAlias, TypeVar

from attrs import field, frozen
from twisted.internet.defer import Deferred

from edge_twisted.documents.clock import BEGINNING, Timestamp
from edge_twisted.documents.values import Value
from edge_twisted.documents.versions import Replica, VersionVector
from edge_twisted.mesh.wire.items import Item, ScopeKey, Seen, Whole

#: What the database answers to one kind of request.
A_co = TypeVar("A_co", covariant=True, bound="Answer")


class Question(Generic[A_co]):
    """The base of all requests; the parameter is the type of its answer, see `Port.ask`."""

    __slots__ = ()


class TransitRoute(NamedTuple):
    """
    How a subscription came that a server in transit passes on.

    :ivar path: the sites of the servers for which it is passed on, the subscriber first.
    :ivar token: names the wish to have again what was dropped (8 bytes); empty: there is none.
    """

    path: tuple[bytes, ...]
    token: bytes = b""


@frozen(kw_only=True)
class Scope:
    """The query of one subscription: what a receiver wants of a sender."""

    key: ScopeKey
    query: str
    arguments: Mapping[str, Value]
    collection: str
    #: Without a condition, a scope is the whole collection: knowledge and fingerprints exist.
    is_whole: bool
    #: Set if this server subscribes for others: what comes is in transit.
    route: TransitRoute | None = None


# -- asked by a receiver


@frozen(kw_only=True)
class FindPosition(Question["StreamPosition"]):
    """Find the cursor of a stream from `sender`.  Answer: `StreamPosition`."""

    scope: Scope
    sender: Replica


@frozen(kw_only=True)
class StreamPosition:
    """
    The cursor of a stream.

    :ivar lsn: None if there is no cursor for this sender.
    :ivar held: documents in the collection here.
    :ivar evictions: how often EVICT has dropped the cursors of the collection.
    :ivar base: what this server has of the collection from this sender, for deltas; None if it is
        not known, or there is no cursor.
    """

    lsn: int | None
    held: int
    evictions: int = 0
    base: VersionVector | None = None


class ScopeCursor(NamedTuple):
    """
    A scope with its cursor, as `FindPosition` or the last batch left it.

    :ivar after: None if there is no cursor.
    :ivar evictions: as in `StreamPosition`.  It matters where there is no cursor: EVICT leaves
        none either.
    """

    scope: Scope
    after: int | None
    evictions: int = 0


@frozen(kw_only=True)
class ApplyBatch(Question["Applied | Lacking"]):
    """
    Merge a batch and move the cursors of its scopes, in one transaction.

    Answer: `Applied` or `Lacking`.  Raises `ClockSkew` (nothing applied), `CorruptItem` (their
    fault).
    """

    scope: Scope
    sender: Replica
    items: tuple[Item, ...]
    #: The cursors after it; None leaves the cursors alone (answers out of the stream's order).
    lsn: int | None
    #: The cursor of `scope` before it, and how often EVICT dropped it; see `ScopeCursor`.
    after: int | None = None
    evictions: int = 0
    #: Further scopes of the collection that the batch is for.
    others: tuple[ScopeCursor, ...] = ()
    #: Scopes whose cursors stay away: not all that came was taken.
    provisional: frozenset[ScopeKey] = frozenset()
    #: What the sender knows of the whole collection, if the batch made us catch up with it.
    knowledge: VersionVector | None = None
    #: What the batch adds to the bases that are stored with the cursors: as `knowledge`, for scopes
    #: with a condition too.
    base: VersionVector | None = None
    #: The hybrid clock that the peer declared: timestamps up to this are taken.
    declared: Timestamp = BEGINNING
    #: What the sender said that it knows; documents that it has all the same are not deleted.
    vouched: VersionVector | None = None

    @property
    def cursors(self) -> tuple[ScopeCursor, ...]:
        """The scopes that the batch is for, each with its cursor: `scope` first, then `others`."""
        return (ScopeCursor(self.scope, self.after, self.evictions), *self.others)


@frozen(kw_only=True)
class Lacking:
    """Nothing was applied, because these documents have to come whole first."""

    id_keys: tuple[bytes, ...]


@frozen(kw_only=True)
class Applied:
    """The batch was applied; what became of its documents."""

    documents: int
    #: Scopes whose cursor here was not the one that was named (EVICT dropped it, another link moved
    #: it), so it stays as it is.  The documents were applied; ask `FindPosition` again.
    unmoved: tuple[ScopeKey, ...] = ()
    #: (id key, digest) whose version here is now exactly the sender's: no need to send them back.
    echoes: tuple[tuple[bytes, int], ...] = ()
    #: Documents that are known here to be deleted, so refused; tell the sender (GONE).
    gone: tuple[Seen, ...] = ()
    #: Id keys of documents whose version here is newer; offer it to the sender.
    older: tuple[bytes, ...] = ()
    #: Ids of attachments that are visible now, for `auto_fetch_attachments`.
    attachments: tuple[str, ...] = ()
    #: Documents that nobody subscribes to over this link, so they were ignored.
    unwanted: int = 0
    #: So many documents were not taken, because they may have been deleted here, and the sender has
    #: not said that it knows of that.  The cursor was dropped: repair.
    doubtful: int = 0


@frozen(kw_only=True)
class DeleteGone(Question[None]):
    """
    Delete documents that the peer deleted and that live by nothing newer.  Answer: None.
    """

    collection: str
    seen: tuple[Seen, ...]


# -- asked by a sender


class ScopeReading(NamedTuple):
    """
    Where the reading of the log for one scope stands.

    :ivar after: the cursor; older changes are not for this scope.
    :ivar base: what the receiver is known to have of the scope's documents, for deltas.
    :ivar horizon: tombstones up to this lsn may be reaped: the reading began from nothing after
        that, or has passed them.
    """

    scope: Scope
    after: int
    base: VersionVector | None = None
    horizon: int = 0


class Delivered(NamedTuple):
    """The receiver has all of a scope that was committed here up to an lsn."""

    scope: Scope
    upto: int


@frozen(kw_only=True)
class ReadChanges(Question["ChangesAnswer"]):
    """
    Read the next batch for scopes of one collection.

    Answer: `ChangesAnswer`.

    A batch holds whole commits, at least one, and about `limit_bytes`.  It begins at the lowest
    cursor.  A document is in it once, if it matches any of the scopes whose cursor it is behind.

    :ivar skip: versions that the receiver has already, id key -> digest.
    :ivar delivered: other scopes of which the receiver has documents already.
    """

    scope: Scope
    after: int
    base: VersionVector | None = None
    #: See `ScopeReading`.
    horizon: int = 0
    #: Further scopes of the collection that the batch is for.
    others: tuple[ScopeReading, ...] = ()
    delivered: tuple[Delivered, ...] = ()
    skip: Mapping[bytes, int] = field(factory=dict)
    #: Announce documents above this size instead of sending them; None never does.
    announce_above: int | None = None
    limit_bytes: int = 256 * 1024

    @property
    def readings(self) -> tuple[ScopeReading, ...]:
        """The scopes that the batch is for, each with its cursor and base: `scope` first."""
        return (ScopeReading(self.scope, self.after, self.base, self.horizon), *self.others)


@frozen(kw_only=True)
class Changes:
    """
    A batch, and the cursor once it is applied; scopes that stood further on are not concerned.

    If `more` is False, the receiver then has everything as of `lsn`.  `knowledge` (of the
    collection here), and if a scope is whole `fingerprint` (16 bytes over the live documents), come
    from that snapshot.
    """

    items: tuple[Item, ...]
    lsn: int
    more: bool
    knowledge: VersionVector | None = None
    fingerprint: bytes | None = None
    #: The newest commit of a tombstone of the collection that was reaped, for `horizon`.
    reaped_lsn: int = 0


@frozen(kw_only=True)
class CursorUnknown:
    """The cursor is beyond the log, or before the reaping horizon: the receiver must repair."""

    reason: str


@frozen(kw_only=True)
class ScopeClosed:
    """The sync scope of the collection forbids sending it; the cursor stays."""


ChangesAnswer: TypeAlias = Changes | CursorUnknown | ScopeClosed


@frozen(kw_only=True)
class ReadDocuments(Question["tuple[Whole, ...] | ScopeClosed"]):
    """
    Read documents whole by id or by digest, whether they match the scope or not.

    Answer: tuple of `Whole`, without documents that are not here; or `ScopeClosed`.
    """

    scope: Scope
    id_keys: tuple[bytes, ...] = ()
    digests: tuple[int, ...] = ()


@frozen(kw_only=True)
class FindGone(Question["Fates | ScopeClosed"]):
    """
    Find what became here of documents that, in a repair, only the receiver has.

    Answer: `Fates` or `ScopeClosed`.
    """

    scope: Scope
    seen: tuple[Seen, ...]


@frozen(kw_only=True)
class Fates:
    """What became of documents, as far as this server knows."""

    #: Documents that are known to be deleted; tell the receiver (GONE).
    gone: tuple[Seen, ...] = ()
    #: Documents that are newer here and out of the scope; offer them, so that the receiver learns.
    moved_out: tuple[bytes, ...] = ()
    #: Others may be deleted, by deletes of which this server has only a summary.
    is_unsure: bool = False


# -- repair, both sides


@frozen(kw_only=True)
class ReadDigests(Question["Digests | ScopeClosed"]):
    """
    Read the digests of all documents of a scope, and of all tombstones of its collection.

    Answer: `Digests`, or `ScopeClosed` to a peer (`for_peer`) that may not have them.
    """

    scope: Scope
    #: True at the sender of a stream; False at its receiver, for its own documents.
    for_peer: bool = True


@frozen(kw_only=True)
class Digests:
    """
    Signed 64-bit digests as of `lsn`, in no order.

    :ivar knowledge: for a whole scope, what a receiver knows that has all these documents.
    :ivar vouched: what is known here; the documents here are alive in spite of all deletes in it.
    :ivar forgets: whether this server has only a summary of some deletes, see `Fates.is_unsure`.
    """

    lsn: int
    values: array[int]
    knowledge: VersionVector | None = None
    vouched: VersionVector | None = None
    forgets: bool = False


@frozen(kw_only=True)
class FindSeen(Question[tuple[Seen, ...]]):
    """Find id and version of the documents with these digests.  Answer: tuple of `Seen`."""

    scope: Scope
    digests: tuple[int, ...]


@frozen(kw_only=True)
class FindDropped(Question[tuple[Seen, ...]]):
    """
    Find documents in transit that were dropped, and that no digest stands for in a repair.

    Answer: tuple of `Seen` with the empty version, in the order of id keys, `limit` at most; after
    the last one an empty tuple.

    :ivar after: the id key after which to begin.
    """

    scope: Scope
    after: bytes = b""
    limit: int = 512


@frozen(kw_only=True)
class Observe(Question[None]):
    """Note a peer's clock and the highest of this site's writes that it knows.  Answer: None."""

    clock: Timestamp
    of_us: int


Answer: TypeAlias = (
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
#: Any of the requests.
DocumentRequest: TypeAlias = Question[Answer]


class Watcher(Protocol):
    """Hears of what concerns links beside commits; called on the reactor thread."""

    def cursors_dropped(self, collections: frozenset[str]) -> None:
        """Begin the subscriptions in these collections anew, for EVICT dropped their cursors."""

    def scopes_opened(self, collections: frozenset[str]) -> None:
        """Try scopes of these collections again that were answered with `ScopeClosed`.

        Treat it like a commit in each of the collections.
        """

    def replica_renewed(self, replica: Replica) -> None:
        """End all links, so that they say HELLO with the new replica."""


class Documents(Protocol):
    """The database as the mesh needs it; all calls from the reactor thread."""

    @property
    def replica(self) -> Replica:
        """The site and epoch of this server; `Watcher.replica_renewed` tells of a new epoch."""

    @property
    def lsn(self) -> int:
        """The newest durable commit."""

    @property
    def hybrid_time(self) -> Timestamp:
        """The hybrid clock: no document here has a write that is stamped later."""

    def heard_of(self, replica: Replica) -> int:
        """Return the highest sequence number of a replica among the writes known here."""

    def watch(self, watcher: Watcher) -> Callable[[], None]:
        """Tell `watcher` of events from now on; return a function that ends the telling."""

    def scope(self, query: str, arguments: Mapping[str, Value]) -> Scope:
        """Return the scope that a subscription query names, with the arguments of its parameters.

        :raises DqlError: the query is no subscription; show its author the message.
        """

    def perform(self, request: DocumentRequest) -> Deferred[Answer]:
        """Perform a request; fire with the answer that the request's docstring names.

        For requests that change documents, the Deferred fires once the change is durable.  An
        error, also those that the request's docstring names, fails the Deferred.
        """

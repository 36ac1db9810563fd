# SPDX-License-Identifier: Apache-2.0
"""
The relay: subscribes at neighbours for neighbours, and keeps the documents in transit in bounds.

It hears what neighbours subscribe to and how far they are, and decides (`transit_routes`) what to
subscribe to at whom.  When documents in transit come to more bytes than they may, it drops the
oldest that all neighbours have; then those that only an absent neighbour has not; and while there
is nothing to drop, it takes no more: it ends its subscriptions for others, whose cursors stay, and
goes on from there when there is room.  Whoever comes later and needs what was dropped has it
fetched again (`TransitRelay._want_again`).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

import msgspec.msgpack
from attrs import define, field, frozen
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from edge_twisted.errors import EdgeError
from edge_twisted.mesh.ports.effects import (
    PeerSubscribed,
    PeerUnsubscribed,
    StreamProgress,
    Unwanted,
)
from edge_twisted.mesh.ports.requests import Scope
from edge_twisted.mesh.wire.items import ScopeKey
from edge_twisted.records.facts import TRANSIT_PEERS
from edge_twisted.records.transit import DropMark
from edge_twisted.replication.stored_documents import StoredDocuments
from edge_twisted.replication.transit import TransitStore
from edge_twisted.replication.transit_routes import PeerSubscription, TransitPeer, TransitRoutes
from edge_twisted.replication.transit_upkeep import TransitUpkeep
from edge_twisted.store.hidden import PREFIX_BYTES
from edge_twisted.store.interface import Snapshot, Store, UnitOfWork

log = Logger()

#: How long the subscriptions of a neighbour that is away are served: as long as tombstones live.
REMEMBERED_MS: Final = 168 * 3_600_000
#: Neighbours that are remembered; beyond that, those that were away longest are forgotten.
MOST_REMEMBERED: Final = 256
#: A linked neighbour that acknowledges nothing for so long, while there is no room, is cut off: it
#: is then away, and what it lacks is fetched again when it comes back.
STALLED_SECONDS: Final = 30.0
#: The least time between two fetches of all that was dropped of a collection.
AGAIN_SECONDS: Final = 5.0
#: It doubles up to this while other servers in transit, which are as full, come back for more.
MOST_AGAIN_SECONDS: Final = 3600.0
#: Tokens of wishes that were fulfilled.
MOST_TOKENS: Final = 4096
TOKEN_BYTES: Final = 8
#: How often what is remembered is written, at most.
KEEP_SECONDS: Final = 2.0

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode


class TransitNeighbours(Protocol):
    """The links of this server, as the relay uses them; calls for others do nothing."""

    def subscribe(self, peer: str, scope: Scope) -> None:
        """Subscribe to a scope at a neighbour."""

    def unsubscribe(self, peer: str, key: ScopeKey) -> None:
        """End a subscription at a neighbour."""

    def cut_off(self, peer: str, detail: str) -> None:
        """End the link with a neighbour that does not acknowledge."""


@frozen(kw_only=True)
class TransitAccount:
    """
    What a server carries for its neighbours, for status and metrics.

    :ivar size: bytes of documents, and `most_bytes` what they may come to.
    :ivar scopes: how many scopes are subscribed to for others.
    :ivar dropped: documents that were dropped since the start, to make room.
    :ivar unwanted: documents that were ignored since the start: nobody subscribes to them.
    """

    size: int
    most_bytes: int
    documents: int
    scopes: int
    dropped: int
    unwanted: int
    is_paused: bool


@frozen(kw_only=True)
class RelayParts:
    """What a relay works with; `seconds` is monotonic, `progress` how far a peer was once."""

    documents: StoredDocuments
    store: Store
    neighbours: TransitNeighbours
    progress: Callable[[str], int]
    seconds: Callable[[], float]
    now_ms: Callable[[], int]
    entropy: Callable[[int], bytes]


@define(eq=False)
class TransitRelay:
    """See the head of this module; for the reactor thread."""

    _parts: RelayParts
    routes: TransitRoutes = field(init=False)
    #: Whether nothing more is taken, because there is no room.
    is_paused: bool = False
    unwanted: int = 0
    _is_dirty: bool = False
    _is_dropping: bool = False
    _is_unwritten: bool = False
    _written_at: float = 0.0
    #: Tokens of wishes that were fulfilled, and how far the collection was dropped then.
    _heard_tokens: OrderedDict[bytes, int] = field(factory=OrderedDict)
    #: For each collection of which dropped documents are to be fetched again, the token.
    _again: dict[str, bytes] = field(factory=dict)
    _again_at: dict[str, float] = field(factory=dict)
    #: The time between two such fetches, where it is not the least.
    _again_wait: dict[str, float] = field(factory=dict)

    def __attrs_post_init__(self) -> None:
        documents = self._parts.documents
        self.routes = TransitRoutes(documents.replica.site, documents.keeps_to_itself)

    @property
    def _transit(self) -> TransitStore:
        transit = self._parts.documents.transit
        assert transit is not None
        return transit

    @property
    def _upkeep(self) -> TransitUpkeep:
        upkeep = self._parts.documents.upkeep
        assert upkeep is not None
        return upkeep

    # -- life

    def load(self, snapshot: Snapshot) -> None:
        """Remember the neighbours of former times."""
        oldest = self._parts.now_ms() - REMEMBERED_MS
        for key, value in snapshot.facts(TRANSIT_PEERS, PREFIX_BYTES, limit=MOST_REMEMBERED):
            name = key[len(PREFIX_BYTES) :].decode()
            peer = self._decoded(value)
            if peer.seen_ms >= oldest:
                peer.acknowledged = max(0, self._parts.progress(name))
                self.routes.peers[name] = peer

    def _decoded(self, value: bytes) -> TransitPeer:
        written: Any = _decode(value)
        seen_ms, site, subscriptions = written
        peer = TransitPeer(site=site, seen_ms=seen_ms)
        for query, arguments, path in subscriptions:
            try:
                scope = self._parts.documents.scope(query, arguments)
            except EdgeError:
                continue
            peer.remembered[scope.key] = PeerSubscription(scope, tuple(path))
        return peer

    # -- what happens

    def connected(self, name: str, site: bytes, link: object) -> None:
        """Note a link with a neighbour."""
        peer = self.routes.peers.setdefault(name, TransitPeer())
        peer.site, peer.is_linked = site, True
        peer.seen_ms = self._parts.now_ms()
        peer.subscribed.clear()
        self._use(name, peer, link)
        self._subscribe_at(name)

    def disconnected(self, name: str) -> None:
        """Note that the link with a neighbour is gone."""
        peer = self.routes.peers.get(name)
        if peer is None:
            return
        peer.remembered = {each.scope.key: each for each in peer.subscriptions()}
        peer.current.clear()
        peer.subscribed.clear()
        peer.is_linked, peer.link = False, None
        peer.seen_ms = self._parts.now_ms()
        self._is_unwritten = self._is_dirty = True

    def _use(self, name: str, peer: TransitPeer, link: object) -> None:
        """Let what is told over a link count, and nothing of the link before it."""
        if peer.link is not link:
            peer.remembered = {each.scope.key: each for each in peer.subscriptions()}
            peer.current.clear()
            peer.link = link
            # How far it is will be told; until then it may lack everything.
            peer.acknowledged = 0
            peer.waiting_since = None
            for scope in peer.subscribed.values():
                self._parts.neighbours.subscribe(name, scope)

    def initial(self, name: str) -> tuple[Scope, ...]:
        """Return what to subscribe to for others on a new link with a linked neighbour."""
        peer = self.routes.peers.get(name)
        return () if peer is None else tuple(peer.subscribed.values())

    def told(self, name: str, link: object, event: object) -> None:
        """Take an event of the session with a neighbour."""
        peer = self.routes.peers.get(name)
        if peer is None or not peer.is_linked:
            return
        match event:
            case PeerSubscribed():
                self._use(name, peer, link)
                self._subscribed(name, peer, event)
            case PeerUnsubscribed(number=number):
                if peer.link is link and peer.current.pop(number, None) is not None:
                    self._is_dirty = self._is_unwritten = True
            case StreamProgress(acknowledged_lsn=lsn):
                self._use(name, peer, link)
                self._acknowledged(peer, lsn)
            case Unwanted(documents=documents):
                self.unwanted += documents
                log.warn(
                    "Peer {peer} sent {documents} documents that nobody subscribes to",
                    peer=name,
                    documents=documents,
                )

    def _acknowledged(self, peer: TransitPeer, lsn: int) -> None:
        if lsn != peer.acknowledged:
            peer.acknowledged, peer.waiting_since = lsn, None
        if peer.remembered:
            # It has said all that it wants.
            peer.remembered = {}
            self._is_dirty = self._is_unwritten = True
        self.check_room()

    def _subscribed(self, name: str, peer: TransitPeer, event: PeerSubscribed) -> None:
        scope, route = event.scope, event.route
        if self._parts.documents.is_virtual(scope):
            return
        path = () if route is None else route.path
        peer.current[event.number] = PeerSubscription(scope, path)
        self._is_unwritten = True
        token = b"" if route is None else route.token
        if scope.key not in self.routes.tokens:
            # A wish of its own: servers further on may have dropped what nobody had wanted.
            self.routes.tokens[scope.key] = token or self._parts.entropy(TOKEN_BYTES)
        self._look_for_gaps(scope, event.position, token, is_passed_on=route is not None)
        if self.is_paused:
            self._is_dirty = True
            return
        # At once where it is new; what changes or ends waits for the next tick.
        for other, to in self.routes.peers.items():
            if other != name and to.is_linked and scope.key not in to.subscribed:
                found = self.routes.wanted(other, {scope.key: scope}).get(scope.key)
                if found is not None and not self.routes.is_own(scope):
                    self._subscribe(other, found)
        self._is_dirty = True

    # -- subscriptions for others

    def _subscribe(self, name: str, scope: Scope) -> None:
        self.routes.peers[name].subscribed[scope.key] = scope
        self._parts.neighbours.subscribe(name, scope)

    def _unsubscribe(self, name: str, key: ScopeKey) -> None:
        del self.routes.peers[name].subscribed[key]
        self._parts.neighbours.unsubscribe(name, key)

    def _subscribe_at(self, name: str) -> None:
        """Make the subscriptions at a neighbour what they are to be."""
        peer = self.routes.peers[name]
        wanted: Mapping[ScopeKey, Scope] = {}
        if not self.is_paused:
            wanted = self.routes.wanted(name, self.routes.scopes())
        for key, scope in tuple(peer.subscribed.items()):
            if wanted.get(key) is None or wanted[key].route != scope.route:
                self._unsubscribe(name, key)
        for key, scope in wanted.items():
            if key not in peer.subscribed:
                self._subscribe(name, scope)

    def scopes_changed(self) -> None:
        """Decide anew: this server may hand on other collections than before."""
        self._is_dirty = True

    def tick(self) -> None:
        """Do what is due; called about every half second."""
        self._forget()
        self.check_room()
        if self._is_dirty:
            self._is_dirty = False
            linked = [name for name, peer in self.routes.peers.items() if peer.is_linked]
            for name in linked:
                self._subscribe_at(name)
            self._forget_tokens()
        self._fetch_again()
        if self._is_unwritten and self._parts.seconds() - self._written_at >= KEEP_SECONDS:
            self._run(self.keep())

    def _forget(self) -> None:
        """Forget neighbours that are away for too long, or too many."""
        oldest = self._parts.now_ms() - REMEMBERED_MS
        away = [
            (peer.seen_ms, name) for name, peer in self.routes.peers.items() if not peer.is_linked
        ]
        surplus = len(away) - MOST_REMEMBERED
        for number, (seen_ms, name) in enumerate(sorted(away)):
            if number < surplus or seen_ms < oldest or not self.routes.peers[name].remembered:
                del self.routes.peers[name]
                self._is_dirty = self._is_unwritten = True

    def _forget_tokens(self) -> None:
        wanted = {s.scope.key for peer in self.routes.peers.values() for s in peer.subscriptions()}
        self.routes.tokens = {k: t for k, t in self.routes.tokens.items() if k in wanted}

    # -- room

    def check_room(self) -> None:
        """Make room if there is none; take more again if there is."""
        has_enough = self._transit.size <= self._transit.enough_bytes
        if self.is_paused and has_enough:
            self.is_paused = False
            self._is_dirty = True
            for peer in self.routes.peers.values():
                peer.waiting_since = None
        elif (self.is_paused or self._transit.is_full) and not self._is_dropping:
            self._is_dropping = True
            self._run(self._make_room())

    async def _make_room(self) -> None:
        try:
            transit = self._transit
            for with_absent in (True, False):
                while transit.size > transit.enough_bytes:
                    dropped = await self._upkeep.make_room(self._passed(with_absent))
                    with self._parts.store.snapshot() as snapshot:
                        transit.refresh(snapshot)
                    if not dropped.more:
                        break
            if transit.is_full or self.is_paused:
                self._pause()
        finally:
            self._is_dropping = False

    def _passed(self, with_absent: bool) -> dict[str, int]:
        """
        Return for each collection the commit up to which all neighbours that count have it.

        Absent ones need not count where one is linked: what it has can be fetched again.
        """
        linked: dict[str, int] = {}
        absent: dict[str, int] = {}
        for peer in self.routes.peers.values():
            found = linked if peer.is_linked else absent
            for each in peer.subscriptions():
                name = each.scope.collection
                found[name] = min(found.get(name, peer.acknowledged), peer.acknowledged)
        if not with_absent:
            return {**dict.fromkeys(absent, 0), **linked}
        return {
            name: min(found[name] for found in (linked, absent) if name in found)
            for name in {**linked, **absent}
        }

    def _pause(self) -> None:
        """Take no more, and cut off neighbours that have acknowledged nothing for a while."""
        if not self.is_paused:
            self.is_paused = True
            for name, peer in self.routes.peers.items():
                for key in tuple(peer.subscribed):
                    self._unsubscribe(name, key)
        now, newest = self._parts.seconds(), self._parts.documents.lsn
        for name, peer in tuple(self.routes.peers.items()):
            if not peer.is_linked or peer.acknowledged >= newest or not peer.current:
                peer.waiting_since = None
            elif peer.waiting_since is None:
                peer.waiting_since = now
            elif now - peer.waiting_since >= STALLED_SECONDS:
                self._parts.neighbours.cut_off(name, "it acknowledges nothing")

    # -- what was dropped and is wanted again

    def _look_for_gaps(
        self, scope: Scope, position: int | None, token: bytes, *, is_passed_on: bool
    ) -> None:
        """Have fetched again what was dropped, if a subscription begins before it."""
        with self._parts.store.snapshot() as snapshot:
            dropped = DropMark.of(snapshot, scope.collection).lsn
        if not dropped or (position or 0) >= dropped:
            return
        if position is not None or not token:
            # The neighbour itself lacks something.
            token = self._parts.entropy(TOKEN_BYTES)
        elif self._heard_tokens.get(token, -1) >= dropped:
            # It only passes on a wish that has come here before, and nothing was dropped since.
            return
        self._again[scope.collection] = token
        if not is_passed_on:
            self._again_wait.pop(scope.collection, None)

    def _fetch_again(self) -> None:
        now = self._parts.seconds()
        for collection, token in tuple(self._again.items()):
            wait = self._again_wait.get(collection, AGAIN_SECONDS)
            if now - self._again_at.get(collection, -wait) >= wait:
                del self._again[collection]
                self._again_wait[collection] = min(2 * wait, MOST_AGAIN_SECONDS)
                self._again_at[collection] = now
                self._run(self._want_again(collection, token))

    async def _want_again(self, collection: str, token: bytes) -> None:
        """Begin the subscriptions in a collection anew, without their cursors, under a token."""
        with self._parts.store.snapshot() as snapshot:
            self._heard_tokens[token] = DropMark.of(snapshot, collection).lsn
        while len(self._heard_tokens) > MOST_TOKENS:
            self._heard_tokens.popitem(last=False)
        await self._upkeep.want_again(collection)
        for name, peer in tuple(self.routes.peers.items()):
            for key, scope in tuple(peer.subscribed.items()):
                if scope.collection == collection:
                    self.routes.tokens[key] = token
                    self._unsubscribe(name, key)
        self._is_dirty = True

    # -- what is kept

    async def keep(self) -> None:
        """Write down which neighbours are remembered, and for what."""
        self._is_unwritten = False
        self._written_at = self._parts.seconds()
        facts = {
            PREFIX_BYTES + name.encode(): _encoded(peer) for name, peer in self.routes.peers.items()
        }

        def write(unit: UnitOfWork) -> None:
            for key, _ in unit.facts(TRANSIT_PEERS, PREFIX_BYTES, limit=2 * MOST_REMEMBERED):
                if key not in facts:
                    unit.put_fact(TRANSIT_PEERS, key, None)
            for key, value in facts.items():
                if unit.fact(TRANSIT_PEERS, key) != value:
                    unit.put_fact(TRANSIT_PEERS, key, value)

        await self._parts.store.write("transit peers", write)

    def _run(self, work: Any) -> None:
        def failed(failure: Any) -> None:
            if failure.check(EdgeError):
                # The next tick tries again; a full disk is reported by the writes that fail.
                self._is_unwritten = True
                log.warn("Documents in transit: {error}", error=str(failure.value))
            else:
                log.failure("Documents in transit", failure)

        Deferred.fromCoroutine(work).addErrback(failed)

    # -- for status and metrics

    @property
    def account(self) -> TransitAccount:
        """What is carried for neighbours."""
        transit = self._transit
        return TransitAccount(
            size=transit.size,
            most_bytes=transit.most_bytes,
            documents=transit.documents,
            scopes=len({key for peer in self.routes.peers.values() for key in peer.subscribed}),
            dropped=transit.dropped,
            unwanted=self.unwanted,
            is_paused=self.is_paused,
        )


def _encoded(peer: TransitPeer) -> bytes:
    subscriptions = [
        [each.scope.query, dict(each.scope.arguments), list(each.path)]
        for each in peer.subscriptions()
    ]
    return _encode([peer.seen_ms, peer.site, subscriptions])

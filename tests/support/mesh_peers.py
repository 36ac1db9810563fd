# SPDX-License-Identifier: Apache-2.0
"""
Peers for tests of the network side: a whole node with a session that only says hello.

The session keeps to `LinkSession` and to its order of events, and knows presence and refusals; it
moves no documents.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
from attrs import define, evolve, field
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime

from edge_twisted.documents.clock import BEGINNING, Timestamp
from edge_twisted.documents.values import Value
from edge_twisted.documents.versions import Replica, SiteId
from edge_twisted.mesh.links.link import Link
from edge_twisted.mesh.links.node import Limits, MeshNode, NodeObserver, NodeParts
from edge_twisted.mesh.ports.effects import (
    BlobHeard,
    Close,
    Effect,
    Established,
    PresenceHeard,
    Send,
    Tell,
    Token,
)
from edge_twisted.mesh.ports.requests import Answer, DocumentRequest, Scope, Watcher
from edge_twisted.mesh.presence.codec import decode, encode
from edge_twisted.mesh.presence.gossip import Giver, Gossip, RefusedRecord, Spread
from edge_twisted.mesh.presence.graph import PresenceGraph, PresenceRecord, RecordVersion
from edge_twisted.mesh.trust.identity import PeerIdentity
from edge_twisted.mesh.trust.peer_key import PeerKey
from edge_twisted.mesh.wire.features import VERSIONS, common_features
from edge_twisted.mesh.wire.items import ScopeKey

#: Silence after which a peer is dead, and the pings that keep it alive.
DEAD_SECONDS = 4.5
PING_SECONDS = 1.5


@define(eq=False)
class NoDocuments:
    """A database that only knows who it is."""

    replica: Replica
    lsn: int = 0
    hybrid_time: Timestamp = BEGINNING

    def heard_of(self, replica: Replica) -> int:
        return 0

    def watch(self, watcher: Watcher) -> Callable[[], None]:
        return lambda: None

    def scope(self, query: str, arguments: object) -> Scope:
        raise NotImplementedError

    def perform(self, request: DocumentRequest) -> Deferred[Answer]:
        return succeed(None)


@define(eq=False)
class HelloSession:
    """Says hello, keeps the link alive, passes presence on; see `LinkSession`."""

    us: PeerKey
    device_name: str
    replica: Replica
    #: Versions of the protocol that it speaks.
    versions: tuple[int, ...] = VERSIONS
    wants_bytes: bool = True
    is_idle: bool = True
    commits: list[int] = field(factory=list)
    _buffer: bytes = b""
    _met: bool = False
    _over: bool = False
    _sent_at: float = 0.0
    _heard_at: float = 0.0

    def start(self, now: float) -> list[Effect]:
        self._heard_at = self._sent_at = now
        site, epoch = self.replica
        return self._say("hello", self.us, self.device_name, site, epoch, list(self.versions))

    def receive(self, data: bytes, now: float) -> list[Effect]:
        self._heard_at = now
        self._buffer += data
        effects: list[Effect] = []
        while len(self._buffer) >= 4 and not self._over:
            end = 4 + int.from_bytes(self._buffer[:4], "big")
            if end > 1 << 20:
                return [*effects, *self.refuse("protocol_violation", "too long")]
            if len(self._buffer) < end:
                break
            frame, self._buffer = self._buffer[4:end], self._buffer[end:]
            effects += self._frame(frame)
        return effects

    def tick(self, now: float) -> list[Effect]:
        if now - self._heard_at >= DEAD_SECONDS:
            self._over = True
            return [Close("lost", "dead")]
        if now - self._sent_at < PING_SECONDS:
            return []
        self._sent_at = now
        return self._say("ping")

    def answered(self, token: Token, answer: object, now: float) -> list[Effect]:
        return []

    def failed(self, token: Token, error: Exception, now: float) -> list[Effect]:
        return []

    def committed(self, lsn: int, collections: frozenset[str], now: float) -> list[Effect]:
        self.commits.append(lsn)
        return []

    def cursors_dropped(self, collections: frozenset[str], now: float) -> list[Effect]:
        return []

    def subscribe(self, scope: Scope, now: float) -> list[Effect]:
        return []

    def unsubscribe(self, key: ScopeKey, now: float) -> list[Effect]:
        return []

    def lost(self) -> None:
        self._over = True

    def send_presence(self, records: tuple[bytes, ...]) -> list[Effect]:
        return self._say("presence", *records)

    def send_blob(self, message: bytes) -> list[Effect]:
        return self._say("blob", message)

    def refuse(self, reason: str, detail: str = "") -> list[Effect]:
        said = self._say("refuse", reason)
        self._over = True
        return [*said, Close(reason, detail)]

    # -- inner

    def _say(self, *words: Value) -> list[Effect]:
        if self._over:
            return []
        frame = msgspec.msgpack.encode(words)
        return [Send(len(frame).to_bytes(4, "big") + frame)]

    def _frame(self, frame: bytes) -> list[Effect]:
        try:
            kind, *rest = msgspec.msgpack.decode(frame)
        except (msgspec.DecodeError, TypeError, ValueError):
            return self.refuse("protocol_violation")
        match kind, rest:
            case "hello", [str(peer), str(name), bytes(site), int(epoch), versions] if (
                not self._met
            ):
                self._met = True
                features = common_features(self.versions, versions)
                assert features is not None
                return [Tell(Established(peer, name, Replica(SiteId(site), epoch), features))]
            case "presence", _ if self._met:
                return [Tell(PresenceHeard(tuple(rest)))]
            case "blob", [bytes(message)] if self._met:
                return [Tell(BlobHeard(message))]
            case "refuse", [str(reason)]:
                self._over = True
                return [Close(reason, "said the peer", by_peer=True)]
            case "ping", []:
                return []
        return self.refuse("protocol_violation")


@define(eq=False)
class RecordingObserver:
    """Writes down who came and went."""

    events: list[tuple[str, str]] = field(factory=list)

    def peer_connected(self, link: Link) -> None:
        self.events.append(("connected", link.device_name))

    def peer_disconnected(self, link: Link) -> None:
        self.events.append(("disconnected", link.device_name))

    def told(self, link: Link, event: object) -> None:
        self.events.append((type(event).__name__, link.device_name))


@define(eq=False)
class TestPeer:
    """A node, and what is around it."""

    __test__ = False

    node: MeshNode
    graph: PresenceGraph
    observer: RecordingObserver
    documents: NoDocuments
    sessions: list[HelloSession]

    @property
    def seen(self) -> Sequence[str]:
        """The device names of the others in its graph, sorted."""
        return sorted(record.device_name for record in self.graph.peers())


class FirstGossip(Gossip):
    """Gossip of protocol version 1 as it was released: it signs nothing, and believes everybody."""

    def __init__(self, graph: PresenceGraph) -> None:
        super().__init__(graph, lambda _: b"")

    def hear(self, data: bytes, giver: Giver) -> Spread | RefusedRecord | None:
        """Take any record; pass on the bytes as they came, so a signature too."""
        record = decode(data)
        news = None if record is None else self.graph.receive(evolve(record, signature=b""))
        if news is None:
            return None
        own = news.peer == self.graph.local.peer
        return Spread(news.peer, encode(news) if own else data, to_all=own, is_signed=False)


def test_peer(
    identity: PeerIdentity,
    name: str,
    clock: IReactorTime,
    *,
    versions: tuple[int, ...] = VERSIONS,
    limits: Limits | None = None,
    told: NodeObserver | None = None,
) -> TestPeer:
    """
    Return a node that has been started; its site is made of its name.

    It tells `told`, or else writes down what happens.
    """
    us = identity.peer_key
    documents = NoDocuments(Replica(SiteId(name.encode().ljust(16)), 1))
    record = PresenceRecord(
        peer=us, stamp=RecordVersion(1, 1), device_name=name, os="Linux", version="test"
    )
    graph, observer = PresenceGraph(record), RecordingObserver()
    sessions: list[HelloSession] = []

    def session_of(link: Link, peer: PeerKey) -> HelloSession:
        sessions.append(HelloSession(us, name, documents.replica, versions))
        return sessions[-1]

    parts = NodeParts(
        us=us,
        documents=documents,
        session_of=session_of,
        gossip=Gossip(graph, identity.sign) if 2 in versions else FirstGossip(graph),
        observer=told or observer,
        clock=clock,
        limits=limits or Limits(connections=64),
    )
    node = MeshNode(parts)
    node.start()
    return TestPeer(node, graph, observer, documents, sessions)


test_peer.__test__ = False  # type: ignore[attr-defined]

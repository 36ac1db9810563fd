# SPDX-License-Identifier: Apache-2.0
"""
The node: the owner of all links of this server.

It gives each link its session, decides which links stay, tells all sessions of commits and of the
time, and spreads presence.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping
from typing import Any, Final, Protocol

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from edge_twisted.documents.versions import Replica
from edge_twisted.mesh.carriers.carrier import Carrier, LinkRoute, Origin
from edge_twisted.mesh.links.computations import ComputationQueue
from edge_twisted.mesh.links.link import Link
from edge_twisted.mesh.links.link_choice import LinkVerdict, judge
from edge_twisted.mesh.links.presence_exchange import PresenceExchange, PresenceParts
from edge_twisted.mesh.links.refusals import RefusalLog
from edge_twisted.mesh.links.strangers import MAX_STRANGERS, Strangers
from edge_twisted.mesh.ports.effects import Established, LinkSession, PresenceHeard
from edge_twisted.mesh.ports.requests import Documents, Scope
from edge_twisted.mesh.presence.gossip import Gossip
from edge_twisted.mesh.presence.graph import Claim
from edge_twisted.mesh.trust.peer_key import PeerKey
from edge_twisted.mesh.wire.end_reasons import QUIET, EndReason
from edge_twisted.mesh.wire.items import ScopeKey

log = Logger()

TICK_SECONDS: Final = 0.5
#: Extra arrivals that a link counts for when this side ends it for one of these reasons.  Under
#: `strangers.ARRIVALS` a network that breaks the protocol again and again gets a few links a
#: second, and one that floods gets a link every five seconds.
CHARGES: Final[Mapping[str, int]] = {
    EndReason.PROTOCOL_VIOLATION: 4,
    EndReason.IMPLAUSIBLE_CLAIM: 4,
    EndReason.RATE_EXCEEDED: 100,
}
_TOO_MANY: Final = "too many connections that have not proven membership"


class NodeObserver(Protocol):
    """The listener to a node: audit, metrics, replication, attachments."""

    def peer_connected(self, link: Link) -> None:
        """Note that a peer is connected, over `link`."""

    def peer_disconnected(self, link: Link) -> None:
        """Note that `link` with a connected peer is gone."""

    def told(self, link: Link, event: object) -> None:
        """Take an event of a session (`ports.effects.Event`) or a `RefusedRecord` of presence."""


@frozen(kw_only=True)
class Limits:
    """How many links the node takes: with peers, and of strangers."""

    connections: int
    strangers: int = MAX_STRANGERS


@frozen(kw_only=True)
class NodeParts:
    """What a node works with; `session_of` makes the session of a link with a certified peer."""

    us: PeerKey
    documents: Documents
    session_of: Callable[[Link, PeerKey], LinkSession]
    gossip: Gossip
    observer: NodeObserver
    clock: IReactorTime
    limits: Limits


class MeshNode:
    """All links of this server and what they share; for the reactor thread."""

    def __init__(self, parts: NodeParts) -> None:
        self._parts = parts
        self.limits = parts.limits
        self._computations = ComputationQueue(parts.clock)
        self.refusal_log = RefusalLog(parts.clock)
        self._links: set[Link] = set()
        self._strangers: Strangers[Link] = Strangers(parts.limits.strangers)
        self._by_peer: dict[PeerKey, Link] = {}
        self._presence = PresenceExchange(
            PresenceParts(
                gossip=parts.gossip,
                compute=self.compute,
                refused=parts.observer.told,
                clock=parts.clock,
            )
        )
        self._is_open = False
        self._ticker = LoopingCall(self._tick)
        self._ticker.clock = parts.clock
        self._peer_left: list[Callable[[PeerKey], None]] = []
        #: Bytes of links that are gone.
        self._past_bytes_in = 0
        self._past_bytes_out = 0

    # -- for the service

    def start(self) -> None:
        """Begin to take links, dialled or accepted."""
        self._is_open = True
        self._ticker.start(TICK_SECONDS, now=False)

    def stop(self) -> Iterable[Link]:
        """End all links with BYE, and take no new ones; return the links.

        The Deferred `done` of each fires once it is gone; `cut` ends those that take too long.
        """
        self._is_open = False
        if self._ticker.running:
            self._ticker.stop()
        for link in tuple(self._links):
            link.refuse(EndReason.GOODBYE)
        return tuple(self._links)

    def cut(self) -> None:
        """Cut all links at once."""
        for link in tuple(self._links):
            link.abort(EndReason.STALLED, "the peer does not read")

    def committed(self, lsn: int, collections: frozenset[str]) -> None:
        """Tell all sessions that commits up to `lsn`, in these collections, are durable."""
        now = self._parts.clock.seconds()
        for link in tuple(self._by_peer.values()):
            link.run(lambda session: session.committed(lsn, collections, now))

    # -- Watcher

    def cursors_dropped(self, collections: frozenset[str]) -> None:
        """Have all sessions subscribe anew in these collections; see `Watcher.cursors_dropped`."""
        now = self._parts.clock.seconds()
        for link in tuple(self._by_peer.values()):
            link.run(lambda session: session.cursors_dropped(collections, now))

    def scopes_opened(self, collections: frozenset[str]) -> None:
        """Have all sessions try closed scopes again; see `Watcher.scopes_opened`."""
        self.committed(self._parts.documents.lsn, collections)

    def replica_renewed(self, replica: Replica) -> None:
        """End all links, so that they say HELLO with the new replica."""
        for link in tuple(self._links):
            link.refuse(EndReason.GOODBYE, "the epoch was renewed")

    # -- Neighbours, for the transfer of blobs

    def send(self, peer: str, message: bytes) -> None:
        """Send an encoded message about blobs to a peer, if it is still connected."""
        link = self._by_peer.get(PeerKey(peer))
        if link is not None:
            link.run(lambda session: session.send_blob(message))

    def has_room(self, peer: str) -> bool:
        """Return whether the link with a peer has nothing waiting to be sent."""
        link = self._by_peer.get(PeerKey(peer))
        return link is not None and link.has_room

    def refuse(self, peer: str, detail: str) -> None:
        """End the link of a peer that broke the protocol; `detail` says how."""
        link = self._by_peer.get(PeerKey(peer))
        if link is not None:
            link.refuse(EndReason.PROTOCOL_VIOLATION, detail)

    # -- TransitNeighbours, for the relay

    def subscribe(self, peer: str, scope: Scope) -> None:
        """Subscribe to a scope at a peer, if it is still connected."""
        link = self._by_peer.get(PeerKey(peer))
        if link is not None:
            now = self._parts.clock.seconds()
            link.run(lambda session: session.subscribe(scope, now))

    def unsubscribe(self, peer: str, key: ScopeKey) -> None:
        """End the subscription to a scope at a peer, if it is still connected."""
        link = self._by_peer.get(PeerKey(peer))
        if link is not None:
            now = self._parts.clock.seconds()
            link.run(lambda session: session.unsubscribe(key, now))

    def cut_off(self, peer: str, detail: str) -> None:
        """Cut the link with a peer at once, without BYE; `detail` is for our log."""
        link = self._by_peer.get(PeerKey(peer))
        if link is not None:
            link.abort(EndReason.STALLED, detail)

    # -- for status and metrics

    @property
    def now(self) -> float:
        """The clock of links, in monotonic seconds."""
        return self._parts.clock.seconds()

    @property
    def us(self) -> PeerKey:
        """The peer key of this server."""
        return self._parts.us

    @property
    def peers(self) -> Mapping[PeerKey, Link]:
        """The connected peers, each with its link."""
        return self._by_peer

    @property
    def traffic(self) -> tuple[int, int]:
        """(Bytes in, bytes out) of all links there ever were, since the process started."""
        return (
            self._past_bytes_in + sum(link.bytes_in for link in self._links),
            self._past_bytes_out + sum(link.bytes_out for link in self._links),
        )

    @property
    def is_full(self) -> bool:
        """Whether there are as many peers as the configuration allows."""
        return len(self._by_peer) >= self.limits.connections

    def is_linked(self, peer: PeerKey) -> bool:
        """Return whether there is an established link with a peer."""
        return peer in self._by_peer

    @property
    def strangers(self) -> int:
        """The number of connections that came in and have not said HELLO."""
        return len(self._strangers)

    def on_peer_left(self, hook: Callable[[PeerKey], None]) -> None:
        """Call `hook` with the peer's key whenever a connected peer has gone."""
        self._peer_left.append(hook)

    # -- for the listener and the dialer

    def new_link(self, route: LinkRoute) -> Link:
        """Return a link for a connection that is about to be made."""
        link = Link(self, self._parts.documents, self._parts.clock, route)
        self._links.add(link)
        return link

    def take_stranger(self, carrier: Carrier[Any], origin: Origin) -> Link | None:
        """Return a link for a connection that came in; None: there is no place for it.

        The refusal is logged.  Another stranger may be evicted for the newcomer, see `strangers`.
        """
        if not self._is_open:
            return None
        now = self._parts.clock.seconds()
        decision = self._strangers.decide(origin.network, now)
        if not decision.is_admitted:
            self.refusal_log.refused(
                EndReason.TOO_MANY_CONNECTIONS, origin.address, by_us=True, detail=_TOO_MANY
            )
            return None
        if decision.evicted is not None:
            self._strangers.leave(decision.evicted)
            decision.evicted.abort(EndReason.TOO_MANY_CONNECTIONS, _TOO_MANY)
        link = self.new_link(
            LinkRoute(carrier=carrier, address=origin.address, network=origin.network)
        )
        self._strangers.enter(link, origin.network, now)
        return link

    # -- LinkOwner

    def certified(self, link: Link, peer: PeerKey) -> LinkSession | None:
        """Return the session for a certified link; None if the link is refused."""
        if not self._is_open:
            link.refuse(EndReason.GOODBYE)
            return None
        if link.route.is_dialled and self._dialled_before(link, peer):
            link.refuse(EndReason.DUPLICATE_LINK)
            return None
        return self._parts.session_of(link, peer)

    def established(self, link: Link, event: Established) -> None:
        """Keep the link as the one with its peer, or refuse it (`link_choice.judge`)."""
        ends = link.ends
        assert ends is not None
        self._strangers.leave(link)
        old = self._by_peer.get(ends.peer)
        old_ends = old.ends if old is not None else None
        verdict = judge(ends, old_ends, self._parts.us, self._parts.documents.replica)
        if verdict not in (LinkVerdict.KEEP, LinkVerdict.REPLACE):
            link.refuse(verdict.value)
            return
        if verdict is LinkVerdict.KEEP and self.is_full:
            link.refuse(EndReason.TOO_MANY_CONNECTIONS)
            return
        self._by_peer[ends.peer] = link
        if old is not None:
            self._presence.ends(old)
            old.refuse(EndReason.DUPLICATE_LINK)
        else:
            self._parts.observer.peer_connected(link)
            log.info(
                "Peer {peer} connected at {address}",
                peer=ends.peer,
                address=link.address,
                carrier=link.route.carrier.name,
            )
        self._presence.begins(link)
        self._publish()

    def compute(self, steps: Generator[None, None, object]) -> Deferred[object]:
        """Run steps between other work of the reactor; fire with what they return."""
        return self._computations.run(steps)

    def told(self, link: Link, event: object) -> None:
        """Pass an event of a link on, to presence or to the observer.

        Events of links that another one has replaced are dropped.
        """
        if not self._is_current(link):
            return
        if isinstance(event, PresenceHeard):
            self._presence.heard(link, event.records)
        else:
            self._parts.observer.told(link, event)

    def ended(self, link: Link) -> None:
        """Forget a link that is gone, and charge its network if the link did harm."""
        self._links.discard(link)
        self._strangers.leave(link)
        self._presence.ends(link)
        charge = CHARGES.get(link.outcome or "", 0) if link.refused_by_us else 0
        network = link.route.network
        if charge and network is not None:
            self._strangers.charge(network, charge, self._parts.clock.seconds())
        self._past_bytes_in += link.bytes_in
        self._past_bytes_out += link.bytes_out
        self._log_end(link)
        if not self._is_current(link):
            return
        assert link.ends is not None
        peer = link.ends.peer
        del self._by_peer[peer]
        log.info("Peer {peer} disconnected: {outcome}", peer=peer, outcome=link.outcome)
        self._parts.observer.peer_disconnected(link)
        self._publish()
        for hook in self._peer_left:
            hook(peer)

    # -- inner

    def _is_current(self, link: Link) -> bool:
        return link.ends is not None and self._by_peer.get(link.ends.peer) is link

    def _dialled_before(self, link: Link, peer: PeerKey) -> bool:
        """Return whether another link that this side dialled leads to the same peer."""
        return any(
            other is not link
            and other.peer == peer
            and other.route.is_dialled
            and other.session is not None
            and other.outcome is None
            for other in self._links
        )

    def _publish(self) -> None:
        self._presence.publish(Claim(peer, link.kind) for peer, link in self._by_peer.items())

    def _tick(self) -> None:
        now = self._parts.clock.seconds()
        for link in tuple(self._links):
            link.tick()
        self._presence.tick(now)

    def _log_end(self, link: Link) -> None:
        outcome = link.outcome or EndReason.LOST
        if outcome in QUIET:
            log.debug(
                "Link with {address} ended: {outcome} {detail}",
                address=link.address,
                outcome=outcome,
                detail=link.detail,
                peer=link.peer,
            )
            return
        self.refusal_log.refused(
            outcome, link.address, by_us=link.refused_by_us, detail=link.detail
        )

# SPDX-License-Identifier: Apache-2.0
"""
The mesh as a service: identity, listener, dialer, discovery, presence.

It starts after the store and before HTTP, so that presence is right from the first request on.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from attrs import evolve, frozen
from twisted.application.service import Service
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IListeningPort, IProtocolFactory
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger

from edge_twisted.api.presence import Graph
from edge_twisted.config.addresses import parse_host_port
from edge_twisted.config.model import Configuration, TcpAddress, TransportConfig
from edge_twisted.mesh.carriers.carrier import PeerAddress
from edge_twisted.mesh.carriers.tcp import TcpCarrier, TcpPeerAddress
from edge_twisted.mesh.links.connectors import Connector, LinkAcceptor
from edge_twisted.mesh.links.dialer import Dialer, DialParts
from edge_twisted.mesh.links.discovery import (
    Announcement,
    Discovery,
    DiscoveryParts,
    Mdns,
    MeshNames,
)
from edge_twisted.mesh.links.link import Link
from edge_twisted.mesh.links.mdns import ZeroconfMdns
from edge_twisted.mesh.links.node import Limits, MeshNode, NodeObserver, NodeParts
from edge_twisted.mesh.ports.effects import LinkSession
from edge_twisted.mesh.ports.requests import Documents
from edge_twisted.mesh.presence.gossip import Gossip
from edge_twisted.mesh.presence.graph import PresenceGraph
from edge_twisted.mesh.trust.authority import Authority, NoAuthority, authority_of
from edge_twisted.mesh.trust.identity import PeerIdentity, key_file, load_or_make
from edge_twisted.mesh.trust.peer_key import PeerKey
from edge_twisted.mesh.trust.tls import MeshTls
from edge_twisted.replication.peers import PeerProgress
from edge_twisted.replication.transit_relay import TransitAccount
from edge_twisted.services.listening import listen_tcp, listening_text, stop_listening
from edge_twisted.services.mesh_account import MeshAccount
from edge_twisted.services.mesh_attachments import MeshAttachments
from edge_twisted.services.mesh_graph import local_record, shown_graph
from edge_twisted.services.wall_clock import now_ms, now_utc

if TYPE_CHECKING:
    from edge_twisted.services.reactor import Reactor

log = Logger()

T = TypeVar("T")

_BACKLOG: Final = 128
#: Time for peers to take BYE when the server stops, before their links are cut.
_GOODBYE_SECONDS: Final = 1.0
_TRANSPORT: Final = "database.transport_config"


class Replication(NodeObserver, Protocol):
    """Replication, as the mesh sees it: documents, sessions, and the progress of peers."""

    @property
    def documents(self) -> Documents:
        """The documents of the store, as the sessions of all links work with them."""

    async def start(self, node: MeshNode | None) -> None:
        """Begin; the store is open, and there is no link yet; without a node there is never one."""

    async def stop(self) -> None:
        """Write what has to be kept; there is no link any more, and the store is still open."""

    def session(self, node: MeshNode, peer: PeerKey) -> LinkSession:
        """Return the session of a new link with a peer that has shown its certificate."""

    def lags(self, peers: Iterable[PeerKey]) -> Mapping[PeerKey, int]:
        """Return how many commits each of these peers is behind us, by peer."""

    @property
    def known_peers(self) -> Iterable[str]:
        """The keys of all peers that were ever linked with this server."""

    def progress(self, peer: PeerKey) -> PeerProgress:
        """Return up to which commits a peer and this server have each other's documents."""

    @property
    def transit(self) -> TransitAccount | None:
        """What is carried for neighbours; None: this server carries nothing."""


@frozen(kw_only=True)
class MeshParts:
    """What the mesh service works with."""

    replication: Replication
    account: MeshAccount
    attachments: MeshAttachments
    #: The persistence folder; it exists when the service starts.
    folder: Path
    mdns: Callable[[], Mdns] = ZeroconfMdns


class MeshService(Service):
    """The mesh of one server; see the head of this module."""

    name = "mesh"

    def __init__(self, configuration: Configuration, reactor: Reactor, parts: MeshParts) -> None:
        self.configuration = configuration.database
        self._reactor = reactor
        self._parts = parts
        self.replication = parts.replication
        self._authority: Authority | NoAuthority = NoAuthority("the mesh has not started")
        self.node: MeshNode | None = None
        self.dialer: Dialer | None = None
        self.discovery: Discovery | None = None
        self.graph: PresenceGraph | None = None
        self.ports: Sequence[IListeningPort] = ()

    # -- for HTTP, metrics and status

    @property
    def problem(self) -> str:
        """Why this server can link with no peer; empty if it can."""
        return self._authority.reason if isinstance(self._authority, NoAuthority) else ""

    def presence(self) -> Graph:
        """Return the presence graph as of now; call it only after the start."""
        assert self.graph is not None
        return shown_graph(self.graph, {"mesh": self.problem} if self.problem else None)

    def refresh_metrics(self) -> None:
        """Set the metrics that are not counted as things happen."""
        node = self.node
        if node is not None:
            lags = self.replication.lags
            self._parts.account.refresh(node, lambda: lags(node.peers))
            self._parts.account.refresh_transit(self.replication.transit)

    def is_configured(self, target: PeerAddress) -> bool:
        """Return whether the configuration names an address; discovery has found the others."""
        return target in _known(self.configuration.transport)

    # -- IService

    def startService(self) -> Deferred[None]:
        """Start replication, listen for peers, dial and discover; fire once that has begun."""
        super().startService()
        return Deferred.fromCoroutine(self._start())

    def stopService(self) -> Deferred[None]:
        """End discovery, dials and links, then replication; fire when nothing uses the store."""
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    # -- Reloadable

    def verify(self, new: Configuration) -> list[str]:
        """Return no objections: the mesh takes any valid configuration."""
        return []

    def commit(self, new: Configuration) -> list[str]:
        """Dial by a new configuration; return the keys of settings that need a restart instead."""
        old, transport = self.configuration.transport, new.database.transport
        self.configuration = evolve(self.configuration, transport=transport)
        if self.dialer is not None and self.node is not None:
            self.node.limits = evolve(self.node.limits, connections=transport.max_connections)
            self.dialer.set_most_seconds(transport.retry_interval_msec / 1000)
            before, after = set(_known(old)), set(_known(transport))
            for target in before - after:
                # If discovery has found it as well, it is dialled again at its next announcement.
                self.dialer.remove(target)
            for target in after - before:
                self.dialer.add(target)
        fixed = [
            (f"{_TRANSPORT}.listen_config", old.tcp_listen != transport.tcp_listen),
            (f"{_TRANSPORT}.peer_to_peer", old.peer_to_peer != transport.peer_to_peer),
        ]
        return [key for key, changed in fixed if changed]

    # -- inner: start

    async def _start(self) -> None:
        path = key_file(self._parts.folder, self.configuration.db_id)
        identity = await self._in_thread(lambda: load_or_make(path))
        record = local_record(identity.peer_key, self.configuration.device_name, now_ms())
        self.graph = PresenceGraph(record)
        self._authority = authority_of(self.configuration)
        if isinstance(self._authority, NoAuthority):
            log.warn("This server links with nobody: {reason}", reason=self._authority.reason)
            await self.replication.start(None)
            return
        self.node = self._make_node(identity, self.graph)
        await self.replication.start(self.node)
        self._parts.attachments.start(self.node)
        self.node.start()
        await self._open(self.node, identity, self._authority)

    def _make_node(self, identity: PeerIdentity, graph: PresenceGraph) -> MeshNode:
        replication = self.replication

        def session_of(link: Link, peer: PeerKey) -> LinkSession:
            return replication.session(node, peer)

        node = MeshNode(
            NodeParts(
                us=identity.peer_key,
                documents=replication.documents,
                session_of=session_of,
                gossip=Gossip(graph, identity.sign),
                observer=_Observers(self._parts.account, replication, self._parts.attachments),
                clock=self._reactor,
                limits=Limits(connections=self.configuration.transport.max_connections),
            )
        )
        return node

    async def _open(self, node: MeshNode, identity: PeerIdentity, authority: Authority) -> None:
        transport = self.configuration.transport
        tls = MeshTls(authority, identity, now_utc())
        tcp = TcpCarrier(self._reactor, self._open_tcp)
        connector = Connector(node, tls, self._reactor, [tcp])
        parts = DialParts(
            connect=connector.connect, peers=node, clock=self._reactor, draw=random.random
        )
        self.dialer = dialer = Dialer(parts, transport.retry_interval_msec / 1000)
        node.on_peer_left(dialer.peer_left)
        if transport.tcp_listen.enable:
            listen = transport.tcp_listen
            self.ports = await tcp.listen(
                TcpPeerAddress(host=listen.ip, port=listen.port),
                LinkAcceptor(node, tls, self._reactor, tcp),
            )
            for port in self.ports:
                log.info("Mesh listening on {address}", address=listening_text(port))
        for target in _known(transport):
            dialer.add(target)
        if transport.peer_to_peer.lan_enabled and transport.peer_to_peer.lan_mdns_enabled:
            self._discover(authority, identity.peer_key, dialer)

    async def _open_tcp(
        self, address: TcpPeerAddress, factory: IProtocolFactory
    ) -> Sequence[IListeningPort]:
        host_and_port = TcpAddress(host=address.host, port=address.port)
        return await listen_tcp(self._reactor, host_and_port, factory, _BACKLOG)

    def _discover(self, authority: Authority, us: PeerKey, dialer: Dialer) -> None:
        names = MeshNames(authority.discovery_key, self.configuration.db_id)
        announce = None
        if self.ports:
            host = self.ports[0].getHost()
            assert isinstance(host, IPv4Address | IPv6Address)
            ip = self.configuration.transport.tcp_listen.ip
            announce = Announcement(instance=names.instance(us), ip=ip, port=host.port)
        self.discovery = Discovery(
            DiscoveryParts(
                mdns=self._parts.mdns(),
                names=names,
                us=us,
                announce=announce,
                found=dialer.add,
                vanished=self._vanished,
                clock=self._reactor,
                in_thread=self._in_thread,
                from_thread=self._reactor.callFromThread,
            )
        )
        self.discovery.start()

    def _vanished(self, target: PeerAddress) -> None:
        """Stop dialling an address that discovery has lost, unless the configuration names it."""
        if self.dialer is not None and not self.is_configured(target):
            self.dialer.remove(target)

    # -- inner: stop

    async def _stop(self) -> None:
        if self.discovery is not None:
            await self.discovery.stop()
        if self.dialer is not None:
            self.dialer.stop()
        await stop_listening(self.ports)
        self.ports = ()
        if self.node is not None:
            await self._part(self.node)
            await self._parts.attachments.stop()
        await self.replication.stop()

    async def _part(self, node: MeshNode) -> None:
        links = list(node.stop())
        cut = self._reactor.callLater(_GOODBYE_SECONDS, node.cut)
        for link in links:
            await link.done
        if cut.active():
            cut.cancel()

    def _in_thread(self, work: Callable[[], T]) -> Deferred[T]:
        return deferToThreadPool(self._reactor, self._reactor.getThreadPool(), work)


class _Observers:
    """Several observers as one; each call goes to all, in their order."""

    def __init__(self, *observers: NodeObserver) -> None:
        self._observers = observers

    def peer_connected(self, link: Link) -> None:
        """Tell all observers that a peer is connected, over `link`."""
        for observer in self._observers:
            observer.peer_connected(link)

    def peer_disconnected(self, link: Link) -> None:
        """Tell all observers that `link` with a connected peer is gone."""
        for observer in self._observers:
            observer.peer_disconnected(link)

    def told(self, link: Link, event: object) -> None:
        """Pass an event of a link on to all observers."""
        for observer in self._observers:
            observer.told(link, event)


def _known(transport: TransportConfig) -> Sequence[TcpPeerAddress]:
    """Return the servers of the configuration, each once."""
    addresses = [parse_host_port(each) for each in transport.known_tcp_servers]
    targets = [TcpPeerAddress(host=each.host.lower(), port=each.port) for each in addresses]
    return list(dict.fromkeys(targets))

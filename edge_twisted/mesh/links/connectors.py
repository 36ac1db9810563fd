# SPDX-License-Identifier: Apache-2.0
"""Connections in and out: a listener's factory and a connector, both with TLS around links."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, cast

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.interfaces import (
    IAddress,
    IProtocol,
    IProtocolFactory,
    IReactorTCP,
    IReactorTime,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Factory
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from zope.interface import implementer

from edge_twisted.mesh.links.link import Link, host_of
from edge_twisted.mesh.links.node import MeshNode
from edge_twisted.mesh.trust.tls import MeshTls

#: Time limit for a connection with one address; a name with several addresses gets more.
CONNECT_SECONDS: Final = 8.0


@frozen(kw_only=True)
class PeerAddress:
    """A peer's address: a host name or an IP address without brackets, and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


#: Returns the endpoint that connects with an address.
EndpointOf = Callable[[PeerAddress], IStreamClientEndpoint]


@implementer(IProtocolFactory)
class LinkAcceptor:
    """The factory of the mesh's listener; it closes connections when there are too many."""

    def __init__(self, node: MeshNode, tls: MeshTls, clock: IReactorTime) -> None:
        self._node = node
        #: The link for the protocol that `buildProtocol` is making, and nothing between two calls.
        self._taken: list[Link] = []
        inner = Factory.forProtocol(self._taken.pop)
        inner.noisy = False
        self._tls = TLSMemoryBIOFactory(tls, False, inner, clock)
        self._tls.noisy = False

    def buildProtocol(self, addr: IAddress | None) -> IProtocol | None:
        """Return the protocol of a new connection; None closes it before TLS has cost anything."""
        link = self._node.take_stranger(host_of(addr))
        if link is None:
            return None
        self._taken.append(link)
        return cast(IProtocol, self._tls.buildProtocol(addr))

    def doStart(self) -> None:
        """Nothing to do before the first connection."""

    def doStop(self) -> None:
        """Nothing to do after the last connection."""


class Connector:
    """Maker of connections with peers, each with a link inside TLS."""

    def __init__(
        self, node: MeshNode, tls: MeshTls, clock: IReactorTime, endpoint_of: EndpointOf
    ) -> None:
        self._node = node
        self._tls = tls
        self._clock = clock
        self._endpoint_of = endpoint_of

    def connect(self, target: PeerAddress) -> Deferred[Link]:
        """Connect; fire with the link before its handshakes (TLS, then HELLO)."""
        inner = Factory.forProtocol(lambda: self._node.new_link(str(target)))
        inner.noisy = False
        factory = TLSMemoryBIOFactory(self._tls, True, inner, self._clock)
        factory.noisy = False
        connected = self._endpoint_of(target).connect(factory)
        return connected.addCallback(
            lambda tls: cast(Link, cast(TLSMemoryBIOProtocol, tls).wrappedProtocol)
        )


def endpoints(reactor: IReactorTCP) -> EndpointOf:
    """Return the maker of TCP endpoints; names are looked up for each connection."""
    return lambda target: HostnameEndpoint(
        reactor, target.host, target.port, timeout=CONNECT_SECONDS
    )

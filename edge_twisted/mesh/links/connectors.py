# SPDX-License-Identifier: Apache-2.0
"""
Connections in and out: a listener's factory and a connector, both with TLS around links.

Both work over any carrier (`carriers.carrier`), and know nothing of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IProtocol, IProtocolFactory, IReactorTime
from twisted.internet.protocol import Factory
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from zope.interface import implementer

from edge_twisted.mesh.carriers.carrier import Carrier, LinkRoute, PeerAddress
from edge_twisted.mesh.links.link import Link
from edge_twisted.mesh.links.node import MeshNode
from edge_twisted.mesh.trust.tls import MeshTls


@implementer(IProtocolFactory)
class LinkAcceptor:
    """The factory of a carrier's listener; it closes connections when there are too many."""

    def __init__(
        self, node: MeshNode, tls: MeshTls, clock: IReactorTime, carrier: Carrier[Any]
    ) -> None:
        self._node = node
        self._carrier = carrier
        #: The link for the protocol that `buildProtocol` is making, and nothing between two calls.
        self._taken: list[Link] = []
        inner = Factory.forProtocol(self._taken.pop)
        inner.noisy = False
        self._tls = TLSMemoryBIOFactory(tls, False, inner, clock)
        self._tls.noisy = False

    def buildProtocol(self, addr: IAddress | None) -> IProtocol | None:
        """Return the protocol of a new connection; None closes it before TLS has cost anything."""
        link = self._node.take_stranger(self._carrier, self._carrier.origin(addr))
        if link is None:
            return None
        self._taken.append(link)
        return cast(IProtocol, self._tls.buildProtocol(addr))

    def doStart(self) -> None:
        """Do nothing before the first connection."""

    def doStop(self) -> None:
        """Do nothing after the last connection."""


class Connector:
    """Maker of connections with peers, each with a link inside TLS."""

    def __init__(
        self, node: MeshNode, tls: MeshTls, clock: IReactorTime, carriers: Iterable[Carrier[Any]]
    ) -> None:
        self._node = node
        self._tls = tls
        self._clock = clock
        self._carriers = {carrier.name: carrier for carrier in carriers}

    def connect(self, target: PeerAddress) -> Deferred[Link]:
        """Connect; fire with the link before its handshakes (TLS, then HELLO).

        :raises Unreachable: (in the Deferred) there is no connection; its text says why.  Try again
            later.
        """
        carrier = self._carriers[target.carrier]
        route = LinkRoute(carrier=carrier, address=str(target), network=None)
        inner = Factory.forProtocol(lambda: self._node.new_link(route))
        inner.noisy = False
        factory = TLSMemoryBIOFactory(self._tls, True, inner, self._clock)
        factory.noisy = False
        return carrier.connect(target, factory).addCallback(
            lambda tls: cast(Link, cast(TLSMemoryBIOProtocol, tls).wrappedProtocol)
        )

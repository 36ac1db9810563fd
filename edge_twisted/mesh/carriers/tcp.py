# SPDX-License-Identifier: Apache-2.0
"""Links over TCP."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import ClassVar, Final

from attrs import frozen
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.error import (
    ConnectingCancelledError,
    ConnectionRefusedError,
    DNSLookupError,
    TimeoutError,
)
from twisted.internet.interfaces import (
    IAddress,
    IListeningPort,
    IProtocol,
    IProtocolFactory,
    IReactorTCP,
    ITCPTransport,
)
from twisted.python.failure import Failure

from edge_twisted.mesh.carriers.carrier import CarrierConnection, Origin, Unreachable, unreachable
from edge_twisted.mesh.presence.graph import LinkKind
from edge_twisted.security.networks import network_of

#: Time limit for a connection with one address; a name with several addresses gets more.
CONNECT_SECONDS: Final = 8.0


@frozen(kw_only=True)
class TcpPeerAddress:
    """A host name or an IP address without brackets, and a port."""

    carrier: ClassVar[str] = "tcp"

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


#: Opens the listening ports of an address: see `Carrier.listen`.
OpenTcp = Callable[[TcpPeerAddress, IProtocolFactory], Awaitable[Sequence[IListeningPort]]]


class TcpCarrier:
    """
    TCP, see `Carrier`; names are looked up for each connection.

    :param open_ports: opens ports in the way of the server's other listeners.
    """

    name: Final = TcpPeerAddress.carrier
    kind: LinkKind = "AccessPoint"

    def __init__(self, reactor: IReactorTCP, open_ports: OpenTcp) -> None:
        self._reactor = reactor
        self._open_ports = open_ports

    def connect(self, address: TcpPeerAddress, factory: IProtocolFactory) -> Deferred[IProtocol]:
        """Dial a host and port, after a look-up of the name; see `Carrier.connect`."""
        endpoint = HostnameEndpoint(
            self._reactor, address.host, address.port, timeout=CONNECT_SECONDS
        )
        connected: Deferred[IProtocol] = endpoint.connect(factory)
        return connected.addErrback(_unreachable)

    async def listen(
        self, address: TcpPeerAddress, factory: IProtocolFactory
    ) -> Sequence[IListeningPort]:
        """Listen on a host and port; see `Carrier.listen`."""
        return await self._open_ports(address, factory)

    def origin(self, peer: IAddress | None) -> Origin:
        """Return the IP address and the network of the other end; see `Carrier.origin`."""
        host = peer.host if isinstance(peer, IPv4Address | IPv6Address) else "unknown"
        return Origin(address=host, network=network_of(host))

    def prepare(self, connection: CarrierConnection) -> None:
        """See `Carrier.prepare`; keep-alives of TCP add nothing to those of the link."""
        # Small messages follow each other: Nagle would hold the second one back until the peer's
        # delayed acknowledgement, 40 ms later.
        if ITCPTransport.providedBy(connection):
            connection.setTcpNoDelay(True)


def _unreachable(failure: Failure) -> IProtocol:
    match failure.value:
        case DNSLookupError():
            raise Unreachable("no address is known for the name")
        case ConnectionRefusedError():
            raise Unreachable("nothing listens there")
        case TimeoutError() | ConnectingCancelledError():
            raise Unreachable("no answer")
    raise unreachable(failure)

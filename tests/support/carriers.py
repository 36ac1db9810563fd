# SPDX-License-Identifier: Apache-2.0
"""Carriers as tests use them: each listens at a free address, and lets strangers connect."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IListeningPort, IProtocolFactory
from twisted.internet.protocol import ServerFactory

from edge_twisted.mesh.carriers.carrier import Carrier, PeerAddress
from edge_twisted.mesh.carriers.tcp import TcpCarrier, TcpPeerAddress
from edge_twisted.mesh.carriers.unix import UnixCarrier, UnixPeerAddress

if TYPE_CHECKING:
    from edge_twisted.services.reactor import Reactor

_BACKLOG = 50


class TriedCarrier(Protocol):
    """A carrier, and what a test has to know of it."""

    carrier: Carrier[Any]
    #: Where connections come from, as logs say it.
    origin: str

    def free(self) -> PeerAddress:
        """Return an address to listen at; nothing listens there."""

    def address_of(self, port: IListeningPort) -> PeerAddress:
        """Return the address at which a port that was opened can be dialled."""

    def other_name(self, address: PeerAddress) -> PeerAddress:
        """Return another address of the same listener."""

    def close(self) -> None:
        """Remove what is left; all ports are closed."""


class TriedTcp:
    """TCP on loopback."""

    origin = "127.0.0.1"

    def __init__(self, reactor: Reactor) -> None:
        self._reactor = reactor
        self.carrier: Carrier[Any] = TcpCarrier(reactor, self._open)

    async def _open(
        self, address: TcpPeerAddress, factory: IProtocolFactory
    ) -> Sequence[IListeningPort]:
        server = cast(ServerFactory, factory)
        return [self._reactor.listenTCP(address.port, server, _BACKLOG, address.host)]

    def free(self) -> PeerAddress:
        return TcpPeerAddress(host="127.0.0.1", port=0)

    def address_of(self, port: IListeningPort) -> PeerAddress:
        return TcpPeerAddress(host="127.0.0.1", port=cast(IPv4Address, port.getHost()).port)

    def other_name(self, address: PeerAddress) -> PeerAddress:
        assert isinstance(address, TcpPeerAddress)
        return TcpPeerAddress(host="localhost", port=address.port)

    def close(self) -> None:
        pass


class TriedUnix:
    """Unix sockets in a folder of their own, with a short path."""

    origin = "unix"

    def __init__(self, reactor: Reactor) -> None:
        self._reactor = reactor
        self._folder = Path(tempfile.mkdtemp(prefix="edge-carrier-"))
        self._count = 0
        self.carrier: Carrier[Any] = UnixCarrier(reactor, self._open)

    async def _open(
        self, address: UnixPeerAddress, factory: IProtocolFactory
    ) -> Sequence[IListeningPort]:
        server = cast(ServerFactory, factory)
        return [self._reactor.listenUNIX(str(address.path), server, _BACKLOG)]

    def free(self) -> PeerAddress:
        self._count += 1
        return UnixPeerAddress(self._folder / f"{self._count}")

    def address_of(self, port: IListeningPort) -> PeerAddress:
        return UnixPeerAddress(Path(cast(Any, port.getHost()).name.decode()))

    def other_name(self, address: PeerAddress) -> PeerAddress:
        assert isinstance(address, UnixPeerAddress)
        other = address.path.with_name(f"{address.path.name}-other")
        if not other.is_symlink():
            other.symlink_to(address.path)
        return UnixPeerAddress(other)

    def close(self) -> None:
        shutil.rmtree(self._folder)

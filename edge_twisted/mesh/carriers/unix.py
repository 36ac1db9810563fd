# SPDX-License-Identifier: Apache-2.0
"""
Links over unix sockets: between servers of one machine, as in one pod, and in tests.

No setting chooses it yet.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import ClassVar, Final

from attrs import frozen
from twisted.internet.defer import Deferred, fail
from twisted.internet.endpoints import UNIXClientEndpoint
from twisted.internet.error import (
    ConnectError,
    ConnectingCancelledError,
    ConnectionRefusedError,
    TimeoutError,
)
from twisted.internet.interfaces import (
    IAddress,
    IListeningPort,
    IProtocol,
    IProtocolFactory,
    IReactorUNIX,
)
from twisted.python.failure import Failure

from edge_twisted.config.addresses import MAX_UNIX_PATH_BYTES
from edge_twisted.mesh.carriers.carrier import CarrierConnection, Origin, Unreachable, unreachable
from edge_twisted.mesh.presence.graph import LinkKind

#: Time limit for a connection: the other server only has to accept it.
CONNECT_SECONDS: Final = 8.0


@frozen
class UnixPeerAddress:
    """The path of a socket."""

    carrier: ClassVar[str] = "unix"

    path: Path

    def __str__(self) -> str:
        return f"unix:{self.path}"


#: Opens the listening ports of an address: see `Carrier.listen`.
OpenUnix = Callable[[UnixPeerAddress, IProtocolFactory], Awaitable[Sequence[IListeningPort]]]


class UnixCarrier:
    """
    Unix sockets, see `Carrier`.

    :param open_ports: opens ports in the way of the server's other listeners.
    """

    name: Final = UnixPeerAddress.carrier
    #: The graph knows no kind for a link within a machine.
    kind: LinkKind = "AccessPoint"

    def __init__(self, reactor: IReactorUNIX, open_ports: OpenUnix) -> None:
        self._reactor = reactor
        self._open_ports = open_ports

    def connect(self, address: UnixPeerAddress, factory: IProtocolFactory) -> Deferred[IProtocol]:
        """Dial a socket's path; see `Carrier.connect`."""
        path = os.fspath(address.path)
        if len(os.fsencode(path)) > MAX_UNIX_PATH_BYTES:
            # Twisted would not notice before the time limit.
            reason = f"the path is longer than {MAX_UNIX_PATH_BYTES} bytes"
            return fail(Unreachable(reason))
        endpoint = UNIXClientEndpoint(self._reactor, path, timeout=CONNECT_SECONDS)
        connected: Deferred[IProtocol] = endpoint.connect(factory)
        return connected.addErrback(_unreachable)

    async def listen(
        self, address: UnixPeerAddress, factory: IProtocolFactory
    ) -> Sequence[IListeningPort]:
        """Listen on a socket's path; see `Carrier.listen`."""
        return await self._open_ports(address, factory)

    def origin(self, peer: IAddress | None) -> Origin:
        """See `Carrier.origin`: whoever connects is on this machine, and all share one network."""
        return Origin(address="unix", network="unix")

    def prepare(self, connection: CarrierConnection) -> None:
        """Do nothing: see `Carrier.prepare`."""


def _unreachable(failure: Failure) -> IProtocol:
    match failure.value:
        case ConnectionRefusedError():
            raise Unreachable("nothing listens there")
        case TimeoutError() | ConnectingCancelledError():
            raise Unreachable("no answer")
        case ConnectError(osError=errno.ENOENT):
            raise Unreachable("no socket is there")
        case ConnectError(osError=errno.EACCES):
            raise Unreachable("this user may not connect there")
    raise unreachable(failure)

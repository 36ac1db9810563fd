# SPDX-License-Identifier: Apache-2.0
"""
The seam between a link and its carrier.

A carrier opens connections (`CarrierConnection`): streams of bytes in both directions, in order and
without loss until they end.  A link runs TLS on the connection, with certificates of both sides,
and its session inside TLS.  So a carrier proves nothing and hides nothing.

A further carrier is one module with two classes: an address (`PeerAddress`) and a `Carrier`.  A
carrier over WebSocket, for example, provides

- an address that is a URL, with ``carrier = "websocket"``;
- `connect`: the TCP connection, through a proxy where there is one, the outer TLS, the opening
  handshake, and then a `CarrierConnection` that writes binary messages, at most 64 KiB each;
- `listen`: a path of the HTTP listener, whose upgraded connections go to `factory`;
- `origin`: the address of the client, or the one that a trusted proxy names;
- `prepare`: pings at the interval that proxies need;
- the kind `WebSocket`, which presence shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Protocol, TypeVar

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IListeningPort, IProtocol, IProtocolFactory
from twisted.python.failure import Failure

from edge_twisted.errors import Culprit, EdgeError
from edge_twisted.mesh.presence.graph import LinkKind


class PeerAddress(Protocol):
    """
    An address that can be dialled, in its carrier's own form.

    Equal addresses are equal objects with equal hashes: each is dialled once.  Its text is the form
    of the configuration.
    """

    #: The name of the carrier that dials it.
    carrier: ClassVar[str]

    def __str__(self) -> str: ...

    def __hash__(self) -> int: ...


class Producer(Protocol):
    """A writer that a connection stops while its buffer is full."""

    def pauseProducing(self) -> None:
        """Write no more."""

    def resumeProducing(self) -> None:
        """Write again, for the buffer has room."""

    def stopProducing(self) -> None:
        """Write never again: the connection is lost."""


class CarrierConnection(Protocol):
    """
    A carrier's connection: the transport of the protocol that the factory built.

    The names are those of Twisted's `ITransport`, `IConsumer` and `IPushProducer`.  The connection
    calls the protocol's `dataReceived` with bytes in order, and its `connectionLost` exactly once.
    """

    def write(self, data: bytes) -> None:
        """Send bytes, now or when there is room; never blocks, and any number are taken."""

    def registerProducer(self, producer: Producer, streaming: bool) -> None:
        """Pause `producer` while the buffer is full, and resume it when the buffer is empty."""

    def unregisterProducer(self) -> None:
        """Pause and resume the producer no more."""

    def pauseProducing(self) -> None:
        """Receive no more, so that the other side's buffer fills."""

    def resumeProducing(self) -> None:
        """Receive again."""

    def loseConnection(self) -> None:
        """End the connection when all that was written is sent."""

    def abortConnection(self) -> None:
        """End the connection at once."""


@frozen(kw_only=True)
class Origin:
    """The other end of a connection that came in."""

    #: For logs, audit and status.
    address: str
    #: The name of what shares the limits of strangers (`links.strangers`): many addresses that one
    #: client can use at will are one network.
    network: str


#: The form of a carrier's addresses.
A_contra = TypeVar("A_contra", bound=PeerAddress, contravariant=True)


class Carrier(Protocol[A_contra]):
    """Dials and listens; for the reactor thread."""

    @property
    def name(self) -> str:
        """The name in logs and status, and in `PeerAddress.carrier`."""

    @property
    def kind(self) -> LinkKind:
        """The kind of this carrier's links in the presence graph."""

    def connect(self, address: A_contra, factory: IProtocolFactory) -> Deferred[IProtocol]:
        """Dial an address; fire with the factory's protocol once its connection is made.

        Cancelling the Deferred ends the attempt.

        :raises Unreachable: (in the Deferred) there is no connection; its text says why.  Try again
            later.
        """

    async def listen(
        self, address: A_contra, factory: IProtocolFactory
    ) -> Sequence[IListeningPort]:
        """Give connections that come in at an address to `factory`; return the opened ports.

        The caller stops the ports.  A factory that returns no protocol refuses a connection: it is
        closed at once.

        :raises ListenFailed: (`services.listen_errors`) nothing listens; its text has the remedy.
        """

    def origin(self, peer: IAddress | None) -> Origin:
        """Return the other end of a connection that came in, from the address of its transport."""

    def prepare(self, connection: CarrierConnection) -> None:
        """Set what a new connection needs beside bytes: no delay, pings below the link."""


@frozen(kw_only=True)
class LinkRoute:
    """How a connection came about."""

    carrier: Carrier[Any]
    #: The address that was dialled, or from which the connection came; for logs and status.
    address: str
    #: `Origin.network`; None: this server dialled.
    network: str | None

    @property
    def is_dialled(self) -> bool:
        """Whether this server dialled; else the peer did."""
        return self.network is None


class Unreachable(EdgeError):
    """An address could not be dialled; its text says why, in a few words for users."""

    code = "mesh_peer_unreachable"
    culprit = Culprit.OPERATOR

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return self.reason


def unreachable(failure: Failure) -> Unreachable:
    """Return the error for a failure that a carrier knows no better words for."""
    return Unreachable(str(failure.value) or type(failure.value).__name__)

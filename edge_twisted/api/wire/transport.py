# SPDX-License-Identifier: Apache-2.0
"""The interface of the transport below an HTTP connection."""

from __future__ import annotations

from typing import Protocol

from twisted.internet.interfaces import IAddress, IPushProducer


class ByteTransport(Protocol):
    """The transport below a connection: TCP, a unix socket, or TLS over one of them."""

    @property
    def transport(self) -> ByteTransport | None:
        """The transport that carries TLS; exists only where `ISSLTransport` is provided."""

    def write(self, data: bytes) -> None:
        """Send bytes, now or when there is room; any number are taken."""

    def getPeer(self) -> IAddress:
        """Return the address of the other end."""

    def registerProducer(self, producer: IPushProducer, streaming: bool) -> None:
        """Pause `producer` while the buffer is full; resume it when there is room."""

    def unregisterProducer(self) -> None:
        """Pause and resume the producer no more."""

    def pauseProducing(self) -> None:
        """Receive no more, so that the client's buffer fills."""

    def resumeProducing(self) -> None:
        """Receive again."""

    def loseConnection(self) -> None:
        """End the connection once all that was written is sent."""

    def abortConnection(self) -> None:
        """End the connection at once; what was not sent is lost."""

# SPDX-License-Identifier: Apache-2.0
"""TLS on a listener, with a certificate that can be replaced while connections are open."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Any, Final

from OpenSSL import SSL
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import (
    IOpenSSLServerConnectionCreator,
    IProtocolFactory,
    IReactorTime,
)
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.protocols.policies import ProtocolWrapper
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from edge_twisted.security.certificates import Certificate
from edge_twisted.security.networks import network_of
from edge_twisted.security.time_share import TimeShare

log = Logger()

#: RFC 8446, 5.1: length of a record's header, type of data records, most plain bytes of one.
HEADER_BYTES: Final = 5
APPLICATION_DATA: Final = 23
MAX_RECORD_BYTES: Final = 2**14
#: More than the largest record takes when it is encrypted.
MAX_SEALED_BYTES: Final = 2**15
#: Time for handshakes in one reactor turn: one signature, or two on a fast machine.
HANDSHAKES_SECONDS: Final = 0.0005
#: Most handshake steps in a turn: more than the time allows.
HANDSHAKES_PER_TURN: Final = 16
#: Rest after a slice, as a multiple of its duration: half of the time is left to others.
HANDSHAKES_REST: Final = 1.0


@implementer(IOpenSSLServerConnectionCreator)
class ReloadableTlsContext:
    """
    Gives each new connection the newest certificate; open connections keep theirs.

    A context in use is never changed (pyOpenSSL forbids it): a new certificate brings a new
    context, and taking it over is one assignment.
    """

    def __init__(self, certificate: Certificate) -> None:
        self._certificate = certificate

    @property
    def certificate(self) -> Certificate:
        """The certificate of new connections."""
        return self._certificate

    def use(self, certificate: Certificate) -> None:
        """Give new connections this certificate from now on."""
        self._certificate = certificate

    # -- IOpenSSLServerConnectionCreator

    def serverConnectionForTLS(self, protocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        """Return the TLS state of a new connection, with the certificate of this moment."""
        return SSL.Connection(self._certificate.context)


class Outbox:
    """
    Connections with data to send at the end of the reactor's turn.

    Sending them one after another is cheaper: on the same machine, a `send` to a client that is
    awake costs half of one that wakes it, and the answers of one turn mostly go to the same few
    processes.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._waiting: list[PromptTls] = []

    def add(self, connection: PromptTls) -> None:
        """Have a connection send at the end of this turn."""
        if not self._waiting:
            self._clock.callLater(0, self._send)
        self._waiting.append(connection)

    def _send(self) -> None:
        waiting, self._waiting = self._waiting, []
        for connection in waiting:
            connection.send_now()


class PromptFactory(TLSMemoryBIOFactory):
    """Makes `PromptTls` connections, which share an outbox and the time for handshakes."""

    def __init__(
        self,
        tls: ReloadableTlsContext,
        factory: IProtocolFactory,
        clock: IReactorTime,
        now: Callable[[], float],
    ) -> None:
        super().__init__(tls, False, factory, clock)
        self.outbox = Outbox(clock)
        self.handshakes = TimeShare(
            clock,
            now,
            slice_seconds=HANDSHAKES_SECONDS,
            most=HANDSHAKES_PER_TURN,
            rest=HANDSHAKES_REST,
        )
        self.protocol = PromptTls


class PromptTls(TLSMemoryBIOProtocol):
    """
    TLS protocol tuned for short requests and answers that are written whole.

    Twisted's own protocol holds small writes back for the next turn of the reactor, and asks
    OpenSSL twice after each record for data that cannot be there, which costs as much as the record
    itself.  This one encrypts at once and sends at the end of the reactor's turn, straight to the
    socket if nothing waits before; and it sees by the length that a read brought exactly one
    record.

    Handshake data waits for its turn in a `TimeShare`: a handshake costs the server as much as ten
    requests, and a stranger next to nothing.
    """

    factory: PromptFactory

    #: Bytes of the current record that are still to come, and an incomplete header.
    _record_left = 0
    _header = b""
    #: Encrypted data that waits for the end of the reactor turn.
    _unsent = b""
    #: Received handshake data that waits for its turn.
    _held = b""
    _turn: Deferred[None] | None = None

    def dataReceived(self, bytes: bytes) -> None:
        """Take bytes of the socket; pass what they decrypt to on to the wrapped protocol."""
        if not self._handshakeDone:
            self._hold(bytes)
            return
        if (
            self._record_left
            or self._header
            or not _is_one_record(bytes)
            or self._appSendBuffer
            or self._lostTLSConnection
            or self._aborted
        ):
            self._follow(bytes)
            super().dataReceived(bytes)
            return
        self._tlsConnection.bio_write(bytes)
        try:
            data = self._tlsConnection.recv(MAX_RECORD_BYTES)
        except SSL.Error:
            # No application data, or an error: Twisted's own code handles both.
            self._flushReceiveBIO()
            return
        ProtocolWrapper.dataReceived(self, data)

    def write(self, bytes: bytes) -> None:
        """Encrypt bytes at once; they are sent at the end of the reactor's turn."""
        if (
            len(bytes) > MAX_RECORD_BYTES
            or self._appSendBuffer
            or self._lostTLSConnection
            or not self._handshakeDone
            or self.disconnecting
        ):
            super().write(bytes)
            return
        connection = self._tlsConnection
        try:
            connection.send(bytes)
            record = connection.bio_read(MAX_SEALED_BYTES)
        except SSL.Error:
            # OpenSSL took nothing: Twisted's own code tries again.
            super().write(bytes)
            return
        self._send(record)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Leave the queue for handshakes, and tell the wrapped protocol."""
        turn, self._turn = self._turn, None
        if turn is not None:
            turn.cancel()
        super().connectionLost(reason)
        # Breaks the reference cycle between this and the wrapped protocol.
        self._producer = None

    # -- inner

    def _hold(self, data: bytes) -> None:
        """Keep handshake data and pause reading until it is this connection's turn."""
        if self._aborted or self._lostTLSConnection:
            return
        self._held += data
        if self._turn is not None:
            return
        transport: Any = self.transport
        transport.pauseProducing()
        peer = transport.getPeer()
        host = peer.host if isinstance(peer, IPv4Address | IPv6Address) else ""
        self._turn = turn = self.factory.handshakes.turn(network_of(host))
        turn.addCallback(self._shake)
        turn.addErrback(self._broke)

    def _shake(self, _turn: None) -> None:
        held, self._held, self._turn = self._held, b"", None
        transport: Any = self.transport
        # Before delivery, because the wrapped protocol may pause again.
        transport.resumeProducing()
        self._follow(held)
        super().dataReceived(held)

    def _broke(self, failure: Failure) -> None:
        if failure.check(CancelledError) is None:
            log.failure("A handshake failed", failure)
            self.abortConnection()

    def _send(self, record: bytes) -> None:
        """Have encrypted data sent at the end of this reactor turn."""
        if self._unsent:
            self._unsent += record
        else:
            self._unsent = record
            self.factory.outbox.add(self)

    def send_now(self) -> None:
        """Send the records that wait; the transport buffers what the socket does not take."""
        record, self._unsent = self._unsent, b""
        if not record:
            # Sent already by `_flushSendBIO`.
            return
        transport: Any = self.transport
        if (
            # Transports other than sockets have none of these attributes.
            getattr(transport, "dataBuffer", True)
            or transport._tempDataBuffer
            or not transport.connected
            or transport.disconnecting
        ):
            transport.write(record)
            return
        sent = transport.writeSomeData(record)
        if sent != len(record):
            # An exception in place of a number: the connection is lost; the transport will notice.
            transport.write(record[sent:] if isinstance(sent, int) else record)

    def _tlsShutdownFinished(self, reason: Failure | None) -> None:
        if reason is not None:
            _forget_frames(reason)
        super()._tlsShutdownFinished(reason)

    def _flushSendBIO(self) -> None:
        if self._unsent:
            # Before anything newer, to keep the order.
            self.send_now()
        super()._flushSendBIO()

    def _follow(self, data: bytes) -> None:
        """Keep track of where records begin."""
        if self._header:
            data = self._header + data
        at = self._record_left
        while at + HEADER_BYTES <= len(data):
            at += HEADER_BYTES + (data[at + 3] << 8 | data[at + 4])
        self._header = data[at:]
        self._record_left = max(0, at - len(data))


def _forget_frames(reason: Failure) -> None:
    """
    Drop the stack frames of a connection's failure, which would keep its memory alive.

    One frame refers to the failure itself, another to OpenSSL's connection: a cycle of 100 KiB that
    only a full garbage collection frees, which may come after many hours.
    """
    reason.cleanFailure()
    error = reason.value
    if error is not None:
        error.__traceback__ = error.__context__ = error.__cause__ = None


def _is_one_record(data: bytes) -> bool:
    """Tell whether `data` is exactly one complete record of application data."""
    return (
        len(data) > HEADER_BYTES
        and data[0] == APPLICATION_DATA
        and len(data) == HEADER_BYTES + (data[3] << 8 | data[4])
    )


def tls_factory(
    tls: ReloadableTlsContext,
    factory: IProtocolFactory,
    clock: IReactorTime,
    now: Callable[[], float] = monotonic,
) -> IProtocolFactory:
    """
    Return a factory for the listener, whose connections wrap those of `factory` in TLS.

    `now` is a monotonic clock in seconds, which measures the time of handshakes.
    """
    return PromptFactory(tls, factory, clock, now)

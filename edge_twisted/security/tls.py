# SPDX-License-Identifier: Apache-2.0
"""TLS on a listener, with a certificate that can be replaced while connections live."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Any, Final

from OpenSSL import SSL
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

#: RFC 8446, 5.1: a record's type, version and length; the type of one with data, and its most.
HEADER_BYTES: Final = 5
APPLICATION_DATA: Final = 23
MAX_RECORD_BYTES: Final = 2**14
#: More than one record of so many bytes takes when it is encrypted.
MAX_SEALED_BYTES: Final = 2**15
#: How long handshakes may take of one turn of the reactor: one signature, or two on a fast machine.
HANDSHAKES_SECONDS: Final = 0.0005
#: More in a turn than their time allows.
HANDSHAKES_PER_TURN: Final = 16
#: Where more wait, as much time is left to everyone else.
HANDSHAKES_REST: Final = 1.0


@implementer(IOpenSSLServerConnectionCreator)
class ReloadableTlsContext:
    """
    Gives each new connection the newest certificate; connections keep the one they began with.

    A context in use is never changed (pyOpenSSL forbids it): a new certificate brings a new
    context, and taking it over is one assignment.
    """

    def __init__(self, certificate: Certificate) -> None:
        self._certificate = certificate

    @property
    def certificate(self) -> Certificate:
        """What new connections get."""
        return self._certificate

    def use(self, certificate: Certificate) -> None:
        """Give new connections this certificate from now on."""
        self._certificate = certificate

    # -- IOpenSSLServerConnectionCreator

    def serverConnectionForTLS(self, protocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        return SSL.Connection(self._certificate.context)


class Outbox:
    """
    Connections that have something to send, until the reactor's turn is over.

    One after the other then: a client on this machine that is awake already costs a `send` half of
    what waking it costs, and answers of one turn mostly go to the same few processes.
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
    TLS for short requests and answers that are written whole.

    Twisted's own holds small writes back for the next turn of the reactor, and after each record
    asks OpenSSL twice for what cannot be there, which costs as much as the record itself.  This one
    encrypts at once and sends at the end of the reactor's turn, straight to the socket where
    nothing waits before it; and it knows by its length that a read brought exactly one record.

    What a client sends for its handshake waits for a turn: one handshake costs the server as much
    as ten requests, and a stranger next to nothing.
    """

    factory: PromptFactory

    #: Bytes of the record under way that are still to come, and a header that was cut.
    _record_left = 0
    _header = b""
    #: What is encrypted and waits for the end of the turn.
    _unsent = b""
    #: What came of the handshake and waits for its turn.
    _held = b""
    _turn: Deferred[None] | None = None

    def dataReceived(self, bytes: bytes) -> None:
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
            # A message of TLS itself, or an error: once more, by the book.
            self._flushReceiveBIO()
            return
        ProtocolWrapper.dataReceived(self, data)

    def write(self, bytes: bytes) -> None:
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
            # Nothing was taken: once more, by the book.
            super().write(bytes)
            return
        self._send(record)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        turn, self._turn = self._turn, None
        if turn is not None:
            turn.cancel()
        super().connectionLost(reason)
        # It leads to the protocol within, and that one leads back here.
        self._producer = None

    # -- inner

    def _hold(self, data: bytes) -> None:
        """Go on with the handshake when it is this connection's turn, and read no more before."""
        if self._aborted or self._lostTLSConnection:
            return
        self._held += data
        if self._turn is not None:
            return
        transport: Any = self.transport
        transport.pauseProducing()
        host = str(getattr(transport.getPeer(), "host", ""))
        self._turn = turn = self.factory.handshakes.turn(network_of(host))
        turn.addCallback(self._shake)
        turn.addErrback(self._broke)

    def _shake(self, _turn: None) -> None:
        held, self._held, self._turn = self._held, b"", None
        transport: Any = self.transport
        # First, for whoever gets what came after the handshake may want to pause again.
        transport.resumeProducing()
        self._follow(held)
        super().dataReceived(held)

    def _broke(self, failure: Failure) -> None:
        if failure.check(CancelledError) is None:
            log.failure("A handshake failed", failure)
            self.abortConnection()

    def _send(self, record: bytes) -> None:
        """Send what is encrypted when this turn of the reactor is over, with what others send."""
        if self._unsent:
            self._unsent += record
        else:
            self._unsent = record
            self.factory.outbox.add(self)

    def send_now(self) -> None:
        """Send what waits; the transport keeps what its socket has no room for."""
        record, self._unsent = self._unsent, b""
        if not record:
            # It went before something else.
            return
        transport: Any = self.transport
        if (
            # What is no socket has none of these.
            getattr(transport, "dataBuffer", True)
            or transport._tempDataBuffer
            or not transport.connected
            or transport.disconnecting
        ):
            transport.write(record)
            return
        sent = transport.writeSomeData(record)
        if sent != len(record):
            # No number: the connection is lost, which the transport will find out.
            transport.write(record[sent:] if isinstance(sent, int) else record)

    def _tlsShutdownFinished(self, reason: Failure | None) -> None:
        if reason is not None:
            _forget_frames(reason)
        super()._tlsShutdownFinished(reason)

    def _flushSendBIO(self) -> None:
        if self._unsent:
            # Nothing overtakes it.
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
    Keep what went wrong with a connection, and not the frames that it went through.

    One of them holds the failure, and another OpenSSL's half of the connection: 100 KiB in a ring
    that only a look at all old objects would find, which comes once in many hours.
    """
    reason.cleanFailure()
    error = reason.value
    if error is not None:
        error.__traceback__ = error.__context__ = error.__cause__ = None


def _is_one_record(data: bytes) -> bool:
    """Whether bytes from the beginning of a record on are exactly one, of application data."""
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
    Return a factory for the listener whose connections speak TLS, and `factory` within it.

    `now` is a clock in seconds that never goes back, for how long handshakes take.
    """
    return PromptFactory(tls, factory, clock, now)

# SPDX-License-Identifier: Apache-2.0
"""A certificate renewed under a kept-alive connection, over real sockets and real TLS."""

from __future__ import annotations

import gc
import os
import tempfile
import weakref
from collections.abc import Callable
from pathlib import Path
from shutil import rmtree
from typing import TYPE_CHECKING, Any, ClassVar, cast

from cryptography import x509
from OpenSSL import SSL
from twisted.internet import reactor as global_reactor
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol, wrapClientTLS
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator, ITCPTransport
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import CertificateOptions
from twisted.internet.task import Clock, deferLater
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from edge_twisted.config.model import TcpAddress
from edge_twisted.security.certificate_watch import CertificateWatch
from edge_twisted.security.certificates import check_files
from edge_twisted.security.tls import ReloadableTlsContext, tls_factory
from edge_twisted.services.listening import listen, stop_listening
from tests.support.certificates import NOW, IssuedPair, issue

if TYPE_CHECKING:
    from edge_twisted.services.reactor import Reactor

reactor = cast("Reactor", global_reactor)
OLD, NEW = issue(), issue()
CLOSED = Failure(ConnectionDone())


class Echo(Protocol):
    def dataReceived(self, data: bytes) -> None:
        assert self.transport
        self.transport.write(data)


class Client(Protocol):
    """Asks again and again on one connection."""

    def __init__(self) -> None:
        self.waiting: Deferred[bytes] = Deferred()
        self.closed: Deferred[None] = Deferred()

    def ask(self, data: bytes) -> Deferred[bytes]:
        assert self.transport
        self.waiting = Deferred()
        self.transport.write(data)
        return self.waiting

    def dataReceived(self, data: bytes) -> None:
        self.waiting.callback(data)

    def connectionLost(self, reason: Failure = CLOSED) -> None:
        self.closed.callback(None)

    def close(self) -> Deferred[None]:
        assert self.transport
        self.transport.loseConnection()
        return self.closed

    @property
    def peer(self) -> x509.Certificate:
        connection = cast(TLSMemoryBIOProtocol, self.transport).getHandle()
        return cast(x509.Certificate, connection.get_peer_certificate(as_cryptography=True))


@implementer(IOpenSSLClientConnectionCreator)
class AnyCertificate:
    """A client that looks at no name: which certificate it was shown is what the test asks."""

    def clientConnectionForTLS(self, protocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        return SSL.Connection(CertificateOptions().getContext())


class RenewalTests(TestCase):
    async def test_a_kept_alive_connection_lives_and_new_ones_see_the_new_certificate(
        self,
    ) -> None:
        # Not `mktemp`, which leaves its folders in the current one.
        folder = Path(tempfile.mkdtemp())
        self.addCleanup(rmtree, folder)
        (folder / "archive").mkdir()
        for number, pair in enumerate((OLD, NEW), start=1):
            pair.write(folder / "archive", cert=f"cert{number}.pem", key=f"key{number}.pem")
        self.link(folder, 1)
        clock = Clock()
        files = OLD.write(folder / "archive", cert="cert1.pem", key="key1.pem")
        live = type(files)(cert=folder / "cert.pem", key=folder / "key.pem")
        certificate = check_files(live.cert, live.key, "127.0.0.1", NOW).certificate
        assert certificate
        tls = ReloadableTlsContext(certificate)
        watch = CertificateWatch(tls, live, "127.0.0.1", clock=clock, now=lambda: NOW)
        watch.start()
        factory = tls_factory(tls, Factory.forProtocol(Echo), reactor)
        ports = await listen(reactor, TcpAddress(host="127.0.0.1", port=0), factory, 50)
        try:
            kept_alive = await self.connect(ports[0].getHost(), OLD)
            self.link(folder, 2)
            clock.pump([0.5] * 10)
            self.assertEqual(await kept_alive.ask(b"still here"), b"still here")
            new = await self.connect(ports[0].getHost(), NEW)
            files.cert.write_bytes(b"garbage")
            (folder / "archive" / "cert2.pem").write_bytes(b"garbage")
            clock.pump([0.5] * 10)
            newer = await self.connect(ports[0].getHost(), NEW)
            for client in (kept_alive, new, newer):
                self.assertEqual(await client.ask(b"and now"), b"and now")
                await client.close()
        finally:
            watch.stop()
            await stop_listening(ports)

    def link(self, folder: Path, number: int) -> None:
        """Point the files at one of the archive, as certbot does."""
        for name in ("cert", "key"):
            fresh = folder / f"{name}.new"
            fresh.symlink_to(os.path.join("archive", f"{name}{number}.pem"))
            fresh.replace(folder / f"{name}.pem")

    async def connect(self, host: object, expected: IssuedPair) -> Client:
        assert isinstance(host, IPv4Address)
        endpoint = HostnameEndpoint(reactor, b"127.0.0.1", host.port)
        client: Client = await connectProtocol(wrapClientTLS(AnyCertificate(), endpoint), Client())
        self.assertEqual(await client.ask(b"hello"), b"hello")
        self.assertEqual(client.peer, expected.chain[0])
        return client


class Producer(Echo):
    """A server's side that is the producer of its transport, as an HTTP connection is."""

    made: ClassVar[list[weakref.ref[Any]]] = []
    ended: ClassVar[list[Deferred[None]]] = []

    def connectionMade(self) -> None:
        assert self.transport
        transport = cast(TLSMemoryBIOProtocol, self.transport)
        transport.registerProducer(self, True)
        self.made.extend(map(weakref.ref, (self, transport, transport.getHandle())))

    def pauseProducing(self) -> None:
        """Nothing is produced."""

    resumeProducing = stopProducing = pauseProducing

    def connectionLost(self, reason: Failure = CLOSED) -> None:
        self.ended.pop().callback(None)


def socket_of(tls: TLSMemoryBIOProtocol) -> ITCPTransport:
    """Return what carries the records of a connection."""
    return cast(ITCPTransport, tls.transport)


class LeavingTests(TestCase):
    """A connection that ends leaves nothing for the collector, which looks once in hours."""

    async def ended(self, end: Callable[[TLSMemoryBIOProtocol], None]) -> list[object]:
        """Return what is left of the server's side of a connection that its client ended."""
        Producer.made.clear()
        ended: Deferred[None] = Deferred()
        Producer.ended.append(ended)
        folder = Path(tempfile.mkdtemp())
        self.addCleanup(rmtree, folder)
        files = OLD.write(folder)
        certificate = check_files(files.cert, files.key, "127.0.0.1", NOW).certificate
        assert certificate
        factory = tls_factory(
            ReloadableTlsContext(certificate), Factory.forProtocol(Producer), reactor
        )
        ports = await listen(reactor, TcpAddress(host="127.0.0.1", port=0), factory, 50)
        gc.collect()
        gc.disable()
        try:
            host = cast(IPv4Address, ports[0].getHost())
            endpoint = HostnameEndpoint(reactor, b"127.0.0.1", host.port)
            client: Client = await connectProtocol(
                wrapClientTLS(AnyCertificate(), endpoint), Client()
            )
            self.assertEqual(await client.ask(b"hello"), b"hello")
            end(cast(TLSMemoryBIOProtocol, client.transport))
            await ended
            await deferLater(reactor, 0.05)
            return [each() for each in Producer.made if each() is not None]
        finally:
            gc.enable()
            await stop_listening(ports)

    async def test_after_an_end_without_farewell(self) -> None:
        """As most HTTP clients do it: the failure keeps the frames, and those the connection."""
        left = await self.ended(lambda tls: socket_of(tls).loseConnection())
        self.assertEqual(left, [])

    async def test_after_a_reset(self) -> None:
        left = await self.ended(lambda tls: socket_of(tls).abortConnection())
        self.assertEqual(left, [])

    async def test_after_a_farewell(self) -> None:
        left = await self.ended(lambda tls: tls.loseConnection())
        self.assertEqual(left, [])


class Flood(Protocol):
    """Answers anything with more than sockets hold, in writes of all sizes."""

    SIZES = [1, 20, 16_383, 16_384, 16_385, 300, 70_000, 5] * 100

    def dataReceived(self, data: bytes) -> None:
        assert self.transport
        for number, size in enumerate(self.SIZES):
            self.transport.write(bytes([number % 251]) * size)


class SlowReader(Protocol):
    """Takes nothing until it is told to."""

    def __init__(self, expected: int) -> None:
        self.expected = expected
        self.received: list[bytes] = []
        self.complete: Deferred[bytes] = Deferred()

    def ask(self) -> None:
        transport = cast(TLSMemoryBIOProtocol, self.transport)
        transport.write(b"?")
        transport.pauseProducing()

    def read(self) -> Deferred[bytes]:
        cast(TLSMemoryBIOProtocol, self.transport).resumeProducing()
        return self.complete

    def dataReceived(self, data: bytes) -> None:
        self.received.append(data)
        self.expected -= len(data)
        if self.expected <= 0:
            self.complete.callback(b"".join(self.received))


class OrderTests(TestCase):
    """What goes straight to the socket never overtakes what had no room there."""

    async def test_a_slow_client_gets_all_in_order(self) -> None:
        folder = Path(tempfile.mkdtemp())
        self.addCleanup(rmtree, folder)
        files = OLD.write(folder)
        certificate = check_files(files.cert, files.key, "127.0.0.1", NOW).certificate
        assert certificate
        factory = tls_factory(
            ReloadableTlsContext(certificate), Factory.forProtocol(Flood), reactor
        )
        ports = await listen(reactor, TcpAddress(host="127.0.0.1", port=0), factory, 50)
        try:
            port = cast(IPv4Address, ports[0].getHost()).port
            endpoint = wrapClientTLS(AnyCertificate(), HostnameEndpoint(reactor, "127.0.0.1", port))
            client = await connectProtocol(endpoint, SlowReader(sum(Flood.SIZES)))
            client.ask()
            await deferLater(reactor, 0.2, lambda: None)
            expected = b"".join(
                bytes([number % 251]) * size for number, size in enumerate(Flood.SIZES)
            )
            self.assertTrue(await client.read() == expected)
            cast(TLSMemoryBIOProtocol, client.transport).abortConnection()
        finally:
            await stop_listening(ports)

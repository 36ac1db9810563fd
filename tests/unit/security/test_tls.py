# SPDX-License-Identifier: Apache-2.0
"""What the listener's TLS offers and refuses, and how a certificate is replaced under it."""

from __future__ import annotations

import ssl
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from OpenSSL import SSL
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import StringTransport
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface.verify import verifyObject

from edge_twisted.security.certificates import Certificate, check_files
from edge_twisted.security.tls import HANDSHAKES_PER_TURN, ReloadableTlsContext, tls_factory
from edge_twisted.security.tls_context import ServerKey
from tests.support.certificates import NOW, IssuedPair, issue
from tests.support.tls import MemoryTls, client_connection, stdlib_handshake
from tests.support.turning_clock import TurningClock

OLD, NEW = issue(), issue()


def certificate(pair: IssuedPair, folder: Path) -> Certificate:
    files = pair.write(folder)
    found = check_files(files.cert, files.key, "localhost", NOW).certificate
    assert found
    return found


def server_end(tls: ReloadableTlsContext) -> SSL.Connection:
    return tls.serverConnectionForTLS(cast(TLSMemoryBIOProtocol, None))


def connect(tls: ReloadableTlsContext, client: SSL.Connection | None = None) -> MemoryTls:
    return MemoryTls.handshake(server_end(tls), client or client_connection())


@pytest.fixture
def tls(tmp_path: Path) -> ReloadableTlsContext:
    return ReloadableTlsContext(certificate(OLD, tmp_path))


def test_it_is_what_twisted_asks_for(tls: ReloadableTlsContext) -> None:
    assert verifyObject(IOpenSSLServerConnectionCreator, tls)


def test_a_connection_survives_the_swap_and_the_next_one_sees_the_new_certificate(
    tls: ReloadableTlsContext, tmp_path: Path
) -> None:
    kept_alive = connect(tls)
    assert kept_alive.peer == OLD.chain[0]
    tls.use(certificate(NEW, tmp_path))
    assert kept_alive.echo(b"still here") == b"still here"
    assert connect(tls).peer == NEW.chain[0]
    assert kept_alive.echo(b"and now") == b"and now"


def test_a_handshake_that_began_before_the_swap_ends_with_the_old_certificate(
    tls: ReloadableTlsContext, tmp_path: Path
) -> None:
    server = server_end(tls)
    tls.use(certificate(NEW, tmp_path))
    assert MemoryTls.handshake(server, client_connection()).peer == OLD.chain[0]


@pytest.mark.parametrize(
    ("version", "name"), [(SSL.TLS1_2_VERSION, "TLSv1.2"), (SSL.TLS1_3_VERSION, "TLSv1.3")]
)
def test_tls_1_2_and_1_3_are_spoken(tls: ReloadableTlsContext, version: int, name: str) -> None:
    pair = connect(tls, client_connection(versions=(version, version)))
    assert pair.client.get_protocol_version_name() == name
    assert pair.echo(b"hello") == b"hello"


@pytest.mark.parametrize("version", [SSL.TLS1_VERSION, SSL.TLS1_1_VERSION])
def test_older_versions_are_refused(tls: ReloadableTlsContext, version: int) -> None:
    with pytest.raises(SSL.Error, match="protocol"):
        connect(tls, client_connection(versions=(version, version)))


@pytest.mark.parametrize(
    "ciphers", [b"AES128-SHA", b"AES256-GCM-SHA384", b"ECDHE-ECDSA-AES128-SHA256", b"aNULL"]
)
def test_ciphers_without_forward_secrecy_or_authentication_are_refused(
    tls: ReloadableTlsContext, ciphers: bytes
) -> None:
    client = client_connection(
        versions=(SSL.TLS1_2_VERSION, SSL.TLS1_2_VERSION), ciphers=ciphers + b":@SECLEVEL=0"
    )
    with pytest.raises(SSL.Error):
        connect(tls, client)


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [((b"h2", b"http/1.1"), b"http/1.1"), ((b"h2",), b""), ((), b"")],
)
def test_http_1_1_is_chosen_by_alpn(
    tls: ReloadableTlsContext, offered: tuple[bytes, ...], chosen: bytes
) -> None:
    pair = connect(tls, client_connection(protocols=offered))
    assert pair.client.get_alpn_proto_negotiated() == chosen
    assert pair.echo(b"x") == b"x"


def test_renegotiation_is_refused(tls: ReloadableTlsContext) -> None:
    version = SSL.TLS1_2_VERSION
    pair = connect(tls, client_connection(versions=(version, version)))
    assert pair.client.renegotiate()
    with pytest.raises(SSL.Error):
        for _ in range(3):
            with pytest.raises(SSL.WantReadError):
                pair.client.do_handshake()
            pair.carry()
            with pytest.raises(SSL.WantReadError):
                pair.server.recv(1)
            pair.carry()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_sessions_are_not_resumed(tls: ReloadableTlsContext, version: ssl.TLSVersion) -> None:
    context = ssl.create_default_context(cadata=OLD.cert_pem.decode())
    context.minimum_version = context.maximum_version = version
    first = stdlib_handshake(server_end(tls), context, "localhost")
    second = stdlib_handshake(server_end(tls), context, "localhost", first.session)
    assert not second.session_reused


@pytest.mark.parametrize(
    "key",
    [
        rsa.generate_private_key(65537, 2048),
        rsa.generate_private_key(65537, 1024),
        ec.generate_private_key(ec.SECP384R1()),
        ed25519.Ed25519PrivateKey.generate(),
    ],
    ids=["RSA 2048", "RSA 1024", "P-384", "Ed25519"],
)
def test_every_key_that_is_taken_serves_weak_ones_too(key: ServerKey, tmp_path: Path) -> None:
    pair = issue(key=key)
    tls = ReloadableTlsContext(certificate(pair, tmp_path))
    assert connect(tls).peer == pair.chain[0]


def test_the_whole_chain_is_sent(tmp_path: Path) -> None:
    root = issue(name="root", names=())
    pair = issue(issuer=root)
    tls = ReloadableTlsContext(certificate(pair, tmp_path))
    chain = connect(tls).client.get_peer_cert_chain(as_cryptography=True)
    assert tuple(chain or ()) == pair.chain


# -- handshakes take turns


class Talk:
    """A client and the listener's end of its connection, in memory."""

    def __init__(self, factory: Any, host: str = "192.0.2.1") -> None:
        address = IPv4Address("TCP", host, 1)
        self.server = factory.buildProtocol(address)
        self.transport = StringTransport(peerAddress=address)
        self.server.makeConnection(self.transport)
        self.client = client_connection()
        self.client.set_connect_state()

    def send(self) -> None:
        """Carry what the client has to say next, if anything."""
        with suppress(SSL.WantReadError):
            self.client.do_handshake()
        with suppress(SSL.WantReadError):
            self.server.dataReceived(self.client.bio_read(1 << 16))

    @property
    def is_answered(self) -> bool:
        return bool(self.transport.value())


def test_handshakes_are_done_a_few_in_each_turn(tls: ReloadableTlsContext) -> None:
    clock = TurningClock()
    factory = tls_factory(tls, Factory.forProtocol(Echo), clock, clock.seconds)
    talks = [Talk(factory) for _ in range(HANDSHAKES_PER_TURN * 2 + 1)]
    for each in talks:
        each.send()
        assert each.transport.producerState == "paused"
    shop = Talk(factory, "192.0.2.2")
    shop.send()
    assert not any(each.is_answered for each in talks)
    clock.turn()
    assert sum(each.is_answered for each in talks) == HANDSHAKES_PER_TURN - 1
    assert shop.is_answered, "addresses take turns"
    assert shop.transport.producerState == "producing"
    clock.turn()
    clock.turn()
    assert all(each.is_answered for each in talks)


def test_who_is_connected_does_not_wait_for_handshakes(tls: ReloadableTlsContext) -> None:
    clock = TurningClock()
    factory = tls_factory(tls, Factory.forProtocol(Echo), clock, clock.seconds)
    talk = Talk(factory)
    for _ in range(2):
        talk.send()
        clock.turn()
        if talk.is_answered:
            talk.client.bio_write(talk.transport.value())
            talk.transport.clear()
    for _ in range(HANDSHAKES_PER_TURN * 2):
        Talk(factory).send()
    talk.client.send(b"hello")
    talk.send()
    assert talk.server.wrappedProtocol.received == b"hello"


def test_who_leaves_before_the_handshake_gives_the_turn_up(tls: ReloadableTlsContext) -> None:
    clock = TurningClock()
    factory = tls_factory(tls, Factory.forProtocol(Echo), clock, clock.seconds)
    talk = Talk(factory)
    talk.send()
    talk.server.connectionLost(Failure(ConnectionLost()))
    # TLS says so itself.
    talk.transport.clear()
    clock.turn()
    assert not talk.is_answered


class Echo(Protocol):
    """Keeps what it gets."""

    received = b""

    def dataReceived(self, data: bytes) -> None:
        self.received += data

# SPDX-License-Identifier: Apache-2.0
"""However reads cut a TLS stream, all that was in it arrives, and at once."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from OpenSSL import SSL
from twisted.internet.address import IPv4Address
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from edge_twisted.security.certificates import check_files
from edge_twisted.security.tls import ReloadableTlsContext, tls_factory
from tests.support.certificates import NOW, issue
from tests.support.tls import client_connection


class Keep(Protocol):
    def connectionMade(self) -> None:
        self.received = b""

    def dataReceived(self, data: bytes) -> None:
        self.received += data
        assert self.transport is not None
        self.transport.write(b"%d;" % len(self.received))


@pytest.fixture(scope="module")
def tls() -> ReloadableTlsContext:
    with tempfile.TemporaryDirectory() as name:
        files = issue().write(Path(name))
        certificate = check_files(files.cert, files.key, "127.0.0.1", NOW).certificate
    assert certificate
    return ReloadableTlsContext(certificate)


def sent(client: SSL.Connection) -> bytes:
    try:
        return client.bio_read(1 << 20)
    except SSL.WantReadError:
        return b""


@settings(deadline=None, max_examples=40)
@given(
    messages=st.lists(st.integers(min_value=1, max_value=40_000), min_size=1, max_size=6),
    cuts=st.lists(st.integers(min_value=1, max_value=20_000), min_size=1, max_size=10),
    version=st.sampled_from([SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION]),
)
def test_all_arrives(
    tls: ReloadableTlsContext, messages: list[int], cuts: list[int], version: int
) -> None:
    clock = Clock()
    factory = tls_factory(tls, Factory.forProtocol(Keep), clock)
    server: Any = factory.buildProtocol(IPv4Address("TCP", "127.0.0.1", 1))
    transport = StringTransport()
    server.makeConnection(transport)
    client = client_connection(versions=(version, version))
    client.set_connect_state()
    for _ in range(4):
        with suppress(SSL.WantReadError):
            client.do_handshake()
        if data := sent(client):
            server.dataReceived(data)
            # A handshake goes on when the reactor's turn is over.
            clock.advance(0)
        if transport.value():
            client.bio_write(transport.value())
            transport.clear()
    total = 0
    for number, size in enumerate(messages):
        client.sendall(b"x" * size)
        data = sent(client)
        total += size
        at = 0
        # Every second message comes whole, so that cut and whole ones follow each other.
        while at < len(data):
            step = len(data) if number % 2 else cuts[(at + number) % len(cuts)]
            server.dataReceived(data[at : at + step])
            at += step
        assert len(server.wrappedProtocol.received) == total
        # All of it goes out at the end of the reactor's turn.
        clock.advance(0)
        client.bio_write(transport.value())
        transport.clear()
        answer = b""
        with suppress(SSL.WantReadError):
            while True:
                answer += client.recv(1 << 16)
        assert answer.endswith(b"%d;" % total)
    assert server.wrappedProtocol.received == b"x" * total

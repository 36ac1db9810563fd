# SPDX-License-Identifier: Apache-2.0
"""TLS in memory: two ends of a connection whose bytes a test carries across."""

from __future__ import annotations

import ssl
from contextlib import suppress

from attrs import frozen
from cryptography import x509
from OpenSSL import SSL

#: More than a handshake ever needs.
ROUNDS = 10
CHUNK = 1 << 16


@frozen
class MemoryTls:
    """Both ends of one connection."""

    client: SSL.Connection
    server: SSL.Connection

    @classmethod
    def handshake(cls, server: SSL.Connection, client: SSL.Connection) -> MemoryTls:
        """
        Take both ends through the handshake.

        :raises OpenSSL.SSL.Error: one of them refused.
        """
        pair = cls(client, server)
        server.set_accept_state()
        client.set_connect_state()
        for _ in range(ROUNDS):
            for end in (client, server):
                with suppress(SSL.WantReadError):
                    end.do_handshake()
                pair.carry()
        return pair

    def carry(self) -> None:
        """Carry what either end has written to the other."""
        for source, target in ((self.client, self.server), (self.server, self.client)):
            with suppress(SSL.WantReadError):
                while True:
                    target.bio_write(source.bio_read(CHUNK))

    def echo(self, data: bytes) -> bytes:
        """Send `data` to the server and back, and return what the client received."""
        self.client.send(data)
        self.carry()
        self.server.send(self.server.recv(CHUNK))
        self.carry()
        return self.client.recv(CHUNK)

    @property
    def peer(self) -> x509.Certificate:
        """The certificate that the client was shown."""
        certificate = self.client.get_peer_certificate(as_cryptography=True)
        assert certificate is not None
        return certificate


def client_connection(
    *,
    versions: tuple[int, int] = (0, 0),
    ciphers: bytes = b"DEFAULT:@SECLEVEL=0",
    protocols: tuple[bytes, ...] = (),
) -> SSL.Connection:
    """Return the client's end: lowest and highest version (0: OpenSSL's), and what it offers."""
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_min_proto_version(versions[0])
    context.set_max_proto_version(versions[1])
    context.set_cipher_list(ciphers)
    if protocols:
        context.set_alpn_protos(list(protocols))
    return SSL.Connection(context)


def stdlib_handshake(
    server: SSL.Connection,
    context: ssl.SSLContext,
    server_name: str,
    session: ssl.SSLSession | None = None,
) -> ssl.SSLObject:
    """
    Take a client of Python's own `ssl` through the handshake, and send it one byte of data.

    :raises ssl.SSLError: it does not accept the server.
    """
    inward, outward = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(inward, outward, server_hostname=server_name, session=session)
    server.set_accept_state()
    for _ in range(ROUNDS):
        with suppress(ssl.SSLWantReadError):
            client.do_handshake()
        if outward.pending:
            server.bio_write(outward.read())
        with suppress(SSL.WantReadError):
            server.do_handshake()
        with suppress(SSL.WantReadError):
            inward.write(server.bio_read(CHUNK))
    # What a server sends after its handshake, tickets for one, is read with the first data.
    server.send(b"!")
    inward.write(server.bio_read(CHUNK))
    assert client.read(1) == b"!"
    return client

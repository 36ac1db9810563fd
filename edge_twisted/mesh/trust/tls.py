# SPDX-License-Identifier: Apache-2.0
"""
TLS of the mesh: version 1.3 only, with certificates of the mesh's authority on both sides.

A client of TLS 1.3 completes its handshake before the server has seen its certificate.  So not the
handshake, but the peer's HELLO proves that the peer has accepted this server.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from cryptography import x509
from OpenSSL import SSL, crypto
from twisted.internet.interfaces import (
    IOpenSSLClientConnectionCreator,
    IOpenSSLServerConnectionCreator,
)
from twisted.protocols.tls import TLSMemoryBIOProtocol
from zope.interface import implementer

from edge_twisted.mesh.trust.authority import Authority
from edge_twisted.mesh.trust.certificates import authority_certificate, issue
from edge_twisted.mesh.trust.identity import PeerIdentity

#: X509_V_FLAG_NO_CHECK_TIME: see the head of `certificates`.
_NO_CHECK_TIME: Final = 0x200000


@implementer(IOpenSSLClientConnectionCreator, IOpenSSLServerConnectionCreator)
class MeshTls:
    """TLS for both ends of links; its contexts are made once and never changed."""

    def __init__(self, authority: Authority, identity: PeerIdentity, now: datetime) -> None:
        certificate = issue(authority.key, identity.key.public_key(), now)
        anchor = authority_certificate(authority.key)
        self._server = _context(SSL.TLS_SERVER_METHOD, identity, certificate, anchor)
        self._client = _context(SSL.TLS_CLIENT_METHOD, identity, certificate, anchor)

    # -- IOpenSSLServerConnectionCreator

    def serverConnectionForTLS(self, protocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        """Return the TLS state of a connection that this server accepted."""
        return SSL.Connection(self._server)

    # -- IOpenSSLClientConnectionCreator

    def clientConnectionForTLS(self, protocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        """Return the TLS state of a connection that this server dialled."""
        return SSL.Connection(self._client)


def _context(
    method: int, identity: PeerIdentity, certificate: x509.Certificate, anchor: x509.Certificate
) -> SSL.Context:
    context = SSL.Context(method)
    context.set_min_proto_version(SSL.TLS1_3_VERSION)
    context.set_options(SSL.OP_NO_TICKET | SSL.OP_NO_COMPRESSION)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    # OpenSSL frees its 32 KiB of buffers between records: an idle link costs less memory.
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    context.use_certificate(certificate)
    context.use_privatekey(identity.key)
    store = context.get_cert_store()
    assert store is not None
    store.add_cert(crypto.X509.from_cryptography(anchor))
    store.set_flags(_NO_CHECK_TIME)
    context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT)
    # The authority itself issues every certificate: there are no chains.
    context.set_verify_depth(1)
    return context

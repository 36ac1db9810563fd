# SPDX-License-Identifier: Apache-2.0
"""
Makes a server's OpenSSL context: TLS 1.2 and 1.3 with forward secrecy only.

Resumption is off: OpenSSL never changes the keys that encrypt tickets while a context lives, so a
stolen one would open months of recorded TLS 1.2 traffic, and a full handshake with a P-256
certificate costs a quarter of a millisecond more at most.
"""

from __future__ import annotations

from collections.abc import Sequence

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from OpenSSL import SSL

#: The kinds of keys that a TLS server can use.
ServerKey = (
    rsa.RSAPrivateKey
    | ec.EllipticCurvePrivateKey
    | ed25519.Ed25519PrivateKey
    | ed448.Ed448PrivateKey
)

#: For TLS 1.2; all suites of TLS 1.3 are of this kind, in OpenSSL's order.
CIPHERS = b"ECDHE+AESGCM:ECDHE+CHACHA20"
#: Lets OpenSSL take weak keys without a word; `certificates` warns of them.
WEAK_KEY_CIPHERS = CIPHERS + b":@SECLEVEL=0"
ALPN = b"http/1.1"


def build_context(
    chain: Sequence[x509.Certificate], key: ServerKey, *, allow_weak: bool = False
) -> SSL.Context:
    """
    Return a new server context for a certificate, its issuers after it, and its key.

    :raises OpenSSL.SSL.Error: OpenSSL refuses the certificate or the key.
    """
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_max_proto_version(SSL.TLS1_3_VERSION)
    context.set_options(
        SSL.OP_NO_RENEGOTIATION
        | SSL.OP_NO_COMPRESSION
        | SSL.OP_NO_TICKET
        | SSL.OP_CIPHER_SERVER_PREFERENCE
    )
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    # Memory per idle connection: OpenSSL gives its 32 KiB of buffers back between records.
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    # Before the certificate: the level is what certificate and key are measured by.
    context.set_cipher_list(WEAK_KEY_CIPHERS if allow_weak else CIPHERS)
    # A client that offers other protocols only is served without ALPN: HTTP/1.1 is what we speak.
    context.set_alpn_select_callback(
        lambda _, offered: ALPN if ALPN in offered else SSL.NO_OVERLAPPING_PROTOCOLS
    )
    context.use_certificate(chain[0])
    for issuer in chain[1:]:
        context.add_extra_chain_cert(issuer)
    context.use_privatekey(key)
    context.check_privatekey()
    return context

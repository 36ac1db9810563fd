# SPDX-License-Identifier: Apache-2.0
"""
Signatures by the keys of servers: ECDSA over P-256 with SHA-256 (FIPS 186-5).

A signature is 64 bytes: r and s, 32 bytes each, big-endian.  Whoever signs puts a text in front of
the message that no other use of the key has, so that no signature can stand for something else.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.hashes import SHA256

from edge_twisted.mesh.trust.peer_key import PeerKey, public_key

SIGNATURE_BYTES: Final = 64
_NUMBER_BYTES: Final = SIGNATURE_BYTES // 2
_ALGORITHM: Final = ec.ECDSA(SHA256())
#: Public keys that are kept: to compute one costs half as much as to verify a signature.  About as
#: many as presence remembers peers, 1 KiB each.
_KEPT_KEYS: Final = 1024


def sign(key: ec.EllipticCurvePrivateKey, message: bytes) -> bytes:
    """Sign a message by ECDSA with SHA-256; return r and s, 32 bytes each, big-endian."""
    r, s = decode_dss_signature(key.sign(message, _ALGORITHM))
    return r.to_bytes(_NUMBER_BYTES, "big") + s.to_bytes(_NUMBER_BYTES, "big")


def is_signed_by(peer: PeerKey, signature: bytes, message: bytes) -> bool:
    """Return whether `signature` (see `sign`) is the peer's for `message`; takes about 0.1 ms."""
    if len(signature) != SIGNATURE_BYTES:
        return False
    r, s = (
        int.from_bytes(part, "big")
        for part in (signature[:_NUMBER_BYTES], signature[_NUMBER_BYTES:])
    )
    try:
        _kept_key(peer).verify(encode_dss_signature(r, s), message, _ALGORITHM)
    except (InvalidSignature, ValueError):
        return False
    return True


@lru_cache(maxsize=_KEPT_KEYS)
def _kept_key(peer: PeerKey) -> ec.EllipticCurvePublicKey:
    return public_key(peer)

# SPDX-License-Identifier: Apache-2.0
"""
Certificate authority of the mesh: one P-256 key that every member has, or can derive.

A server with this key issues its own certificate and is a member; any other is not.  The key comes
from the configuration alone, so servers that never met trust each other, and none has to be asked.

Derivation from a text: HKDF-SHA256 (RFC 5869) with the text's UTF-8 bytes as key material, the 16
bytes of ``db_id`` as salt and an info that names the mode, expanded to 48 bytes; they are read as a
big-endian integer x, and the private scalar is ``x mod (n - 1) + 1``, n the order of P-256: "extra
random bits" of FIPS 186-5, A.2.1, whose bias is below 2**-128.
"""

from __future__ import annotations

import hashlib
from typing import Final

from attrs import field, frozen
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from edge_twisted.config.mesh_key import parse_mesh_key
from edge_twisted.config.model import DatabaseConfig, ServerAuth

#: The provider for development: servers with the same token make a mesh.
DEVELOPMENT_PROVIDER: Final = "__playgroundProvider"

INFO_SMALL_PEER: Final = b"edge-twisted mesh authority v1 small_peer_only"
INFO_SERVER: Final = b"edge-twisted mesh authority v1 server"
INFO_DISCOVERY: Final = b"edge-twisted mesh discovery v1"
DATABASE_LABEL: Final = b"edge-twisted mesh database v1"

#: The order of P-256 (SEC 2, 2.4.2).
_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
#: The length of the order, and 128 bits more.
_SCALAR_BYTES: Final = 48
_DISCOVERY_BYTES: Final = 32


@frozen(kw_only=True)
class Authority:
    """The authority of one mesh; only its members can compute `discovery_key`."""

    key: ec.EllipticCurvePrivateKey = field(repr=False)
    discovery_key: bytes = field(repr=False)


@frozen
class NoAuthority:
    """The reason why this server can link with no peer, for its log and its presence."""

    reason: str


def authority_of(database: DatabaseConfig) -> Authority | NoAuthority:
    """Return the authority that a valid configuration names, or why there is none here."""
    auth = database.auth
    if isinstance(auth, ServerAuth):
        if auth.provider != DEVELOPMENT_PROVIDER:
            return NoAuthority(
                f"provider {auth.provider!r} has no mesh authority here yet; "
                f"use small_peer_only, or {DEVELOPMENT_PROVIDER} for development"
            )
        key = derived_key(auth.access_token.reveal(), database.db_id, INFO_SERVER)
    elif auth.key_b64 is not None:
        key = parse_mesh_key(auth.key_b64.reveal())
    else:
        key = derived_key(auth.offline_license_token.reveal(), database.db_id, INFO_SMALL_PEER)
    return Authority(key=key, discovery_key=_discovery_key(key, database.db_id))


def database_hash(db_id: str) -> bytes:
    """Return 32 bytes that stand for a database in HELLO: SHA-256 of a label and the id.

    `db_id` is the UUID text of the configuration, and counts as its 16 bytes.
    """
    return hashlib.sha256(DATABASE_LABEL + _id_bytes(db_id)).digest()


def derived_key(secret: str, db_id: str, info: bytes) -> ec.EllipticCurvePrivateKey:
    """Derive the authority's private key from a secret text, by HKDF-SHA256 (RFC 5869).

    `db_id` is the salt, and `info` names the mode.  The head of this module tells how the output
    becomes a scalar (FIPS 186-5, A.2.1).
    """
    stretched = _hkdf(secret.encode("utf-8"), db_id, info, _SCALAR_BYTES)
    scalar = int.from_bytes(stretched, "big") % (_ORDER - 1) + 1
    return ec.derive_private_key(scalar, ec.SECP256R1())


def _discovery_key(key: ec.EllipticCurvePrivateKey, db_id: str) -> bytes:
    scalar = key.private_numbers().private_value
    return _hkdf(scalar.to_bytes(32, "big"), db_id, INFO_DISCOVERY, _DISCOVERY_BYTES)


def _hkdf(material: bytes, db_id: str, info: bytes, length: int) -> bytes:
    kdf = HKDF(algorithm=SHA256(), length=length, salt=_id_bytes(db_id), info=info)
    return kdf.derive(material)


def _id_bytes(db_id: str) -> bytes:
    return bytes.fromhex(db_id.replace("-", ""))

# SPDX-License-Identifier: Apache-2.0
"""Identity of this server in the mesh: a P-256 key, made at the first start and kept on disk."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from attrs import field, frozen
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from edge_twisted.errors import Culprit, EdgeError
from edge_twisted.mesh.trust.peer_key import PeerKey, peer_key
from edge_twisted.mesh.trust.signatures import sign

_MODE: Final = 0o600


class IdentityUnusable(EdgeError):
    """The key file exists and cannot be used; a new key would make this server another peer."""

    code = "mesh_identity_unusable"
    culprit = Culprit.OPERATOR

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(str(path), reason)
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return (
            f"the mesh key {self.path} cannot be used: {self.reason}; restore it from a backup, "
            "or remove it to join the mesh as a new peer"
        )


@frozen(kw_only=True)
class PeerIdentity:
    """The key of this server, and the peer key under which peers know it."""

    key: ec.EllipticCurvePrivateKey = field(repr=False)
    peer_key: PeerKey

    @classmethod
    def of(cls, key: ec.EllipticCurvePrivateKey) -> PeerIdentity:
        """Return the identity that has this private key, which must be of P-256."""
        return cls(key=key, peer_key=peer_key(key.public_key()))

    def sign(self, message: bytes) -> bytes:
        """Sign `message` with this server's key; return 64 bytes, see `signatures.sign`."""
        return sign(self.key, message)


def key_file(folder: Path, db_id: str) -> Path:
    """Return the path of the key file for a database in its persistence folder."""
    return folder / f"{db_id}.mesh-key.pem"


def load_or_make(path: Path) -> PeerIdentity:
    """Return the identity in the file `path`; make the file if there is none.

    Blocks on the disk.  The caller must have locked the folder.  The file is written whole or not
    at all, and at no moment other users can read it.

    :raises IdentityUnusable: the file cannot be read, or a new one cannot be written; repair it or
        give permission, for with a new key this server would be another peer.
    """
    try:
        pem = path.read_bytes()
    except FileNotFoundError:
        return _make(path)
    except OSError as error:
        raise IdentityUnusable(path, error.strerror or str(error)) from error
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise IdentityUnusable(path, "it is no PEM private key without a passphrase") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise IdentityUnusable(path, "its key is not of the curve P-256")
    return PeerIdentity.of(key)


def _make(path: Path) -> PeerIdentity:
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        _write(path, pem)
    except OSError as error:
        raise IdentityUnusable(path, error.strerror or str(error)) from error
    return PeerIdentity.of(key)


def _write(path: Path, data: bytes) -> None:
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, _MODE)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, _MODE)
        file.write(data)
        file.flush()
        os.fsync(descriptor)
    temporary.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)

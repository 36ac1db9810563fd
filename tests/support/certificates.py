# SPDX-License-Identifier: Apache-2.0
"""Certificates and keys for tests: any kind of key, any names, any time, with issuers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from attrs import frozen
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

from edge_twisted.config.model import TlsFiles
from edge_twisted.security.tls_context import ServerKey

#: Within the time of every certificate that is made with the defaults.
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


@frozen(kw_only=True)
class IssuedPair:
    """A certificate, its issuers after it, and its key."""

    chain: tuple[x509.Certificate, ...]
    key: ServerKey

    @property
    def cert_pem(self) -> bytes:
        """The chain as a PEM file has it."""
        return b"".join(each.public_bytes(Encoding.PEM) for each in self.chain)

    @property
    def key_pem(self) -> bytes:
        """The key as a PEM file has it."""
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def encrypted_key_pem(self, form: PrivateFormat) -> bytes:
        """The key under a passphrase."""
        return self.key.private_bytes(Encoding.PEM, form, BestAvailableEncryption(b"secret"))

    def write(self, folder: Path, *, cert: str = "cert.pem", key: str = "key.pem") -> TlsFiles:
        """Write both files into `folder` and return where they are."""
        files = TlsFiles(cert=folder / cert, key=folder / key)
        files.cert.write_bytes(self.cert_pem)
        files.key.write_bytes(self.key_pem)
        return files


def issue(
    *,
    name: str = "edge.test",
    names: Sequence[str] = ("localhost", "127.0.0.1"),
    key: ServerKey | None = None,
    begin: datetime = NOW - timedelta(days=3650),
    end: datetime = NOW + timedelta(days=3650),
    issuer: IssuedPair | None = None,
) -> IssuedPair:
    """Make a certificate for `names`, of `issuer`, or self-signed."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.chain[0].subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
    )
    if names:
        alternatives = x509.SubjectAlternativeName([_general_name(each) for each in names])
        builder = builder.add_extension(alternatives, critical=False)
    signer = issuer.key if issuer else key
    plain = isinstance(signer, ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey)
    certificate = builder.sign(signer, None if plain else SHA256())
    return IssuedPair(chain=(certificate, *(issuer.chain if issuer else ())), key=key)


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)

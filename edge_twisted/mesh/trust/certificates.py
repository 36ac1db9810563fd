# SPDX-License-Identifier: Apache-2.0
"""
Certificates of the mesh: each member builds the authority's certificate and issues its own.

Subject and serial number of the authority's certificate are fixed, and its key identifier follows
from its key.  So the copy of each member verifies the certificates of all others.  Dates are not
checked: a member can always issue itself a new certificate.  Clocks are compared in HELLO, where
the error can name the wrong one.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from edge_twisted.mesh.trust.peer_key import PeerKey, peer_key

AUTHORITY_NAME: Final = x509.Name(
    [x509.NameAttribute(NameOID.COMMON_NAME, "Edge Twisted mesh authority")]
)
AUTHORITY_BEGIN: Final = datetime(2020, 1, 1, tzinfo=UTC)
AUTHORITY_END: Final = datetime(2120, 1, 1, tzinfo=UTC)
#: Certificates are valid from a day ago on, for software that does check dates, on slow clocks.
BACKDATED: Final = timedelta(days=1)
#: Longer than any process lives; a server issues itself a new certificate at each start.
VALID_FOR: Final = timedelta(days=10 * 365)


def authority_certificate(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    """Return the self-signed certificate of the authority with this key, the trust anchor.

    All but the signature is fixed or follows from the key, so each member's copy verifies the
    certificates of all members.
    """
    public = key.public_key()
    return (
        x509.CertificateBuilder()
        .subject_name(AUTHORITY_NAME)
        .issuer_name(AUTHORITY_NAME)
        .public_key(public)
        .serial_number(1)
        .not_valid_before(AUTHORITY_BEGIN)
        .not_valid_after(AUTHORITY_END)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .sign(key, SHA256())
    )


def issue(
    authority: ec.EllipticCurvePrivateKey, member: ec.EllipticCurvePublicKey, now: datetime
) -> x509.Certificate:
    """Issue a member's certificate, for both ends of links; `authority` is the key that signs.

    :param now: an aware time, from which the validity is reckoned (`BACKDATED`, `VALID_FOR`).
    """
    name = peer_key(member)
    uses = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key())
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(AUTHORITY_NAME)
        .public_key(member)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + VALID_FOR)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(uses), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(issuer, critical=False)
        .sign(authority, SHA256())
    )


def certified_peer(certificate: x509.Certificate) -> PeerKey | None:
    """
    Return the peer key in a certificate that the handshake has verified.

    None: its key is not of the curve P-256, or its name is not its peer key.  A member has issued
    it, but not by these rules.
    """
    key = certificate.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        return None
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    name = peer_key(key)
    return name if [each.value for each in names] == [name] else None


def _usage(*, certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not certificates,
        key_cert_sign=certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )

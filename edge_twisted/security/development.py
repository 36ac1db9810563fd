# SPDX-License-Identifier: Apache-2.0
"""
Makes the self-signed development certificate at the first start.

The certificate is no authority: a client that trusts it trusts this one server, and nothing that
the certificate's key might sign.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

from attrs import frozen
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from edge_twisted.config.model import TlsFiles
from edge_twisted.security.certificate_errors import FileMissing, KeyMismatch, NotPem
from edge_twisted.security.certificates import check_files
from edge_twisted.security.networks import parsed_address

CERTIFICATE_FILE = "dev-cert.pem"
KEY_FILE = "dev-key.pem"
#: The longest validity that Apple's clients accept.
VALID_FOR = timedelta(days=820)
#: The validity begins earlier by this, for clients whose clocks are behind.
CLOCK_SLACK = timedelta(hours=1)

_HOST_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9-]+)*", re.I | re.A)


@frozen(kw_only=True)
class DevelopmentCertificate:
    """The files of the development certificate, and whether they were made just now."""

    files: TlsFiles
    created: bool


def development_certificate(folder: Path, hostname: str, now: datetime) -> DevelopmentCertificate:
    """Return the development certificate of `folder`, which must exist; make it if need be.

    A certificate that has expired, is not valid yet (because the clock was ahead) or is damaged is
    replaced.  `hostname` is the machine's own name, `now` an aware time.

    :raises CertificateProblem: the files there cannot be read; give permission or remove them.
    :raises OSError: the folder cannot be written; give permission.
    """
    files = TlsFiles(cert=folder / CERTIFICATE_FILE, key=folder / KEY_FILE)
    problems = check_files(files.cert, files.key, "localhost", now).problems
    for problem in problems:
        is_ours_to_replace = isinstance(problem, FileMissing | KeyMismatch | NotPem)
        if not (is_ours_to_replace or problem.is_about_dates):
            raise problem
    if not problems:
        return DevelopmentCertificate(files=files, created=False)
    key = ec.generate_private_key(ec.SECP256R1())
    builder = certificate_builder(_names(hostname), key.public_key(), now - CLOCK_SLACK, VALID_FOR)
    certificate = builder.sign(key, SHA256())
    # The key first: a crash in between leaves a pair that does not match, and is replaced.
    pem_key = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    _write(files.key, pem_key, 0o600)
    _write(files.cert, certificate.public_bytes(Encoding.PEM), 0o644)
    return DevelopmentCertificate(files=files, created=True)


def certificate_builder(
    names: Sequence[str], key: ec.EllipticCurvePublicKey, begin: datetime, valid_for: timedelta
) -> x509.CertificateBuilder:
    """Return the builder of a self-issued server certificate; the caller signs it.

    :param names: the DNS names and IP addresses that it is for.
    :param begin: an aware time, from which the certificate is valid, for `valid_for`.
    """
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Edge Twisted development")])
    identifier = x509.SubjectKeyIdentifier.from_public_key(key)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + valid_for)
        .add_extension(x509.SubjectAlternativeName([_general_name(n) for n in names]), False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False)
        .add_extension(identifier, False)
    )


def _names(hostname: str) -> Sequence[str]:
    names = ["localhost", "127.0.0.1", "::1"]
    host = hostname.strip().rstrip(".").lower()
    if host != "localhost" and _HOST_NAME.fullmatch(host):
        # Multicast DNS knows a machine by its short name under .local.
        names += [host] if "." in host else [host, f"{host}.local"]
    return list(dict.fromkeys(names))


def _general_name(name: str) -> x509.GeneralName:
    address = parsed_address(name)
    return x509.DNSName(name) if address is None else x509.IPAddress(address)


def _write(path: Path, data: bytes, mode: int) -> None:
    """Write a file atomically; it never exists in part, nor with another mode than `mode`."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, mode)
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise

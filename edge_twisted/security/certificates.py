# SPDX-License-Identifier: Apache-2.0
"""
Examines the server's certificate, its chain and its key before they are used for TLS.

`config validate`, the start and every reload call `check_files`, so that they cannot disagree.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from pathlib import Path

from attrs import evolve, field, frozen
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from OpenSSL import SSL, crypto
from service_identity import CertificateError, VerificationError
from service_identity.cryptography import extract_patterns
from service_identity.hazmat import DNS_ID, IPAddress_ID, ServiceID, verify_service_identity

from edge_twisted.config.model import TlsFiles
from edge_twisted.security.certificate_errors import (
    CertificateExpired,
    CertificateNotYetValid,
    CertificateProblem,
    KeyMismatch,
    KeyUnusable,
)
from edge_twisted.security.exposure import is_open_to_all
from edge_twisted.security.networks import parsed_address
from edge_twisted.security.pem_content import certificates_in, key_in
from edge_twisted.security.pem_files import PairState, PemPair, read_pair
from edge_twisted.security.tls_context import ServerKey, build_context

MIN_RSA_BITS = 2048
MIN_EC_BITS = 256
#: Hosts that mean every address of the machine: no name in the certificate can be expected.
ANY_HOST = frozenset({"", "0.0.0.0", "::"})


@frozen(kw_only=True)
class Certificate:
    """A certificate without problems, with a TLS context that is ready to serve."""

    chain: tuple[x509.Certificate, ...]
    context: SSL.Context = field(repr=False)
    #: The state of the files when the certificate was read.
    state: PairState

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the server's own certificate: upper-case hexadecimal with colons."""
        return self.chain[0].fingerprint(hashes.SHA256()).hex(":").upper()

    @property
    def names(self) -> tuple[str, ...]:
        """The DNS names and IP addresses that the certificate is valid for, as texts."""
        return tuple(_subject_names(self.chain[0]))

    @property
    def begins(self) -> datetime:
        """Begin of the certificate's validity, in UTC."""
        return self.chain[0].not_valid_before_utc

    @property
    def expires(self) -> datetime:
        """End of the certificate's validity, in UTC."""
        return self.chain[0].not_valid_after_utc


@frozen(kw_only=True)
class CertificateCheck:
    """Result of an examination: a certificate, or the problems that stand against it."""

    certificate: Certificate | None = None
    problems: tuple[CertificateProblem, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def is_about_dates(self) -> bool:
        """Whether the pair is refused for its dates alone, and is valid on another day."""
        return bool(self.problems) and all(each.is_about_dates for each in self.problems)

    def may_be_served(self, now: datetime) -> bool:
        """Tell whether a pair that was refused for its dates alone is valid at `now` (aware)."""
        return bool(self.problems) and all(each.is_over(now) for each in self.problems)


def check_files(cert: Path, key: Path, listen_host: str | None, now: datetime) -> CertificateCheck:
    """Read and examine a certificate and its key; takes tens of milliseconds, and no network.

    It raises nothing for a bad pair: the result has the problems.

    :param listen_host: the name or address that is listened on; None for a unix socket.
    :param now: an aware time, to which the certificate's dates are compared.
    """
    files = TlsFiles(cert=cert, key=key)
    pair, problems = read_pair(files)
    if pair is None:
        return CertificateCheck(problems=tuple(problems))
    check = examine(pair, files, listen_host, now)
    if check.certificate is not None and is_open_to_all(key):
        what = f"{key} can be read by every user of this machine"
        exposed = f"{what}; take that from them: chmod o= {key}"
        return evolve(check, warnings=(*check.warnings, exposed))
    return check


def examine(
    pair: PemPair, files: TlsFiles, listen_host: str | None, now: datetime
) -> CertificateCheck:
    """Examine a certificate and its key; report as many problems at once as possible.

    `pair` are the bytes that were read from `files`.  `listen_host` and `now` are as in
    `check_files`.
    """
    problems: list[CertificateProblem] = []
    chain: Sequence[x509.Certificate] = ()
    key: ServerKey | None = None
    try:
        chain = certificates_in(pair.cert, files.cert)
    except CertificateProblem as problem:
        problems.append(problem)
    try:
        key = key_in(pair.key, files.key)
    except CertificateProblem as problem:
        problems.append(problem)
    if chain and key:
        problems += _mismatch(chain, key, files)
    if chain:
        problems += _validity(chain[0], files.cert, now)
    if problems or not chain or not key:
        return CertificateCheck(problems=tuple(problems))
    warnings = (
        *_weakness(key, files.key),
        *_uncovered(chain[0], files.cert, listen_host),
        *_chain_faults(chain, files.cert, now),
    )
    try:
        context = build_context(chain, key, allow_weak=bool(_weakness(key, files.key)))
    except (SSL.Error, crypto.Error) as error:
        unusable = KeyUnusable("cert", files.cert, _openssl_reason(error))
        return CertificateCheck(problems=(unusable,))
    certificate = Certificate(chain=tuple(chain), context=context, state=pair.state)
    return CertificateCheck(certificate=certificate, warnings=warnings)


# -- problems


def _mismatch(
    chain: Sequence[x509.Certificate], key: ServerKey, files: TlsFiles
) -> list[CertificateProblem]:
    try:
        public = [each.public_key() for each in chain]
    except Exception as error:  # cryptography has several for curves and keys it does not know
        return [KeyUnusable("cert", files.cert, str(error))]
    mine = key.public_key()
    if public[0] == mine:
        return []
    if mine in public:
        reason = (
            f"the key of certificate {public.index(mine) + 1} in {files.cert}, not of the first; "
            "put the server's own certificate first, then its issuers"
        )
    else:
        reason = (
            f"not the key of the certificate in {files.cert}; take the two files that were made "
            "together"
        )
    return [KeyMismatch("key", files.key, reason)]


def _validity(certificate: x509.Certificate, path: Path, now: datetime) -> list[CertificateProblem]:
    if now > certificate.not_valid_after_utc:
        return [CertificateExpired("cert", path, certificate.not_valid_after_utc)]
    if now < certificate.not_valid_before_utc:
        return [CertificateNotYetValid("cert", path, certificate.not_valid_before_utc, now)]
    return []


# -- warnings


def _weakness(key: ServerKey, path: Path) -> list[str]:
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size < MIN_RSA_BITS:
        return [f"{path} is an RSA key of {key.key_size} bits; make one of {MIN_RSA_BITS} or more"]
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.key_size < MIN_EC_BITS:
        return [
            f"{path} is an EC key of {key.key_size} bits, which most clients refuse; make one of "
            f"{MIN_EC_BITS} or more"
        ]
    return []


def _uncovered(certificate: x509.Certificate, path: Path, listen_host: str | None) -> list[str]:
    names = list(_subject_names(certificate))
    if not names:
        return [
            f"{path} names no host, so clients will refuse it; have one made with subjectAltName "
            "entries for the names that clients use"
        ]
    if listen_host is None or listen_host in ANY_HOST:
        return []
    try:
        verify_service_identity(extract_patterns(certificate), [_service_id(listen_host)], [])
    except (VerificationError, CertificateError, ValueError):
        return [
            f"{path} is for {', '.join(names)} and does not cover {listen_host}, so clients that "
            "use that name will refuse it; have the name added to it, or listen on one that it has"
        ]
    return []


def _chain_faults(chain: Sequence[x509.Certificate], path: Path, now: datetime) -> list[str]:
    faults = []
    for position, (lower, upper) in enumerate(pairwise(chain), start=2):
        if lower.issuer != upper.subject:
            faults.append(
                f"certificate {position} in {path} did not issue the one before it; put the "
                "server's certificate first and each issuer after what it issued"
            )
        elif now > upper.not_valid_after_utc:
            faults.append(f"certificate {position} in {path}, an issuer, has expired; renew it")
    return faults


def _service_id(host: str) -> ServiceID:
    # A zone index says which link an address is on, not whose it is.
    address = parsed_address(host.partition("%")[0])
    return DNS_ID(host) if address is None else IPAddress_ID(str(address))


def _subject_names(certificate: x509.Certificate) -> Sequence[str]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return ()
    names = found.value.get_values_for_type(x509.DNSName)
    addresses = found.value.get_values_for_type(x509.IPAddress)
    return (*names, *(str(each) for each in addresses))


def _openssl_reason(error: Exception) -> str:
    reasons = error.args[0] if error.args and isinstance(error.args[0], list) else ()
    return ", ".join(str(each[-1]) for each in reasons) or "OpenSSL does not take it"

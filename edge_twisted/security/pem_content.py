# SPDX-License-Identifier: Apache-2.0
"""
Parses certificates and keys from the bytes of a PEM file, with an error for each defect.

`cryptography` does the parsing, but its errors do not tell a DER file from an encrypted key, a
half-written file or swapped files.  This module tells them apart, and names the remedy.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InternalError, InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from edge_twisted.security.certificate_errors import (
    NOUNS,
    KeyEncrypted,
    KeyUnusable,
    NotPem,
    Role,
)
from edge_twisted.security.tls_context import ServerKey

#: An ASN.1 SEQUENCE with a long length: how every certificate and key in DER begins.
_DER = (b"\x30\x81", b"\x30\x82")
_BLOCK = re.compile(
    rb"-----BEGIN (?P<label>[A-Z0-9 ]+)-----\s.*?-----END (?P=label)-----", re.DOTALL
)


def certificates_in(data: bytes, path: Path) -> Sequence[x509.Certificate]:
    """
    Return the certificates in `data` in file order; other PEM blocks are ignored.

    :raises NotPem: `data` has no certificate, or a damaged one.
    """
    found = blocks(data)
    wanted = [block for label, block in found if label in ("CERTIFICATE", "X509 CERTIFICATE")]
    if _is_cut_off(data):
        raise NotPem("cert", path, "it is cut off in the middle; write it again")
    if not wanted:
        raise NotPem("cert", path, _what_else("cert", data, [label for label, _ in found]))
    chain = []
    for position, block in enumerate(wanted, start=1):
        try:
            certificate = x509.load_pem_x509_certificate(block)
            # These are parsed on access, and damage in them must show here.
            _ = certificate.subject, certificate.issuer, certificate.not_valid_after_utc
        except (ValueError, x509.InvalidVersion):
            reason = f"certificate {position} in it is damaged; write it again"
            raise NotPem("cert", path, reason) from None
        chain.append(certificate)
    return chain


def key_in(data: bytes, path: Path) -> ServerKey:
    """Return the first private key in `data`; other PEM blocks are ignored.

    The errors name `path` and the remedy.

    :raises KeyEncrypted: the key needs a passphrase.
    :raises KeyUnusable: TLS cannot use a key of this kind.
    :raises NotPem: `data` has no private key, or a damaged one.
    """
    found = blocks(data)
    wanted = [(label, block) for label, block in found if label.endswith("PRIVATE KEY")]
    if _is_cut_off(data):
        raise NotPem("key", path, "it is cut off in the middle; write it again")
    if not wanted:
        raise NotPem("key", path, _what_else("key", data, [label for label, _ in found]))
    label, block = wanted[0]
    if label == "OPENSSH PRIVATE KEY":
        reason = f"it is an OpenSSH key; convert it with `ssh-keygen -p -m PEM -f {path}`"
        raise NotPem("key", path, reason)
    if label == "ENCRYPTED PRIVATE KEY" or b"Proc-Type: 4,ENCRYPTED" in block:
        raise KeyEncrypted("key", path)
    try:
        # The full check of an RSA key takes a quarter of a second, too long for a reload under
        # load; that the key works is shown by signing with it.
        key = load_pem_private_key(block, None, unsafe_skip_rsa_key_validation=True)
    except UnsupportedAlgorithm as error:
        raise KeyUnusable("key", path, str(error)) from None
    except (ValueError, TypeError):
        raise NotPem("key", path, "the key in it is damaged; write it again") from None
    if isinstance(key, rsa.RSAPrivateKey) and not _signs(key):
        raise NotPem("key", path, "the key in it is damaged; write it again")
    if isinstance(
        key,
        rsa.RSAPrivateKey
        | ec.EllipticCurvePrivateKey
        | ed25519.Ed25519PrivateKey
        | ed448.Ed448PrivateKey,
    ):
        return key
    raise KeyUnusable("key", path, "it is a key of a kind that TLS servers do not have")


def blocks(data: bytes) -> list[tuple[str, bytes]]:
    """Return (label, whole block) of each complete PEM block in `data`, in file order.

    A label is such as "CERTIFICATE"; a block reaches from its BEGIN line to its END line.
    """
    return [(found["label"].decode("ascii"), found[0] + b"\n") for found in _BLOCK.finditer(data)]


def _is_cut_off(data: bytes) -> bool:
    """Tell whether a PEM block has no end, as in a file that is half written."""
    return data.count(b"-----BEGIN ") != len(_BLOCK.findall(data))


def _signs(key: rsa.RSAPrivateKey) -> bool:
    try:
        signature = key.sign(b"edge", PKCS1v15(), SHA256())
        key.public_key().verify(signature, b"edge", PKCS1v15(), SHA256())
    except (InvalidSignature, ValueError, InternalError):
        return False
    return True


def _what_else(role: Role, data: bytes, labels: Sequence[str]) -> str:
    """Describe a file that lacks the block for `role`, and how to mend it."""
    noun = NOUNS[role]
    if not data.strip():
        return f"it is empty; write the {noun} into it"
    if role == "cert" and any(label.endswith("PRIVATE KEY") for label in labels):
        return "it holds a private key; name the other file, or are `cert` and `key` swapped?"
    if role == "key" and "CERTIFICATE" in labels:
        return "it holds a certificate; name the other file, or are `cert` and `key` swapped?"
    if labels:
        return f"it holds {labels[0]}; name a file with the {noun}"
    if data.startswith(_DER):
        command = "x509" if role == "cert" else "pkey"
        return f"it looks like DER; convert it with `openssl {command} -inform der -in IN -out OUT`"
    return f"no line in it begins with -----BEGIN; name a file with the {noun}"

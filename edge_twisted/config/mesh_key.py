# SPDX-License-Identifier: Apache-2.0
"""Parser for the mesh's shared key (`key_b64`): base64 of a PKCS#8 DER P-256 private key."""

from __future__ import annotations

import base64
import binascii

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_private_key


class BadMeshKey(ValueError):
    """A text that is no mesh key; the message says why and quotes nothing of the secret."""


def parse_mesh_key(text: str) -> ec.EllipticCurvePrivateKey:
    """
    Parse the mesh key `text`; white space in it is ignored.

    :raises BadMeshKey: `text` is no base64 of an unencrypted PKCS#8 P-256 private key.
    """
    try:
        der = base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise BadMeshKey("is not base64") from None
    try:
        key = load_der_private_key(der, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise BadMeshKey("is no PKCS#8 DER private key without a passphrase") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise BadMeshKey("is a key, but not one of the curve P-256")
    return key

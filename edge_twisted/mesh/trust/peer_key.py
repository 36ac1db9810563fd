# SPDX-License-Identifier: Apache-2.0
"""
Peer keys: the text under which the mesh knows a server.

It is ``pk`` and the compressed point of the server's P-256 public key (33 bytes, SEC 1, 2.3.3) in
base64url without padding: 46 characters.  Peer keys compare as texts.
"""

from __future__ import annotations

import base64
import re
from typing import Final, NewType

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

#: A peer key; a value of this type is well-formed.
PeerKey = NewType("PeerKey", str)

PREFIX: Final = "pk"
_FORM: Final = re.compile(r"pk[A-Za-z0-9_-]{44}", re.ASCII)


def peer_key(key: ec.EllipticCurvePublicKey) -> PeerKey:
    """Return the peer key of a P-256 public key: "pk" and the compressed point in base64url."""
    point = key.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    return PeerKey(PREFIX + base64.urlsafe_b64encode(point).decode("ascii").rstrip("="))


def is_peer_key(text: str) -> bool:
    """Return whether a text has the form of a peer key."""
    return _FORM.fullmatch(text) is not None


def public_key(peer: PeerKey) -> ec.EllipticCurvePublicKey:
    """Return the public key that a peer key encodes.

    :raises ValueError: the text names no point of the curve: nobody has this key.
    """
    point = base64.urlsafe_b64decode(peer.removeprefix(PREFIX))
    return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)

# SPDX-License-Identifier: Apache-2.0
"""
API keys, which callers send, and their hashes, which the server stores.

    edge_<public id, 11 characters>_<secret, 43 characters>

The secret is 256 random bits.  The public id is 64 bits of a digest of the secret, so it is a
checksum as well: a key that was mistyped, cut off, or put together from a known id and a guessed
secret is refused without a slow hash, and so is a key whose id the server does not know.  The id
reveals nothing useful about the secret: it narrows 2^256 candidates to 2^192.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Callable
from typing import Final

from attrs import field, frozen

from edge_twisted.security.key_hash import KeyHash, derive

#: log2(N), r, p of scrypt: 16 MiB and about 40 ms.  A secret of 256 random bits needs no slow hash
#: against guessing; this cost is cheap enough for a small server.
SCRYPT_COST: Final = (14, 8, 1)
SALT_BYTES: Final = 16
DIGEST_BYTES: Final = 32
SECRET_BYTES: Final = 32

_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_ID_LENGTH: Final = 11  # 64 bits in 62 characters
_SECRET_LENGTH: Final = 43  # 256 bits
_KEY: Final = re.compile(rb"edge_([0-9A-Za-z]{11})_([0-9A-Za-z]{43})")


@frozen(kw_only=True)
class GeneratedKey:
    """A new key, to be shown once and never stored, and its hash, to be stored."""

    key: str = field(repr=False)
    hash: str


def generate(entropy: Callable[[int], bytes] = secrets.token_bytes) -> GeneratedKey:
    """Make a new key and its hash.

    :param entropy: returns as many random bytes as it is told; another one only in tests.
    """
    secret = _base62(entropy(SECRET_BYTES), _SECRET_LENGTH)
    public_id = _fingerprint(secret.encode("ascii"))
    key = f"edge_{public_id}_{secret}"
    salt = entropy(SALT_BYTES)
    hashed = KeyHash(
        algorithm="scrypt",
        cost=SCRYPT_COST,
        public_id=public_id,
        salt=salt,
        digest=derive("scrypt", SCRYPT_COST, key.encode("ascii"), salt, DIGEST_BYTES),
    )
    return GeneratedKey(key=key, hash=hashed.text)


def verify(key: str, hash_text: str) -> bool:
    """Tell whether `hash_text` is the hash of `key`; takes tens of ms on the calling thread.

    :raises BadKeyHash: `hash_text` is no valid hash; its reason has the remedy.
    """
    hashed = KeyHash.parse(hash_text)
    candidate = key.encode("utf-8", "surrogateescape")
    if hashed.public_id is not None and hashed.public_id != public_id_of(candidate):
        return False
    return hashed.matches(candidate)


def public_id_of(key: bytes) -> str | None:
    """Return the public id in `key`, which is a checksum of its secret part.

    None: `key` has another form, such as a key that was not made here, or a wrong checksum.
    """
    found = _KEY.fullmatch(key)
    if found is None:
        return None
    public_id = found[1].decode("ascii")
    # Not in constant time: the id is no secret.
    return public_id if _fingerprint(found[2]) == public_id else None


def claimed_id_of(key: bytes) -> str | None:
    """Return the public id in `key` without verifying it; None: `key` has another form."""
    found = _KEY.fullmatch(key)
    return None if found is None else found[1].decode("ascii")


def _fingerprint(secret: bytes) -> str:
    digest = hashlib.blake2b(secret, digest_size=8, person=b"edge-api-key-id").digest()
    return _base62(digest, _ID_LENGTH)


def _base62(data: bytes, length: int) -> str:
    number = int.from_bytes(data, "big")
    digits = []
    for _ in range(length):
        number, digit = divmod(number, 62)
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))

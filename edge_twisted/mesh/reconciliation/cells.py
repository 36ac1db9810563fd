# SPDX-License-Identifier: Apache-2.0
"""
Cells: from digests to the integers that cells add up, and back.

A *digest* is any 64-bit integer.  A *token* is the digest under a permutation that the repair's
salt chooses.  Whoever writes documents does not know the salt, so nobody can make sets that look
equal or cannot be told apart.  An *entry* is the integer that stands for a token in cells::

    bit   96..      64..95    0..63
          1 (count) check     token

A cell is a sum of entries modulo 2^104 (`CELL_MASK`), or 2^128 where it serves as a fingerprint.
Carries from one field to the next do no harm: addition stays exact, and a sum of one entry is that
entry.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from struct import Struct
from typing import Final

TOKEN_BITS: Final = 64
TOKEN_MASK: Final = (1 << 64) - 1
_CHECK_MASK: Final = (1 << 32) - 1 << TOKEN_BITS
#: The lowest bit of an entry's count.
COUNT_SHIFT: Final = 96
_ONE: Final = 1 << COUNT_SHIFT

#: A count of 8 bits tells one entry from none and from minus one: 13 bytes a cell.
CELL_BYTES: Final = 13
CELL_MASK: Final = (1 << 8 * CELL_BYTES) - 1
#: With 32 bits of count, sums over whole sets serve as fingerprints: 16 bytes.
SUM_BYTES: Final = 16
SUM_MASK: Final = (1 << 8 * SUM_BYTES) - 1

SALT_BYTES: Final = 16
_KEYS: Final = Struct("<5Q")


class TokenPermutation:
    """
    The permutation of 64-bit integers that a salt (16 bytes) stands for.

    Three rounds of multiplication by odd secrets and shifts; each step can be undone.
    """

    def __init__(self, salt: bytes) -> None:
        if len(salt) != SALT_BYTES:
            raise ValueError(f"a salt has {SALT_BYTES} bytes")
        secret = blake2b(salt, digest_size=_KEYS.size, person=b"edge-reconcile").digest()
        first, second, *factors = _KEYS.unpack(secret)
        self._keys: Final[tuple[int, int]] = (first, second)
        self._factors: Final[tuple[int, ...]] = tuple(factor | 1 for factor in factors)
        self._inverses = tuple(pow(factor, -1, 1 << 64) for factor in self._factors)

    def tokens(self, digests: Iterable[int]) -> list[int]:
        """Return the token (unsigned) of each digest (signed or unsigned), in order."""
        first, second = self._keys
        a, b, c = self._factors
        mask = TOKEN_MASK
        return [
            z ^ z >> 32
            for digest in digests
            for x in [(digest ^ first) * a & mask]
            for y in [(x ^ x >> 32 ^ second) * b & mask]
            for z in [(y ^ y >> 32) * c & mask]
        ]

    def digest(self, token: int) -> int:
        """Return the digest of a token, as a signed integer."""
        first, second = self._keys
        a, b, c = self._inverses
        # A shift by half the bits undoes itself.
        y = (token ^ token >> 32) * c & TOKEN_MASK
        x = ((y ^ y >> 32) * b & TOKEN_MASK) ^ second
        unsigned = ((x ^ x >> 32) * a & TOKEN_MASK) ^ first
        return unsigned - (unsigned >> 63 << 64)


def entries(tokens: Iterable[int]) -> list[int]:
    """Return the entry of each token: one, a check and the token, side by side in one integer.

    The check is cut from the token's square, so that checks do not add up as tokens do.
    """
    one, check = _ONE, _CHECK_MASK
    return [token * token & check | token | one for token in tokens]


def single(cell: int) -> tuple[int, int] | None:
    """
    Return (entry, +1 or -1) if a difference of cells can only be one entry, else None.

    About one in 2^40 cells that sum up several entries looks like one entry.
    """
    if cell >> COUNT_SHIFT == 1:
        sign = 1
    else:
        sign, cell = -1, -cell & CELL_MASK
        if cell >> COUNT_SHIFT != 1:
            return None
    return (cell, sign) if cell == entries((cell & TOKEN_MASK,))[0] else None

# SPDX-License-Identifier: Apache-2.0
"""
Checksums of stored documents: they tell bytes that the disk changed from bytes that were written.

A checksum is 64 bits.  The low half is a CRC-32 over id key and text, the high half one over
digest and merge state, so that a read of the text alone can be verified by itself.  A CRC finds
every change of up to 32 bits in a row.  It does not protect against forgery: a program that can
write the file can write checksums.  See docs/decisions/0010-checksums-of-documents.md.
"""

from __future__ import annotations

from zlib import crc32

#: The half of a checksum that is about id key and text.
BODY_HALF = 0xFFFF_FFFF
#: SQLite keeps signed integers; this does not change the low half.
_SIGN = 1 << 63


def checksum_of(id_key: bytes, digest: int, body: bytes | None, state: bytes) -> int:
    """
    Return the checksum of a document: a signed 64-bit integer, made of two CRC-32.

    The low half is of id key and text, the high half of digest and merge state.

    :param body: stored text, None for a tombstone.
    """
    # The halves as below; written out, because every write computes it.
    high = crc32(state, (digest ^ digest >> 32) & BODY_HALF)
    return (high << 32 | crc32(b"\0" if body is None else body, crc32(id_key))) - _SIGN


def is_body_whole(checksum: int | None, id_key: bytes, body: bytes | None) -> bool:
    """Return whether a text is the one that was stored; True where there is no checksum."""
    try:
        return checksum is None or checksum & BODY_HALF == _body_half(id_key, body)
    except TypeError:
        # Damage can also change the type of a column.
        return False


def is_state_whole(checksum: int | None, digest: int, state: bytes) -> bool:
    """Return whether digest and state are those that were stored; True without a checksum."""
    try:
        return checksum is None or (checksum + _SIGN) >> 32 == _state_half(digest, state)
    except TypeError:
        return False


def is_whole(
    checksum: int | None, id_key: bytes, digest: int, body: bytes | None, state: bytes
) -> bool:
    """Return whether a document is the one that was stored; True where there is no checksum."""
    try:
        return checksum is None or checksum == checksum_of(id_key, digest, body, state)
    except TypeError:
        return False


def _body_half(id_key: bytes, body: bytes | None) -> int:
    # No text ends with a byte of zero, so a tombstone is like no document.
    return crc32(b"\0" if body is None else body, crc32(id_key))


def _state_half(digest: int, state: bytes) -> int:
    return crc32(state, (digest ^ digest >> 32) & BODY_HALF)

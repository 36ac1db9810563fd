# SPDX-License-Identifier: Apache-2.0
"""
Reaped deletes as a summary: an upper bound of what was deleted.

The deletes of a collection are kept in 256 buckets, which the hash of an id chooses.  A bucket has
the join of the versions of its tombstones, and a Bloom filter of their ids, 4 KiB (Bloom,
"Space/Time Trade-offs in Hash Coding with Allowable Errors", 1970).  An id that is not in the
filter was not deleted; of one that is, at most the writes in the vector were.  With a million
deletes of a collection, the filter is wrong for some 2 of 100 ids that were never deleted.
"""

from __future__ import annotations

import hashlib
from typing import Final

import msgspec.msgpack
from attrs import define

from edge_twisted.documents.versions import (
    NO_VERSION,
    VersionVector,
    decode_vector,
    encode_vector,
)

_FILTER_BYTES: Final = 4096
_BITS_PER_ID: Final = 7
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[bytes, bytes]).decode


@define
class FoldedDeletes:
    """The deletes of one bucket."""

    vector: VersionVector
    _bits: bytearray

    @classmethod
    def decode(cls, fact: bytes | None) -> FoldedDeletes:
        """Return the bucket that `encode` made `fact` of; an empty one for None."""
        if fact is None:
            return cls(NO_VERSION, bytearray(_FILTER_BYTES))
        vector, bits = _decode(fact)
        return cls(decode_vector(vector), bytearray(bits))

    def encode(self) -> bytes:
        """Return the bucket's fact: MessagePack of [encoded vector, filter of 4,096 bytes]."""
        return _encode([encode_vector(self.vector), bytes(self._bits)])

    def add(self, id_key: bytes, version: VersionVector) -> None:
        """
        Fold one more tombstone into the bucket: join its version, set the bits of its id.

        :param version: without INITIAL writes.
        """
        self.vector = self.vector.join(version)
        for bit in _bits_of(id_key):
            self._bits[bit >> 3] |= 1 << (bit & 7)

    def of_document(self, id_key: bytes) -> VersionVector:
        """
        Return an upper bound of what was deleted of a document; empty: it was surely not folded.

        The filter of ids may err, by taking a document for a folded one.

        :param id_key: of a document that belongs into this bucket, see `bucket_of`.
        """
        is_there = all(self._bits[bit >> 3] & 1 << (bit & 7) for bit in _bits_of(id_key))
        return self.vector if is_there else NO_VERSION

    def join(self, other: FoldedDeletes) -> FoldedDeletes:
        """Return a bucket with the deletes of this one and of another one of the same name."""
        bits = bytearray(a | b for a, b in zip(self._bits, other._bits, strict=True))
        return FoldedDeletes(self.vector.join(other.vector), bits)


def bucket_of(id_key: bytes) -> bytes:
    """Return the name of the bucket that a document belongs into: one byte of a hash of its id."""
    return _hash(id_key)[:1]


def _bits_of(id_key: bytes) -> list[int]:
    """Return which bits of its bucket's filter stand for an id."""
    found = _hash(id_key)
    return [
        int.from_bytes(found[at : at + 2], "big") % (8 * _FILTER_BYTES)
        for at in range(1, 1 + 2 * _BITS_PER_ID, 2)
    ]


def _hash(id_key: bytes) -> bytes:
    return hashlib.blake2b(id_key, digest_size=16, person=b"edge-reaped").digest()

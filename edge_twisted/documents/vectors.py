# SPDX-License-Identifier: Apache-2.0
"""
Version vectors as bytes: ``[[site, epoch, sequence], ...]`` in msgpack, sorted.

An entry with exceptions has them behind, ``[site, epoch, sequence, [[first, last], ...]]``.
"""

from __future__ import annotations

from typing import Any

import msgspec.msgpack

from edge_twisted.documents.versions import Replica, SiteId, Span, VersionVector

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode


def encode_vector(vector: VersionVector) -> bytes:
    """Return a vector as bytes; equal vectors have equal bytes."""
    unseen = vector.unseen
    return _encode(
        [
            [r.site, r.epoch, vector[r], unseen[r]] if r in unseen else [r.site, r.epoch, vector[r]]
            for r in sorted(vector)
        ]
    )


def decode_vector(data: bytes | None) -> VersionVector:
    """Return what `encode_vector` wrote; of None the empty vector."""
    if data is None:
        return VersionVector()
    written: Any = _decode(data)
    seen: dict[Replica, int] = {}
    unseen: dict[Replica, tuple[Span, ...]] = {}
    for site, epoch, number, *spans in written:
        replica = Replica(SiteId(site), epoch)
        seen[replica] = number
        if spans:
            unseen[replica] = tuple((first, last) for first, last in spans[0])
    return VersionVector(seen, unseen)

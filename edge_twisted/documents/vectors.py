# SPDX-License-Identifier: Apache-2.0
"""Version vectors as bytes: ``[[site, epoch, sequence], ...]`` in msgpack, sorted."""

from __future__ import annotations

from typing import Any

import msgspec.msgpack

from edge_twisted.documents.versions import Replica, SiteId, VersionVector

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode


def encode_vector(vector: VersionVector) -> bytes:
    """Return a vector as bytes; equal vectors have equal bytes."""
    return _encode([[r.site, r.epoch, vector[r]] for r in sorted(vector)])


def decode_vector(data: bytes | None) -> VersionVector:
    """Return what `encode_vector` wrote; of None the empty vector."""
    if data is None:
        return VersionVector()
    written: Any = _decode(data)
    return VersionVector({Replica(SiteId(site), epoch): n for site, epoch, n in written})

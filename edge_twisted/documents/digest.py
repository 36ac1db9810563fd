# SPDX-License-Identifier: Apache-2.0
"""64-bit digests of (id, version): what replicas compare to find out where they differ."""

from __future__ import annotations

import hashlib
from struct import Struct
from typing import Final

from edge_twisted.documents.versions import VersionVector

_NUMBERS: Final = Struct(">QQ")


def digest(id_key: bytes, version: VersionVector) -> int:
    """
    Return the digest of one version of a document, a signed 64-bit integer.

    Equal versions of a document are equal documents, so it stands for the content as well.
    """
    hashed = hashlib.blake2b(id_key, digest_size=8, person=b"edge-document")
    for replica in sorted(version):
        hashed.update(replica.site)
        hashed.update(_NUMBERS.pack(replica.epoch, version[replica]))
    return int.from_bytes(hashed.digest(), "big", signed=True)

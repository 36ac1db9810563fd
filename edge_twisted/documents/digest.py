# SPDX-License-Identifier: Apache-2.0
"""
64-bit digests of a document's id and version, by which replicas find the documents that differ.

BLAKE2b with the personalisation ``edge-document`` over the id's key, then for each replica, sorted,
its site (16 bytes), epoch and number (8 bytes each, big-endian); exceptions follow.  Two replicas
with equal digests have equal documents, as equal versions are equal documents.
"""

from __future__ import annotations

import hashlib
from struct import Struct
from typing import Final

from edge_twisted.documents.versions import Dot, VersionVector

_NUMBERS: Final = Struct(">QQ")
_SIGNED: Final = Struct(">q")
#: A copy takes a third of the time of a new hash.
_EMPTY: Final = hashlib.blake2b(digest_size=8, person=b"edge-document")


def digest_of_write(id_key: bytes, write: Dot) -> int:
    """
    Return `digest` of a document whose only write is `write`, without making a vector.

    :param id_key: the key of the document's id (`DocumentId.key`).
    """
    (site, epoch), sequence = write
    hashed = _EMPTY.copy()
    hashed.update(id_key + site + _NUMBERS.pack(epoch, sequence))
    number: int
    (number,) = _SIGNED.unpack(hashed.digest())
    return number


def digest(id_key: bytes, version: VersionVector) -> int:
    """
    Return the digest of one version of a document, a signed 64-bit integer.

    Equal versions of a document are equal documents, so the digest identifies the content too.  The
    algorithm is BLAKE2b, as the module's docstring describes.

    :param id_key: the key of the document's id (`DocumentId.key`).
    """
    hashed = _EMPTY.copy()
    hashed.update(id_key)
    for replica in sorted(version):
        hashed.update(replica.site)
        hashed.update(_NUMBERS.pack(replica.epoch, version[replica]))
    if version.exceptions:
        for replica in sorted(version.exceptions):
            spans = version.exceptions[replica]
            # A number of 0, which no seen replica has, announces the count of exceptions.
            hashed.update(replica.site)
            hashed.update(_NUMBERS.pack(replica.epoch, 0))
            hashed.update(_NUMBERS.pack(len(spans), 0))
            for span in spans:
                hashed.update(_NUMBERS.pack(*span))
    return _signed(hashed.digest())


def _signed(digest: bytes) -> int:
    number: int
    (number,) = _SIGNED.unpack(digest)
    return number

# SPDX-License-Identifier: Apache-2.0
"""The digest of one version of one document: what fingerprints and repair compare."""

from __future__ import annotations

from hashlib import blake2b

from edge_twisted.documents.versions import VersionVector


def digest(id_key: bytes, version: VersionVector) -> int:
    """
    Return 64 bits, signed, that equal ids at equal versions share, and others hardly ever.

    Equal on every replica: the version's entries are taken in the order of replicas.
    """
    hasher = blake2b(digest_size=8)
    hasher.update(len(id_key).to_bytes(4, "big") + id_key)
    for (site, epoch), sequence in sorted(version.items()):
        hasher.update(site + epoch.to_bytes(8, "big") + sequence.to_bytes(8, "big"))
    return int.from_bytes(hasher.digest(), "big", signed=True)

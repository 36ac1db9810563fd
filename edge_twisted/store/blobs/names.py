# SPDX-License-Identifier: Apache-2.0
"""Names of blobs: base64url ids in documents, hexadecimal on disks that may ignore case."""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode

from edge_twisted.store.errors import BlobUnavailable

_ID = re.compile(r"[A-Za-z0-9_-]{43}")


def id_of(digest: bytes) -> str:
    """Return the id of the blob with this SHA-256: its 32 bytes as base64url without padding."""
    return urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")


def digest_of(blob_id: str) -> bytes:
    """
    Return the SHA-256 (32 bytes) that an id stands for: the inverse of `id_of`.

    :raises BlobUnavailable: `blob_id` is no id, so no blob has it.
    """
    if not _ID.fullmatch(blob_id):
        raise BlobUnavailable(blob_id[:64], "not an attachment id")
    digest = urlsafe_b64decode(blob_id + "=")
    if id_of(digest) != blob_id:
        # The last character holds two bits too many, which must be zero: one blob, one id.
        raise BlobUnavailable(blob_id, "not an attachment id")
    return digest

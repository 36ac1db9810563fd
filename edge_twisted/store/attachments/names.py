# SPDX-License-Identifier: Apache-2.0
"""What blobs are called: in documents, and on disks that may not tell ``a`` from ``A``."""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode

from edge_twisted.store.errors import BlobUnavailable

_ID = re.compile(r"[A-Za-z0-9_-]{43}")


def id_of(digest: bytes) -> str:
    """Return the id of the blob whose SHA-256 this is."""
    return urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")


def digest_of(attachment: str) -> bytes:
    """
    Return the SHA-256 that an id stands for.

    :raises AttachmentUnavailable: it is no id, so no blob has it.
    """
    if not _ID.fullmatch(attachment):
        raise BlobUnavailable(attachment[:64], "not an attachment id")
    digest = urlsafe_b64decode(attachment + "=")
    if id_of(digest) != attachment:
        # The last character holds two bits too many, which must be zero: one blob, one id.
        raise BlobUnavailable(attachment, "not an attachment id")
    return digest

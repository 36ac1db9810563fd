# SPDX-License-Identifier: Apache-2.0
"""
The interfaces that the API needs for attachments: blobs, permissions, fetching from the mesh.

Each `Awaitable` is a Deferred, or a coroutine over Deferreds.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable
from typing import ClassVar, Protocol

from edge_twisted.api.errors import HttpError
from edge_twisted.security.permissions import Access

#: Base64url of a SHA-256 without padding.
ATTACHMENT_ID = re.compile(r"[A-Za-z0-9_-]{43}")
#: What is read from a blob and sent at once.
PIECE_BYTES = 64 * 1024


class BlobInfo(Protocol):
    """A blob that is complete."""

    @property
    def id(self) -> str:
        """Base64url of the SHA-256 of its content, without padding."""

    @property
    def length(self) -> int:
        """Its bytes."""


class BlobReader(Protocol):
    """An open blob."""

    @property
    def info(self) -> BlobInfo:
        """What is open."""

    def read(self, offset: int, length: int) -> Awaitable[bytes]:
        """Fire with up to `length` bytes from `offset`; fewer only at the end."""

    def close(self) -> None:
        """Give it back; harmless when repeated."""


class BlobWriter(Protocol):
    """A blob on its way in; one call at a time."""

    def write(self, chunk: bytes) -> Awaitable[None]:
        """Take the next bytes."""

    def finish(self) -> Awaitable[BlobInfo]:
        """Make the blob durable and visible."""

    def abort(self) -> Awaitable[None]:
        """Throw away what was written; harmless when repeated, and after `finish`."""


class Blobs(Protocol):
    """The blobs of a store."""

    def upload(self, uploader: str | None) -> Awaitable[BlobWriter]:
        """Begin a blob, which the identity `uploader` may name in documents."""

    def open(self, attachment: str) -> Awaitable[BlobReader]:
        """Open a blob; fails with an error of code ``attachment_unavailable`` if it is not here."""


class BlobReferences(Protocol):
    """The documents' references to blobs: who may read a blob, and fetching one that is missing."""

    def may_download(self, attachment: str, access: Access) -> Awaitable[bool]:
        """Answer whether a document that `access` may read names the blob."""

    def fetch(self, attachment: str, timeout_seconds: float | None) -> Awaitable[None]:
        """
        Have a blob that some document names brought here by the mesh.

        Fails with ``attachment_not_found`` if no document names it, and with
        ``attachment_unavailable`` if it did not come in time.  Cancelling gives up waiting.
        """


class AttachmentNotFound(HttpError):
    """No document that the caller may read names the blob, or it is no id at all."""

    code: ClassVar[str] = "attachment_not_found"

    def __init__(self) -> None:
        super().__init__("no document that you may read names an attachment with this id")


class AttachmentUnavailable(HttpError):
    """A document names the blob, and it is not here yet."""

    code: ClassVar[str] = "attachment_unavailable"

    def __init__(self) -> None:
        super().__init__("the attachment is known and not here yet; try again later")


class RangeNotSatisfiable(HttpError):
    """The blob has `length` bytes, and none in the range."""

    code: ClassVar[str] = "range_not_satisfiable"

    def __init__(self, length: int) -> None:
        super().__init__(
            f"the attachment has {length} bytes, and none in this range",
            headers=((b"Content-Range", b"bytes */%d" % length),),
        )

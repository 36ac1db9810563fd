# SPDX-License-Identifier: Apache-2.0
"""
Interfaces of attachments that the API needs, and the errors of attachments.

The API declares here what it uses of blobs, as the mesh does for its own use (`blob_transfer`), so
that neither imports the store.  Each `Awaitable` is a Deferred, or a coroutine over Deferreds.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable
from typing import ClassVar, NewType, Protocol

from edge_twisted.api.errors import ClientError
from edge_twisted.security.permissions import Access

#: The id of an attachment: base64url of its content's SHA-256, without padding.
AttachmentId = NewType("AttachmentId", str)
ATTACHMENT_ID = re.compile(r"[A-Za-z0-9_-]{43}")
#: Bytes that are read from a blob and sent at once.
PIECE_BYTES = 64 * 1024


class BlobInfo(Protocol):
    """A complete blob."""

    @property
    def id(self) -> str:
        """The blob's `AttachmentId`."""

    @property
    def length(self) -> int:
        """Length of the blob's content in bytes."""


class BlobReader(Protocol):
    """A blob that is open for reading; `close` it."""

    @property
    def info(self) -> BlobInfo:
        """The blob that is open."""

    def read(self, offset: int, length: int) -> Awaitable[bytes]:
        """Return `length` bytes from `offset` on; fewer at the end of the blob only."""

    def close(self) -> None:
        """Close the blob; harmless when repeated."""


class BlobWriter(Protocol):
    """A blob that is being uploaded; one call at a time."""

    def write(self, chunk: bytes) -> Awaitable[None]:
        """Append bytes to the blob; wait for it before the next call."""

    def finish(self) -> Awaitable[BlobInfo]:
        """Make the blob durable, and visible to readers; return what it is."""

    def abort(self) -> Awaitable[None]:
        """Delete what was written; harmless when repeated, and after `finish`."""


class Blobs(Protocol):
    """The blobs of the store."""

    def upload(self, uploader: str | None) -> Awaitable[BlobWriter]:
        """Begin a blob, and return its writer.

        The identity `uploader` (None under ``auth: dev_mode``) may then name the blob in documents.
        """

    def open(self, attachment: AttachmentId) -> Awaitable[BlobReader]:
        """Open a blob for reading; fails with code ``attachment_unavailable`` if it is not here."""


class BlobReferences(Protocol):
    """References of documents to blobs: they decide who may read a blob, and which are fetched."""

    def may_download(self, attachment: AttachmentId, access: Access) -> Awaitable[bool]:
        """Tell whether a document that `access` may read names the blob."""

    def fetch(self, attachment: AttachmentId, timeout_seconds: float | None) -> Awaitable[None]:
        """
        Fetch a blob from the mesh, and wait until it is here.

        Fails with code ``attachment_not_found`` if no document names the blob, and with
        ``attachment_unavailable`` if it did not arrive in time.  Cancelling ends the waiting.
        """


class AttachmentNotFound(ClientError):
    """No document that the caller may read names the attachment, or its id is malformed."""

    code: ClassVar[str] = "attachment_not_found"

    def __init__(self) -> None:
        super().__init__("no document that you may read names an attachment with this id")


class AttachmentUnavailable(ClientError):
    """A document names the attachment, whose content is not here; the caller can try later."""

    code: ClassVar[str] = "attachment_unavailable"

    def __init__(self) -> None:
        super().__init__("the attachment is known and not here yet; try again later")


class RangeNotSatisfiable(ClientError):
    """The attachment has `length` bytes, none of them in the requested range."""

    code: ClassVar[str] = "range_not_satisfiable"

    def __init__(self, length: int) -> None:
        super().__init__(
            f"the attachment has {length} bytes, and none in this range",
            headers=((b"Content-Range", b"bytes */%d" % length),),
        )


def attachment_id(text: str) -> AttachmentId:
    """Return a text from a request as an attachment's id, if it has the form of one.

    :raises AttachmentNotFound: no id has this form; let the error pass, the client gets 404.
    """
    if ATTACHMENT_ID.fullmatch(text) is None:
        raise AttachmentNotFound
    return AttachmentId(text)

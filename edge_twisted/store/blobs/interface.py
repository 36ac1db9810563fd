# SPDX-License-Identifier: Apache-2.0
"""
What a store of blobs does.

A blob's id is the SHA-256 of its content in base64url without padding, 43 characters, so equal
content is one blob.  All I/O is done off the reactor thread and in chunks: memory does not grow
with the blob.  A blob lives as long as a stored document names it (`UnitOfWork.put`),
and for a grace time after it arrived or was named last.
"""

from __future__ import annotations

from typing import Protocol

from twisted.internet.defer import Deferred

from edge_twisted.store.rows import BlobInfo


class BlobReader(Protocol):
    """An open blob, which stays readable until `close`, even if it is collected meanwhile."""

    @property
    def info(self) -> BlobInfo:
        """The blob's id and length."""

    def read(self, offset: int, length: int) -> Deferred[bytes]:
        """
        Fire with up to `length` bytes from the byte `offset`; fewer only at the end.

        :raises BlobCorrupt: the blob is damaged.  Of one that is read from its beginning this may
            show only at its last piece, which is withheld: it is no blob without it.
        """

    def close(self) -> None:
        """Give the file back; harmless when repeated."""


class BlobWriter(Protocol):
    """
    An incoming blob; call one method at a time, after the Deferred of the previous call fired.

    Nothing is visible before `finish`, and nothing is left behind by `abort` or a crash.
    """

    @property
    def received(self) -> int:
        """Bytes received so far, which is the offset where a resumed download continues."""

    def write(self, chunk: bytes) -> Deferred[None]:
        """
        Append the next bytes of the blob; fire once they are in the file.

        :raises StoreFull, StoreIOError: they cannot be kept; abort.
        """

    def finish(self) -> Deferred[BlobInfo]:
        """
        Make the blob durable and visible; fire with its id and length.

        :raises BlobCorrupt: a download whose bytes do not hash to its id; they are gone.
        :raises StoreFull, StoreIOError: the blob could not be kept; nothing is left of it.
        """

    def abort(self) -> Deferred[None]:
        """Throw away what was written; harmless when repeated, and after `finish`."""


class BlobDownload(BlobWriter, Protocol):
    """An incoming blob whose id is known, so that its first part can be kept for later."""

    def pause(self) -> Deferred[None]:
        """End the download, and keep what arrived for `BlobStore.resume`, also after a restart."""


class BlobStore(Protocol):
    """The blobs of one database."""

    def upload(self, uploader: str | None = None) -> Deferred[BlobWriter]:
        """
        Begin a blob whose id will be known at its end; fire with its writer.

        :param uploader: the identity that may name the blob in documents, see `ledger.uploaders`.
        """

    def resume(self, blob_id: str) -> Deferred[BlobDownload]:
        """
        Begin, or go on with, the download of a blob whose id is known; fire with its writer.

        It goes on behind what `BlobDownload.pause` kept: at the byte `BlobWriter.received`.

        :raises BlobUnavailable: `blob_id` is no id of a blob.
        :raises StoreError: the blob is being downloaded already.
        """

    def open(self, blob_id: str) -> Deferred[BlobReader]:
        """
        Open a complete blob; fire with its reader, to be closed in any case.

        :raises BlobUnavailable: it is not here, or it is damaged and was put into quarantine; it
            may arrive from the mesh.
        """

    def find(self, blob_id: str) -> BlobInfo | None:
        """Return id and length of a complete blob; None if this server does not have it."""

    def collect(self, grace_seconds: float) -> Deferred[int]:
        """
        Delete blobs that no document has named for `grace_seconds`; fire with their number.

        A blob without mentions is noted first and deleted by a later run, once the grace time has
        passed since it was noted.
        """

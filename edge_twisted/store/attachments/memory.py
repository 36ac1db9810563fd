# SPDX-License-Identifier: Apache-2.0
"""Blobs in memory: for tests and simulations."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256

from attrs import define, field
from twisted.internet.defer import Deferred, fail, succeed

from edge_twisted.store.attachments import ledger
from edge_twisted.store.attachments.interface import BlobDownload, BlobReader, BlobWriter
from edge_twisted.store.attachments.names import digest_of, id_of
from edge_twisted.store.errors import BlobCorrupt, BlobUnavailable, StoreError
from edge_twisted.store.rows import AttachmentInfo


@define(eq=False)
class MemoryBlobFolder:
    """The counterpart of a folder: complete blobs, and what arrived of others, by id."""

    complete: dict[str, bytes] = field(factory=dict)
    partial: dict[str, bytes] = field(factory=dict)


class MemoryBlobStore:
    """A `edge_twisted.store.attachments.interface.Attachments`."""

    def __init__(
        self, database: ledger.LedgerStore, blobs: MemoryBlobFolder, now_ms: Callable[[], int]
    ) -> None:
        self._database = database
        self._blobs = blobs
        self._now_ms = now_ms
        self._downloads: set[str] = set()

    def upload(self, uploader: str | None = None) -> Deferred[BlobWriter]:
        return succeed(MemoryBlob(self, None, b"", uploader))

    def resume(self, attachment: str) -> Deferred[BlobDownload]:
        try:
            digest_of(attachment)
        except BlobUnavailable:
            return fail()
        if attachment in self._downloads:
            return fail(StoreError(attachment, "being downloaded already"))
        self._downloads.add(attachment)
        return succeed(MemoryBlob(self, attachment, self._blobs.partial.get(attachment, b"")))

    def open(self, attachment: str) -> Deferred[BlobReader]:
        content = self._blobs.complete.get(attachment)
        if content is None:
            return fail(BlobUnavailable(attachment))
        return succeed(MemoryBlobReader(attachment, content))

    def find(self, attachment: str) -> AttachmentInfo | None:
        content = self._blobs.complete.get(attachment)
        return None if content is None else AttachmentInfo(attachment, len(content))

    def collect(self, grace_seconds: float) -> Deferred[int]:
        return Deferred.fromCoroutine(
            ledger.collect(self._database, self._now_ms, grace_seconds, self._forget)
        )

    def _forget(self, attachment: str) -> None:
        self._blobs.complete.pop(attachment, None)

    # -- for its blobs

    async def keep(self, content: bytes, uploader: str | None) -> AttachmentInfo:
        """Take a complete blob."""
        info = AttachmentInfo(id_of(sha256(content).digest()), len(content))
        self._blobs.complete[info.id] = content
        await self._database.write(
            "attachments.book", lambda unit: ledger.book(unit, info, uploader)
        )
        return info

    def leave(self, attachment: str, content: bytes | None) -> None:
        """End a download; keep what arrived, if anything."""
        self._downloads.discard(attachment)
        if content is None:
            self._blobs.partial.pop(attachment, None)
        else:
            self._blobs.partial[attachment] = content


class MemoryBlob:
    """A `edge_twisted.store.attachments.interface.BlobDownload`, or an upload if it has no id."""

    def __init__(
        self,
        owner: MemoryBlobStore,
        attachment: str | None,
        content: bytes,
        uploader: str | None = None,
    ) -> None:
        self._owner = owner
        self._attachment = attachment
        self._uploader = uploader
        self._content = bytearray(content)
        self._ended = False

    @property
    def received(self) -> int:
        return len(self._content)

    def write(self, chunk: bytes) -> Deferred[None]:
        assert not self._ended, "a chunk after the end"
        self._content += chunk
        return succeed(None)

    def finish(self) -> Deferred[AttachmentInfo]:
        content = bytes(self._content)
        self._end(None)
        if self._attachment not in (None, id_of(sha256(content).digest())):
            return fail(BlobCorrupt(self._attachment or ""))
        return Deferred.fromCoroutine(self._owner.keep(content, self._uploader))

    def abort(self) -> Deferred[None]:
        self._end(None)
        return succeed(None)

    def pause(self) -> Deferred[None]:
        self._end(bytes(self._content))
        return succeed(None)

    def _end(self, content: bytes | None) -> None:
        if not self._ended and self._attachment is not None:
            self._owner.leave(self._attachment, content)
        self._ended = True


class MemoryBlobReader:
    """A `edge_twisted.store.attachments.interface.BlobReader`."""

    def __init__(self, attachment: str, content: bytes) -> None:
        self.info = AttachmentInfo(attachment, len(content))
        self._content = content

    def read(self, offset: int, length: int) -> Deferred[bytes]:
        return succeed(self._content[offset : offset + length])

    def close(self) -> None:
        pass

# SPDX-License-Identifier: Apache-2.0
"""Blobs in memory: for tests and simulations."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256

from attrs import define, field
from twisted.internet.defer import Deferred, fail, succeed

from edge_twisted.store.blobs import ledger
from edge_twisted.store.blobs.interface import BlobDownload, BlobReader, BlobWriter
from edge_twisted.store.blobs.names import digest_of, id_of
from edge_twisted.store.errors import BlobCorrupt, BlobUnavailable, StoreError
from edge_twisted.store.rows import BlobInfo


@define(eq=False)
class MemoryBlobFolder:
    """The counterpart of a folder: complete blobs, and what arrived of others, by id."""

    complete: dict[str, bytes] = field(factory=dict)
    partial: dict[str, bytes] = field(factory=dict)


class MemoryBlobStore:
    """A `edge_twisted.store.blobs.interface.BlobStore`."""

    def __init__(
        self, database: ledger.LedgerStore, blobs: MemoryBlobFolder, now_ms: Callable[[], int]
    ) -> None:
        self._database = database
        self._blobs = blobs
        self._now_ms = now_ms
        self._downloads: set[str] = set()

    def upload(self, uploader: str | None = None) -> Deferred[BlobWriter]:
        return succeed(MemoryBlobWriter(self, None, b"", uploader))

    def resume(self, blob_id: str) -> Deferred[BlobDownload]:
        try:
            digest_of(blob_id)
        except BlobUnavailable:
            return fail()
        if blob_id in self._downloads:
            return fail(StoreError(blob_id, "being downloaded already"))
        self._downloads.add(blob_id)
        return succeed(MemoryBlobWriter(self, blob_id, self._blobs.partial.get(blob_id, b"")))

    def open(self, blob_id: str) -> Deferred[BlobReader]:
        content = self._blobs.complete.get(blob_id)
        if content is None:
            return fail(BlobUnavailable(blob_id))
        return succeed(MemoryBlobReader(blob_id, content))

    def find(self, blob_id: str) -> BlobInfo | None:
        content = self._blobs.complete.get(blob_id)
        return None if content is None else BlobInfo(blob_id, len(content))

    def collect(self, grace_seconds: float) -> Deferred[int]:
        return Deferred.fromCoroutine(
            ledger.collect(self._database, self._now_ms, grace_seconds, self._forget)
        )

    def _forget(self, blob_id: str) -> None:
        self._blobs.complete.pop(blob_id, None)

    # -- for its blobs

    async def keep(self, content: bytes, uploader: str | None) -> BlobInfo:
        """Store a complete blob and book it; return its id and length."""
        info = BlobInfo(id_of(sha256(content).digest()), len(content))
        self._blobs.complete[info.id] = content
        await self._database.write(
            "attachments.book", lambda unit: ledger.book(unit, info, uploader)
        )
        return info

    def leave(self, blob_id: str, content: bytes | None) -> None:
        """End a download; keep the bytes that arrived for a resumption, or nothing for None."""
        self._downloads.discard(blob_id)
        if content is None:
            self._blobs.partial.pop(blob_id, None)
        else:
            self._blobs.partial[blob_id] = content


class MemoryBlobWriter:
    """A `edge_twisted.store.blobs.interface.BlobDownload`, or an upload if it has no id."""

    def __init__(
        self,
        owner: MemoryBlobStore,
        blob_id: str | None,
        content: bytes,
        uploader: str | None = None,
    ) -> None:
        self._owner = owner
        self._blob_id = blob_id
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

    def finish(self) -> Deferred[BlobInfo]:
        content = bytes(self._content)
        self._end(None)
        if self._blob_id not in (None, id_of(sha256(content).digest())):
            return fail(BlobCorrupt(self._blob_id or ""))
        return Deferred.fromCoroutine(self._owner.keep(content, self._uploader))

    def abort(self) -> Deferred[None]:
        self._end(None)
        return succeed(None)

    def pause(self) -> Deferred[None]:
        self._end(bytes(self._content))
        return succeed(None)

    def _end(self, content: bytes | None) -> None:
        if not self._ended and self._blob_id is not None:
            self._owner.leave(self._blob_id, content)
        self._ended = True


class MemoryBlobReader:
    """A `edge_twisted.store.blobs.interface.BlobReader`."""

    def __init__(self, blob_id: str, content: bytes) -> None:
        self.info = BlobInfo(blob_id, len(content))
        self._content = content

    def read(self, offset: int, length: int) -> Deferred[bytes]:
        return succeed(self._content[offset : offset + length])

    def close(self) -> None:
        pass

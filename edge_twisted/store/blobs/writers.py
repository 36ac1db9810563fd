# SPDX-License-Identifier: Apache-2.0
"""Writers: blobs on their way into a folder, from a client or a peer."""

from __future__ import annotations

import os
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Protocol, TypeVar

from twisted.internet.defer import Deferred, DeferredLock, succeed

from edge_twisted.store.blobs.folder import BlobFolder, translating
from edge_twisted.store.blobs.names import id_of
from edge_twisted.store.errors import BlobCorrupt, StoreClosed
from edge_twisted.store.filesystem import FILE_MODE
from edge_twisted.store.rows import BlobInfo
from edge_twisted.store.threads import ThreadPool

T = TypeVar("T")

_READ_BYTES = 1 << 20


class IncomingFile:
    """
    The file of a blob on its way in, and the hash of its bytes; one call at a time, on threads.

    A file that is there already is resumed, after its bytes were hashed.

    :param is_closing: says that the store is closing, which does not wait for that hash.
    :raises StoreClosed: the store is closing.
    """

    def __init__(self, path: Path, is_closing: Callable[[], bool] = lambda: False) -> None:
        self.path = path
        self.received = 0
        self._hasher = sha256()
        with translating(path.name):
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
            while chunk := os.read(self._descriptor, _READ_BYTES):
                if is_closing():
                    self.close()
                    raise StoreClosed(path.name)
                self._hasher.update(chunk)
                self.received += len(chunk)

    def write(self, chunk: bytes) -> None:
        """
        Append bytes to the file, and to the hash.

        :raises StoreFull, StoreIOError: they cannot be kept; `discard` the file.
        """
        with translating(self.path.name):
            written = 0
            while written < len(chunk):
                written += os.write(self._descriptor, chunk[written:] if written else chunk)
        self._hasher.update(chunk)
        self.received += len(chunk)

    def finish(self) -> BlobInfo:
        """
        Make the bytes durable and close the file; return the id that they have, and the length.

        :raises StoreFull, StoreIOError: the disk refused; `discard` the file.
        """
        with translating(self.path.name):
            os.fsync(self._descriptor)
            self.close()
        return BlobInfo(id_of(self._hasher.digest()), self.received)

    def close(self) -> None:
        """Close the file and keep it; harmless when repeated."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def discard(self) -> None:
        """Close the file and delete it."""
        self.close()
        self.path.unlink(missing_ok=True)


class BlobOwner(Protocol):
    """What a writer asks of the store of blobs that it belongs to."""

    def book(self, info: BlobInfo, uploader: str | None) -> Deferred[None]:
        """Note that the blob is here, and who uploaded it; fire once that is durable."""

    def left(self, blob: FileBlobWriter) -> None:
        """Forget a writer whose blob is finished, aborted or paused."""


class FileBlobWriter:
    """A `edge_twisted.store.blobs.interface.BlobDownload`; an upload, if it has no id."""

    def __init__(
        self,
        owner: BlobOwner,
        threads: ThreadPool,
        folder: BlobFolder,
        file: IncomingFile,
        blob_id: str | None,
    ) -> None:
        self.blob_id = blob_id
        #: The identity that uploads the blob, if that is known.
        self.uploader: str | None = None
        self._owner = owner
        self._threads = threads
        self._folder = folder
        self._file = file
        self._ended = False
        # A client that goes away aborts while its last chunk is being written.
        self._turns = DeferredLock()

    @property
    def received(self) -> int:
        return self._file.received

    def write(self, chunk: bytes) -> Deferred[None]:
        assert not self._ended, "a chunk after the end"
        return self._turns.run(self._threads.call, lambda: self._file.write(chunk))

    def finish(self) -> Deferred[BlobInfo]:
        assert not self._ended, "finished twice"
        self._ended = True
        return Deferred.fromCoroutine(self._finish())

    async def _finish(self) -> BlobInfo:
        try:
            info = await self._turns.run(self._threads.call, self._place)
            await self._owner.book(info, self.uploader)
        finally:
            self._owner.left(self)
        return info

    def _place(self) -> BlobInfo:
        try:
            info = self._file.finish()
            if self.blob_id not in (None, info.id):
                raise BlobCorrupt(self.blob_id or "")
            with translating(info.id):
                self._folder.place(self._file.path, info.id)
        except BaseException:
            self._file.discard()
            raise
        return info

    def abort(self) -> Deferred[None]:
        return self._end(self._file.discard)

    def pause(self) -> Deferred[None]:
        return self._end(self._file.close)

    def _end(self, how: Callable[[], None]) -> Deferred[None]:
        if self._ended:
            return succeed(None)
        self._ended = True
        return self._turns.run(self._threads.call, how).addBoth(self._left)

    def _left(self, outcome: T) -> T:
        self._owner.left(self)
        return outcome

# SPDX-License-Identifier: Apache-2.0
"""
Verification of blobs where they are read: no reader gets all bytes of a damaged blob.

A small blob is read and hashed when it is opened.  A large one that is read from its beginning is
hashed on the way, and its last piece is withheld if the hash differs from the blob's id.  A read
that begins elsewhere has the whole blob hashed first, once per process.  Everything here blocks
and runs on threads.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from hashlib import sha256
from threading import Lock
from typing import BinaryIO, Final

from edge_twisted.store.blobs.folder import BlobFolder, translating
from edge_twisted.store.blobs.names import digest_of, id_of
from edge_twisted.store.errors import BlobCorrupt, StoreClosed, StoreError
from edge_twisted.store.scrubber import AttachmentsStep

#: Blobs up to this size are verified at each opening, which takes a millisecond or two.
SMALL_BYTES: Final = 1 << 20
#: Read at a time when a blob is hashed, between two looks at whether the store is closing.
_PIECE_BYTES: Final = 1 << 20
#: Most files that are remembered as verified.
_MOST_VERIFIED: Final = 1024
#: Bytes that one step of the scrubber reads.
_STEP_BYTES: Final = 256 * 1024
_FOLDERS: Final = 256


class VerifiedFiles:
    """Files that this process has verified, by device, inode, size and time of change."""

    def __init__(self) -> None:
        #: Whether the store is closing, which does not wait until a large blob is hashed.
        self.is_closing = False
        self._lock = Lock()
        self._known: OrderedDict[tuple[int, int, int, int], None] = OrderedDict()

    def add(self, status: os.stat_result) -> None:
        """
        Remember a file as verified; the oldest is forgotten beyond 1024 files.

        :param status: the file's `os.fstat`, which tells when it has changed.
        """
        with self._lock:
            self._known[_key(status)] = None
            if len(self._known) > _MOST_VERIFIED:
                self._known.popitem(last=False)

    def has(self, status: os.stat_result) -> bool:
        """Return whether the file of this `os.fstat` was verified and has not changed since."""
        with self._lock:
            return _key(status) in self._known


def _key(status: os.stat_result) -> tuple[int, int, int, int]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


class VerifiedFile:
    """
    The file of a complete blob, open for one reader.

    :raises BlobCorrupt: the bytes do not hash to the id; a small blob raises it when this object
        is made, a large one in `read`.
    :raises StoreClosed: the store is closing, so the blob is not verified to its end.
    """

    def __init__(self, blob_id: str, file: BinaryIO, verified: VerifiedFiles) -> None:
        self._blob_id = blob_id
        self._file = file
        self._verified = verified
        self._status = os.fstat(file.fileno())
        self.length = self._status.st_size
        #: The hash of the first `_hashed` bytes.
        self._hasher = sha256()
        self._hashed = 0
        self._is_right = False
        if self.length <= SMALL_BYTES:
            self._verify()

    def read(self, offset: int, length: int) -> bytes:
        """
        Return up to `length` bytes from the byte `offset`; fewer only at the end.

        The bytes are hashed on the way where reading is in sequence, else the whole file is
        verified first.

        :raises BlobCorrupt: the blob's bytes do not hash to its id.
        :raises StoreClosed: the store is closing.
        :raises StoreIOError: the file cannot be read.
        """
        if offset != self._hashed and not self._is_right and not self._verified.has(self._status):
            self._verify()
        data = self._pread(length, offset)
        if offset == self._hashed and not self._is_right:
            self._hasher.update(data)
            self._hashed += len(data)
            if self._hashed == self.length:
                self._compare()
        return data

    def _verify(self) -> None:
        self._hasher, self._hashed = sha256(), 0
        while data := self._pread(_PIECE_BYTES, self._hashed):
            if self._verified.is_closing:
                raise StoreClosed(self._blob_id)
            self._hasher.update(data)
            self._hashed += len(data)
        self._compare()

    def _compare(self) -> None:
        if self._hasher.digest() != digest_of(self._blob_id):
            raise BlobCorrupt(self._blob_id)
        self._is_right = True
        self._verified.add(self._status)

    def _pread(self, length: int, offset: int) -> bytes:
        with translating(self._blob_id):
            return os.pread(self._file.fileno(), length, offset)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class BlobScrub:
    """A scrub of all blobs, folder by folder; one call of `step` at a time."""

    def __init__(self, folder: BlobFolder) -> None:
        self._folder = folder
        self._at: int | None = None
        self._left: list[str] = []
        self._file: BinaryIO | None = None
        self._blob_id = ""
        self._hasher = sha256()

    def step(self, at: int) -> tuple[AttachmentsStep, list[str]]:
        """
        Verify the next 256 KiB or so of blobs; return the step, and the ids of damaged ones.

        :param at: the number of a folder, 0 to 255; pass the `folder` of the step before to go on.
            That is None once all folders were read.
        """
        if self._at != at:
            self._enter(at)
        size = count = 0
        damaged: list[str] = []
        while size < _STEP_BYTES:
            if self._file is None and not self._next():
                at += 1
                if at >= _FOLDERS:
                    self._at = None
                    return AttachmentsStep(
                        folder=None, size=size, attachments=count, damaged=len(damaged)
                    ), damaged
                self._enter(at)
                continue
            piece = self._piece()
            size += len(piece or b"")
            if not piece:
                count += 1
                if piece is None or self._hasher.digest() != digest_of(self._blob_id):
                    damaged.append(self._blob_id)
                self.close()
        return AttachmentsStep(
            folder=at, size=size, attachments=count, damaged=len(damaged)
        ), damaged

    def _enter(self, at: int) -> None:
        self.close()
        self._at, self._left = at, self._folder.names_in(at)

    def _next(self) -> bool:
        """Open the next blob of the folder; return False if there is none."""
        while self._left:
            self._blob_id = id_of(bytes.fromhex(self._left.pop()))
            try:
                self._file = self._folder.open(self._blob_id)
            except StoreError:
                # Deleted meanwhile, or unreadable to this process, which its readers are told.
                continue
            self._hasher = sha256()
            return True
        return False

    def _piece(self) -> bytes | None:
        """Return the next bytes of the blob, b"" at its end; None if the disk cannot read them."""
        assert self._file is not None
        try:
            piece = self._file.read(_STEP_BYTES)
        except OSError:
            return None
        self._hasher.update(piece)
        return piece

    def close(self) -> None:
        """Close the file that is being read, if any."""
        if self._file is not None:
            self._file.close()
            self._file = None

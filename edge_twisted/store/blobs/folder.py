# SPDX-License-Identifier: Apache-2.0
"""
The folder of the blobs: ``ab/abcd...`` by the SHA-256 in hexadecimal, and ``incoming/``.

Everything here blocks and runs on threads.  A blob appears under its name by a rename, after its
bytes are on disk, so a name means a whole blob.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import BinaryIO

from edge_twisted.store.blobs.names import digest_of, id_of
from edge_twisted.store.errors import (
    BlobCorrupt,
    BlobUnavailable,
    of_os_error,
)
from edge_twisted.store.filesystem import FOLDER_MODE, make_folder, sync_folder
from edge_twisted.store.rows import BlobInfo

#: A paused download that was not resumed for this long is deleted, and starts again from 0.
PARTIAL_SECONDS = 7 * 86_400.0
#: Read at a time when a blob is hashed.
_HASH_BYTES = 1 << 20
_NAME = re.compile("[0-9a-f]{64}")


@contextmanager
def translating(what: str) -> Iterator[None]:
    """
    Turn an `OSError` inside the block into a `StoreError`; `what` names the blob in it.

    :raises StoreFull, StoreReadOnly, StoreIOError: see `of_os_error`.
    """
    try:
        yield
    except OSError as error:
        raise of_os_error(what, error) from error


class BlobFolder:
    """The files of complete blobs, of unfinished ones, and of damaged ones."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.incoming = root / "incoming"
        #: Where damaged blobs are kept.
        self._quarantine = root / "quarantine"
        self._lock = Lock()
        #: Blobs whose fact is not made yet, and blobs whose fact is gone.
        self._arriving: dict[str, int] = {}
        self._doomed: set[str] = set()
        self._is_ending = False

    def path(self, blob_id: str) -> Path:
        """
        Return where the file of a complete blob is, or would be.

        :raises BlobUnavailable: `blob_id` is no id of a blob.
        """
        name = digest_of(blob_id).hex()
        return self._root / name[:2] / name

    def partial(self, blob_id: str) -> Path:
        """
        Return where the file of a blob's unfinished download is, or would be.

        :raises BlobUnavailable: `blob_id` is no id of a blob.
        """
        return self.incoming / f"{digest_of(blob_id).hex()}.partial"

    def tidy(self, now_seconds: float) -> list[BlobInfo]:
        """
        Make the folder, and delete what interrupted uploads left; return the complete blobs.

        Also deletes paused downloads older than `PARTIAL_SECONDS`.

        :param now_seconds: the time, in seconds since 1970.
        :raises StoreError: the folder cannot be made, read or changed.
        """
        with translating(str(self._root)):
            for folder in (self._root, self.incoming):
                make_folder(folder)
            for path in self.incoming.iterdir():
                abandoned = path.stat().st_mtime < now_seconds - PARTIAL_SECONDS
                if path.suffix != ".partial" or abandoned:
                    path.unlink(missing_ok=True)
            return list(self.complete())

    def complete(self) -> Iterator[BlobInfo]:
        """Yield id and length in bytes of every complete blob, in no order."""
        for folder in self._root.glob("[0-9a-f][0-9a-f]"):
            for entry in os.scandir(folder):
                with suppress(ValueError):
                    yield BlobInfo(id_of(bytes.fromhex(entry.name)), entry.stat().st_size)

    def names_in(self, number: int) -> list[str]:
        """
        Return the file names of the blobs in one folder, in descending order.

        A name is the blob's SHA-256 in 64 hexadecimal digits.  Empty if the folder cannot be read.

        :param number: which of the 256 folders, by the first byte of the digest: 0 to 255.
        """
        try:
            found = os.listdir(self._root / f"{number:02x}")
        except OSError:
            return []
        # Somebody may have put other files there.
        return sorted(filter(_NAME.fullmatch, found), reverse=True)

    # -- quarantine

    def set_aside(self, blob_id: str) -> bool:
        """
        Move a damaged blob into quarantine; return False if it is not there any more.

        :raises StoreError: the file system refused.
        """
        with self._lock, translating(blob_id):
            self._quarantine.mkdir(mode=FOLDER_MODE, exist_ok=True)
            try:
                os.rename(self.path(blob_id), self._kept(blob_id))
            except FileNotFoundError:
                return False
            sync_folder(self._quarantine)
            return True

    def in_quarantine(self) -> set[str]:
        """Return the ids of the blobs in quarantine."""
        if not self._quarantine.exists():
            return set()
        found = set()
        for name in os.listdir(self._quarantine):
            with suppress(ValueError):
                found.add(id_of(bytes.fromhex(name)))
        return found

    def forget_damaged(self, blob_id: str) -> None:
        """Delete the damaged file of a blob that is whole again or given up."""
        with suppress(OSError):
            self._kept(blob_id).unlink()

    def _kept(self, blob_id: str) -> Path:
        return self._quarantine / digest_of(blob_id).hex()

    # -- in

    def place(self, source: Path, blob_id: str) -> None:
        """
        Move a finished file to its blob's place, durably; a blob that is there already stays.

        Call `booked` or `not_booked` afterwards: until then `sweep` leaves the blob alone.

        :raises OSError: the file cannot be moved; for a block of `translating`.
        """
        target = self.path(blob_id)
        with self._lock:
            if target.exists():
                source.unlink()
            else:
                if not target.parent.exists():
                    target.parent.mkdir(mode=FOLDER_MODE)
                    sync_folder(self._root)
                os.rename(source, target)
                sync_folder(target.parent)
            self._arriving[blob_id] = self._arriving.get(blob_id, 0) + 1

    def booked(self, blob_id: str) -> None:
        """Note that the fact of a placed blob is durable: an earlier `doom` no longer counts."""
        with self._lock:
            self._doomed.discard(blob_id)
            self._left(blob_id)

    def not_booked(self, blob_id: str) -> None:
        """Note that the fact of a placed blob could not be made; the next start books the blob."""
        with self._lock:
            self._left(blob_id)

    def _left(self, blob_id: str) -> None:
        self._arriving[blob_id] -= 1
        if not self._arriving[blob_id]:
            del self._arriving[blob_id]

    # -- out

    def open(self, blob_id: str) -> BinaryIO:
        """
        Open a complete blob for reading, without a buffer.

        :raises BlobUnavailable: it is not here; it may arrive from the mesh.
        :raises StoreIOError, StoreReadOnly: the file cannot be opened.
        """
        with translating(blob_id):
            try:
                return open(self.path(blob_id), "rb", buffering=0)
            except FileNotFoundError:
                raise BlobUnavailable(blob_id) from None

    def doom(self, blob_id: str) -> None:
        """Note that the blob's fact is gone, so that `sweep` deletes the file."""
        with self._lock:
            self._doomed.add(blob_id)

    def sweep(self) -> None:
        """
        Delete doomed blobs that have not arrived again meanwhile; stops early after `end_sweep`.

        Holds the lock for one file at a time, because the reactor's thread takes the lock too.
        """
        while not self._is_ending:
            with self._lock:
                if not self._doomed:
                    return
                blob_id = self._doomed.pop()
                if blob_id not in self._arriving:
                    self.path(blob_id).unlink(missing_ok=True)

    def end_sweep(self) -> None:
        """End sweeping as the server stops; the next start finds the files and books them."""
        self._is_ending = True


def verify(path: Path, blob_id: str) -> None:
    """
    Read a whole blob and compare the hash of its bytes with its id.

    :raises BlobCorrupt: the bytes do not hash to the id.
    :raises StoreIOError: the file cannot be read.
    """
    with translating(blob_id), open(path, "rb") as file:
        hasher = sha256()
        while chunk := file.read(_HASH_BYTES):
            hasher.update(chunk)
    if hasher.digest() != digest_of(blob_id):
        raise BlobCorrupt(blob_id)

# SPDX-License-Identifier: Apache-2.0
"""The folder of a database: its layout, its lock, and the modes of its files."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from attrs import define, frozen

from edge_twisted.store.errors import DirectoryLocked, of_os_error
from edge_twisted.store.filesystem import FILE_MODE, restrict


@frozen
class Layout:
    """The paths of one database's files; `folder` is the persistence directory."""

    folder: Path
    #: The database id: several databases in one folder never mix.
    name: str

    @property
    def database(self) -> Path:
        """The path of the SQLite file; beside it are its ``-wal`` and ``-shm``."""
        return self.folder / f"{self.name}.db"

    @property
    def attachments(self) -> Path:
        """The path of the folder of the blobs, see `BlobFolder`."""
        return self.folder / f"{self.name}.attachments"

    @property
    def lock(self) -> Path:
        """The path of the file whose lock says that a process uses the folder; it holds its pid."""
        return self.folder / "edge-server.lock"


@define
class FolderLock:
    """The exclusive use of a folder; the system gives it back when the process ends in any way."""

    _descriptor: int

    @classmethod
    def take(cls, layout: Layout) -> FolderLock:
        """
        Make the folder if it does not exist, and lock it; return the lock.

        :raises DirectoryLocked: another process, or another store of this process, has the folder.
        :raises StoreReadOnly: the folder cannot be made or written.
        :raises StoreFull: there is no space for the folder or the lock: free some.
        """
        try:
            layout.folder.mkdir(mode=0o750, parents=True, exist_ok=True)
            descriptor = os.open(layout.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        except OSError as error:
            raise of_os_error(str(layout.folder), error) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.read(descriptor, 20).strip()
            os.close(descriptor)
            raise DirectoryLocked(
                str(layout.folder), int(holder) if holder.isdigit() else None
            ) from None
        with suppress(OSError):
            # Only for the message above: a full disk can still be read.
            os.truncate(descriptor, 0)
            os.write(descriptor, b"%d\n" % os.getpid())
        return cls(descriptor)

    def release(self) -> None:
        """Let others use the folder; harmless when repeated."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def make_private(path: Path) -> None:
    """
    Make the database file `path` if it does not exist, and restrict it to its owner.

    SQLite gives its mode to new files beside it; this function changes files that exist.

    :raises OSError: the file cannot be made.
    """
    with suppress(FileExistsError):
        # One that is there is not opened: closing it would give up the locks that SQLite has on it.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE))
    for file in (path, *sidecars(path)):
        restrict(file, FILE_MODE)


def sidecars(path: Path) -> tuple[Path, Path]:
    """Return the paths of a database file's write-ahead log and of its shared memory."""
    return path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")

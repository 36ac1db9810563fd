# SPDX-License-Identifier: Apache-2.0
"""Opening a database: lock the folder, create or upgrade the file, notice copies, connect."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import apsw
from attrs import define
from twisted.logger import Logger

from edge_twisted.store import epochs
from edge_twisted.store.sqlite.connection import close, open_reader, open_writer, translating
from edge_twisted.store.sqlite.files import FolderLock, Layout, make_private
from edge_twisted.store.sqlite.migrations import create, shipped_migrations, upgrade
from edge_twisted.store.sqlite.state import WriterState

log = Logger()

#: Epochs of copies made from one backup differ by chance; 31 bits make a clash unlikely.
_EPOCH_BYTES = 4


@define(eq=False)
class OpenFile:
    """The connections to one database, and the lock on its folder."""

    layout: Layout
    lock: FolderLock
    writer: apsw.Connection
    state: WriterState
    #: For the reactor thread.
    inline: apsw.Connection
    vfs: str | None

    def close(self) -> None:
        """Close the connections, and release the lock on the folder."""
        close(self.writer)
        close(self.inline)
        self.lock.release()

    def reader(self) -> apsw.Connection:
        """
        Open another connection that reads; the caller closes it.

        :raises StoreError: it cannot be opened.
        """
        with translating(str(self.layout.database)):
            return open_reader(self.layout.database, self.vfs)


def epoch_after(epoch: int, entropy: Callable[[int], bytes]) -> int:
    """
    Return a new epoch: above `epoch` by a random number, so that no other copy chooses it.

    :param entropy: returns so many random bytes.
    """
    chance = int.from_bytes(entropy(_EPOCH_BYTES), "big") >> 1
    return epoch + 1 + chance


def open_file(layout: Layout, entropy: Callable[[int], bytes], vfs: str | None = None) -> OpenFile:
    """
    Open the database of `layout`; make it if it is not there.  Blocks; not for the reactor.

    :param entropy: returns so many random bytes.
    :param vfs: the name of an apsw VFS, for tests that make the disk fail.
    :raises StoreError: it cannot be opened; nothing is kept open, and the folder is not locked.
    """
    lock = FolderLock.take(layout)
    opened: list[apsw.Connection] = []
    try:
        path = layout.database
        with translating(str(path)):
            _prepare(path, entropy, vfs)
            writer = open_writer(path, vfs)
            opened.append(writer)
            _notice_copy(writer, layout, entropy)
            state = WriterState.load(writer)
            inline = open_reader(path, vfs)
        return OpenFile(layout, lock, writer, state, inline, vfs)
    except BaseException:
        for connection in opened:
            close(connection)
        lock.release()
        raise


def _prepare(path: Path, entropy: Callable[[int], bytes], vfs: str | None) -> None:
    """Make the file, or bring it to the newest version."""
    migrations = shipped_migrations()
    if not path.exists():
        create(path, site=entropy(16), epoch=1, migrations=migrations, vfs=vfs)
        return
    # An earlier version made it as the umask would have it.
    make_private(path)
    copy = upgrade(path, migrations, vfs)
    if copy is not None:
        log.info("Upgraded {path}; the old one is kept as {copy}.", path=path, copy=copy)


def _notice_copy(writer: apsw.Connection, layout: Layout, entropy: Callable[[int], bytes]) -> None:
    """Take a new epoch if this is not the file that was opened last time."""
    status = os.stat(layout.database)
    here = (status.st_dev, status.st_ino)
    site, epoch, sequence, *known = writer.execute(
        "SELECT site, epoch, sequence, device, inode FROM site"
    ).get
    if tuple(known) == here:
        return
    fresh = epoch_after(epoch, entropy)
    log.warn(
        "{path} is a copy of another data folder: it takes epoch {epoch}.",
        path=layout.database,
        epoch=fresh,
    )
    place = (epochs.SPACE, epochs.KEY)
    fact = writer.execute("SELECT value FROM facts WHERE space = ? AND key = ?", place).get
    left = epochs.with_epoch(fact, epochs.last_of(site, epoch, sequence))
    with writer:
        writer.execute(
            "INSERT OR REPLACE INTO facts (space, key, value) VALUES (?, ?, ?)", (*place, left)
        )
        writer.execute(
            "UPDATE site SET epoch = ?, sequence = 0, device = ?, inode = ?", (fresh, *here)
        )

# SPDX-License-Identifier: Apache-2.0
"""
Backups: a folder with the database as it was at one moment, and the blobs that it names.

A backup may be made beside a running server: one read transaction holds the moment, and writers go
on.  Backup and restore first write everything under a temporary name, make it durable, then rename
it.  The copy forgets the device and inode of its file, so that the server that opens the copy
becomes a new replica; see `edge_twisted.store.sqlite.opening`.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw
from attrs import frozen

from edge_twisted.store.blobs.folder import BlobFolder
from edge_twisted.store.blobs.folder import translating as translating_files
from edge_twisted.store.blobs.ledger import SPACE
from edge_twisted.store.errors import BackupExists, RestoreRefused, StoreCorrupt, StoreError
from edge_twisted.store.filesystem import FOLDER_MODE, make_folder, sync_file, sync_folder
from edge_twisted.store.hidden import PREFIX, PREFIX_BYTES, PREFIX_END
from edge_twisted.store.sqlite.connection import fetch, open_reader, translating
from edge_twisted.store.sqlite.files import (
    FolderLock,
    Layout,
    sidecars,
)
from edge_twisted.store.sqlite.migrations import copy_pages, versions
from edge_twisted.store.sqlite.tools.checks import check

#: Pages copied at a time; the process can be interrupted in between.
_STEP_PAGES = 2_000
#: Numbers of hidden collections, which no backup has.
_HIDDEN = "SELECT number FROM collections WHERE name >= ? AND name < ?"
#: Blobs that documents of other collections name.
_SHOWN_BLOBS = (
    f"WITH hidden AS ({_HIDDEN}) SELECT DISTINCT attachment FROM mentions WHERE row NOT IN"
    " (SELECT row FROM documents WHERE collection IN hidden"
    " UNION ALL SELECT row FROM quarantine WHERE collection IN hidden)"
)
#: Most problems that the refusal of a damaged backup names.
_SHOWN_PROBLEMS = 5


@frozen
class CopySummary:
    """The summary of a backup or a restore."""

    lsn: int
    documents: int
    blobs: int
    #: Blobs that documents name and that are not here; they may come from the mesh.
    absent: int


def backup(layout: Layout, target: Path) -> CopySummary:
    """
    Copy the database of `layout`, as it is now, and its blobs to a new folder; count them.

    The server may run.  Documents in transit for others are left out.

    :raises BackupExists: `target` exists: choose another name.
    :raises StoreError: the database could not be read, or the copy not written; nothing is left at
        `target`.
    """
    if os.path.lexists(target):
        raise BackupExists(str(target))
    if not layout.database.is_file():
        raise StoreError(str(layout.database), "there is no database to back up")
    with translating_files(str(target)):
        fresh = Path(tempfile.mkdtemp(prefix=f"{target.name}.partial-", dir=target.parent))
        try:
            copied = _copy(layout, Layout(fresh, layout.name))
            os.rename(fresh, target)
        except BaseException:
            shutil.rmtree(fresh, ignore_errors=True)
            raise
        sync_folder(target.parent)
    return copied


def restore(layout: Layout, source: Path, now: str, *, force: bool = False) -> CopySummary:
    """
    Put a backup where the server of `layout` finds it, and count it; no server may run.

    :param source: the folder that `backup` made.
    :param now: the current time as text, for the name of the folder that `force` makes.
    :param force: move a database that is there aside, to ``NAME.replaced-NOW`` in the folder.
    :raises RestoreRefused: the folder holds a database, or `source` has none of this name.
    :raises StoreCorrupt: the backup is damaged: take another one.
    :raises DirectoryLocked: a server uses the folder: stop it.
    """
    saved = Layout(source, layout.name)
    _verify(saved)
    lock = FolderLock.take(layout)
    try:
        with translating_files(str(layout.folder)):
            occupied = [path for path in _files(layout) if os.path.lexists(path)]
            if occupied and not force:
                raise RestoreRefused(
                    str(occupied[0]), "it is there already; --force moves it aside"
                )
            with _fresh_folder(layout) as fresh:
                copied = _copy(saved, fresh)
                if occupied:
                    aside = layout.folder / f"{layout.name}.replaced-{now}"
                    aside.mkdir(mode=FOLDER_MODE)
                    _move(occupied, aside)
                # The database last: as long as it is not there, nothing has been restored.
                _move([fresh.attachments, fresh.database], layout.folder)
        return copied
    finally:
        lock.release()


def _files(layout: Layout) -> tuple[Path, ...]:
    # The database first, so that an interrupted move leaves no half database in its place.
    return (layout.database, *sidecars(layout.database), layout.attachments)


@contextmanager
def _fresh_folder(layout: Layout) -> Iterator[Layout]:
    folder = Path(tempfile.mkdtemp(prefix=f"{layout.name}.restoring-", dir=layout.folder))
    try:
        yield Layout(folder, layout.name)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _move(paths: Iterable[Path], folder: Path) -> None:
    for path in paths:
        os.rename(path, folder / path.name)
    sync_folder(folder)
    sync_folder(folder.parent)


def _verify(saved: Layout) -> None:
    if not saved.database.is_file():
        raise RestoreRefused(
            str(saved.folder), f"it holds no {saved.database.name}: no backup of this database"
        )
    problems = [each for each in check(saved) if not each.is_kept]
    if problems:
        shown = "; ".join(map(str, problems[:_SHOWN_PROBLEMS]))
        more = len(problems) - _SHOWN_PROBLEMS
        raise StoreCorrupt(str(saved.database), shown + (f"; and {more} more" if more > 0 else ""))


# -- copying


def _copy(source: Layout, target: Layout) -> CopySummary:
    with translating(str(source.database)):
        connection = open_reader(source.database)
        try:
            versions(connection, source.database)
            # One snapshot for the names of the blobs and for the pages.
            connection.execute("BEGIN")
            blobs, absent = _copy_blobs(connection, source, target)
            copy_pages(connection, target.database, _STEP_PAGES)
        finally:
            connection.close(True)
    lsn, documents = _settle(target.database)
    return CopySummary(lsn, documents, blobs, absent)


def _settle(path: Path) -> tuple[int, int]:
    """Make the copy a database of its own, in one durable file."""
    with translating(str(path)):
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            connection.execute("UPDATE site SET device = NULL, inode = NULL")
            had_hidden = _remove_hidden(connection)
            # Blobs that nothing names are not copied.
            connection.execute(
                "DELETE FROM facts WHERE space = ? AND key NOT IN"
                " (SELECT CAST(attachment AS BLOB) FROM mentions)",
                (SPACE,),
            )
            if had_hidden:
                # What is deleted stays in free pages, also what went before the copy was made.
                connection.execute("VACUUM")
            lsn = connection.execute("SELECT lsn FROM site").get
            documents = connection.execute("SELECT coalesce(sum(live), 0) FROM collections").get
        finally:
            connection.close(True)
    sync_file(path)
    sync_folder(path.parent)
    return lsn, documents


def _remove_hidden(connection: apsw.Connection) -> bool:
    """Remove hidden collections, and the facts about them; return whether there were any."""
    span = (PREFIX, PREFIX_END)
    if not connection.execute(f"{_HIDDEN} LIMIT 1", span).get:
        return False
    for table in ("documents", "quarantine"):
        rows = f"SELECT row FROM {table} WHERE collection IN ({_HIDDEN})"
        connection.execute(f"DELETE FROM mentions WHERE row IN ({rows})", span)
        connection.execute(f"DELETE FROM {table} WHERE collection IN ({_HIDDEN})", span)
    connection.execute(
        "DELETE FROM facts WHERE key >= ? AND key < ?", (PREFIX_BYTES, PREFIX_END.encode())
    )
    connection.execute(f"DELETE FROM collections WHERE number IN ({_HIDDEN})", span)
    return True


def _copy_blobs(connection: apsw.Connection, source: Layout, target: Layout) -> tuple[int, int]:
    here, there = BlobFolder(source.attachments), BlobFolder(target.attachments)
    for folder in (target.attachments, there.incoming):
        make_folder(folder)
    copied = absent = 0
    folders = {target.attachments, there.incoming}
    for (name,) in fetch(connection, _SHOWN_BLOBS, (PREFIX, PREFIX_END)):
        path = there.path(name)
        path.parent.mkdir(mode=FOLDER_MODE, exist_ok=True)
        folders.add(path.parent)
        try:
            _link(here.path(name), path)
            copied += 1
        except FileNotFoundError:
            absent += 1
    for folder in folders:
        sync_folder(folder)
    return copied, absent


def _link(source: Path, target: Path) -> None:
    """Share a blob, which never changes, with the copy; copy it where files cannot be shared."""
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:
        shutil.copyfile(source, target)
        sync_file(target)

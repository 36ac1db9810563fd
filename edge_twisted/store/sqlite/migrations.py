# SPDX-License-Identifier: Apache-2.0
"""
Schema versions: ``schema/NNNN-title.sql``, applied in order, each in one transaction.

A file remembers two numbers: its schema version, and its compatibility version, the lowest schema
version that a server must know to open it.  So a server opens a newer file if its changes are
harmless to older servers, and refuses the file otherwise.  Before an upgrade the file is copied.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

import apsw
from attrs import frozen

from edge_twisted.store.errors import StoreCorrupt, StoreTooNew
from edge_twisted.store.filesystem import sync_file, sync_folder
from edge_twisted.store.sqlite.connection import translating
from edge_twisted.store.sqlite.files import make_private, sidecars

#: "EdgT" in the header of the file, by which `file(1)` and this server recognise it.
APPLICATION_ID = 0x45646754


@frozen(kw_only=True)
class Migration:
    """One step: from version - 1 to `version`; `compat` is the compatibility version after it."""

    version: int
    compat: int
    text: str


def shipped_migrations() -> tuple[Migration, ...]:
    """Return all migrations that this server knows, by ascending version."""
    folder = resources.files("edge_twisted.store.sqlite").joinpath("schema")
    found = []
    for entry in folder.iterdir():
        if match := re.fullmatch(r"(\d{4})-.*\.sql", entry.name):
            text = entry.read_text("utf-8")
            compat = re.match(r"-- compat: (\d+)\n", text)
            assert compat, f"{entry.name} does not begin with its compatibility version"
            found.append(
                Migration(version=int(match.group(1)), compat=int(compat.group(1)), text=text)
            )
    return tuple(sorted(found, key=lambda migration: migration.version))


def create(
    path: Path, site: bytes, epoch: int, migrations: Sequence[Migration], vfs: str | None = None
) -> None:
    """
    Make a new, empty database at `path`, whole or not at all.

    :param site: the id of this site; 16 random bytes.
    :raises StoreError: the database could not be made; at most a ``.new`` file is left.
    """
    fresh = path.with_name(path.name + ".new")
    with translating(str(path)):
        for leftover in (fresh, *sidecars(fresh)):
            leftover.unlink(missing_ok=True)
        make_private(fresh)
        connection = apsw.Connection(str(fresh), vfs=vfs)
        try:
            connection.pragma("journal_mode", "wal")
            connection.pragma("synchronous", "FULL")
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            _apply(connection, migrations)
            status = os.stat(fresh)
            connection.execute(
                "INSERT INTO site (only, site, epoch, sequence, clock, lsn, catalog, device, inode)"
                " VALUES (1, ?, ?, 0, 0, 0, 0, ?, ?)",
                (site, epoch, status.st_dev, status.st_ino),
            )
        finally:
            connection.close()
        sync_file(fresh)
        os.rename(fresh, path)
        sync_folder(path.parent)


def upgrade(path: Path, migrations: Sequence[Migration], vfs: str | None = None) -> Path | None:
    """
    Bring an existing database to the newest version, after making a copy of it.

    Returns the path of the copy, which stays; None if there was nothing to do.

    :raises StoreTooNew: a newer server wrote the file, and this one would damage it: upgrade the
        server.
    :raises StoreCorrupt: the file is not a database of this server.
    :raises StoreError: it cannot be read or written; the database is as it was.
    """
    newest = migrations[-1].version
    with translating(str(path)):
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE, vfs=vfs)
        try:
            version, compat = versions(connection, path)
            if compat > newest:
                raise StoreTooNew(str(path), compat, newest)
            if version >= newest:
                return None
            copy = path.with_name(f"{path.name}.before-v{newest}")
            copy_file(connection, copy)
            connection.execute("PRAGMA synchronous = FULL")
            _apply(connection, [step for step in migrations if step.version > version])
        finally:
            connection.close()
    return copy


def versions(connection: apsw.Connection, path: Path) -> tuple[int, int]:
    """
    Return (schema version, compatibility version) of an open file.

    A server can read the file if it knows the compatibility version.

    :raises StoreCorrupt: the file is not a database of this server.
    """
    if connection.pragma("application_id") != APPLICATION_ID:
        raise StoreCorrupt(str(path), "not a database of this server")
    version = connection.pragma("user_version")
    compat = connection.execute("SELECT compat FROM format").get
    assert isinstance(version, int)
    assert isinstance(compat, int)
    return version, compat


def copy_file(source: apsw.Connection, target: Path) -> None:
    """
    Copy a database, as it is at this moment, to a new durable file; other writers go on.

    :raises apsw.Error, OSError: a ``.partial`` file may be left, which the next copy deletes.
    """
    partial = target.with_name(target.name + ".partial")
    for leftover in (partial, *sidecars(partial)):
        leftover.unlink(missing_ok=True)
    # In one step, so under one read lock: writers go on, and the copy need not start again.
    copy_pages(source, partial, -1)
    for sidecar in sidecars(partial):
        sidecar.unlink(missing_ok=True)
    sync_file(partial)
    os.rename(partial, target)
    sync_folder(target.parent)


def copy_pages(source: apsw.Connection, path: Path, step: int) -> None:
    """
    Copy the pages of a database to a new file, which others than its owner cannot read.

    :param step: pages copied at a time, between which the process can be ended; -1: all at once.
    """
    make_private(path)
    destination = apsw.Connection(str(path))
    try:
        with destination.backup("main", source, "main") as pages:
            while not pages.done:
                pages.step(step)
    finally:
        destination.close(True)


def _apply(connection: apsw.Connection, steps: Sequence[Migration]) -> None:
    for step in steps:
        connection.execute("BEGIN IMMEDIATE")
        try:
            connection.execute("CREATE TABLE IF NOT EXISTS format (compat INTEGER NOT NULL)")
            connection.execute(step.text)
            connection.execute("DELETE FROM format")
            connection.execute("INSERT INTO format VALUES (?)", (step.compat,))
            connection.execute(f"PRAGMA user_version = {step.version}")
            connection.execute("COMMIT")
        except BaseException:
            # SQLite may have rolled the transaction back on its own.
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

# SPDX-License-Identifier: Apache-2.0
"""Connections to one SQLite file, and the translation of SQLite's errors into the store's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw
from twisted.logger import Logger

from edge_twisted.store.errors import (
    ReadCancelled,
    StoreCorrupt,
    StoreError,
    StoreFull,
    StoreIOError,
    StoreReadOnly,
    of_os_error,
)

log = Logger()

#: Page caches of the writer and of each reader.  The system's cache has the other pages.  Twice as
#: much made no measurable difference, and a server should stay under 150 MiB.
WRITER_CACHE_KIB = 16 * 1024
READER_CACHE_KIB = 4 * 1024
#: Prepared statements kept per connection: a few dozen of the store, and those of prefilters.
STATEMENT_CACHE = 200
#: Another process (backup, check) may hold a lock for an instant.
BUSY_MILLISECONDS = 5_000

#: A commit is on disk when it is answered; nothing temporary touches the disk.
WRITER_PRAGMAS = f"""
    PRAGMA synchronous = FULL;
    PRAGMA wal_autocheckpoint = 0;
    PRAGMA temp_store = MEMORY;
    PRAGMA cache_size = -{WRITER_CACHE_KIB};
    PRAGMA cell_size_check = ON;
    PRAGMA trusted_schema = OFF;
    PRAGMA journal_size_limit = {64 << 20};
"""
READER_PRAGMAS = f"""
    PRAGMA query_only = ON;
    PRAGMA temp_store = MEMORY;
    PRAGMA cache_size = -{READER_CACHE_KIB};
    PRAGMA cell_size_check = ON;
    PRAGMA trusted_schema = OFF;
"""

_TRANSLATIONS: tuple[tuple[type[apsw.Error], type[StoreError]], ...] = (
    (apsw.InterruptError, ReadCancelled),
    (apsw.FullError, StoreFull),
    (apsw.ReadOnlyError, StoreReadOnly),
    (apsw.PermissionsError, StoreReadOnly),
    (apsw.CantOpenError, StoreReadOnly),
    (apsw.CorruptError, StoreCorrupt),
    (apsw.NotADBError, StoreCorrupt),
    (apsw.IOError, StoreIOError),
)


def library_version() -> str:
    """Return the version of the SQLite library, such as "3.46.1"."""
    return apsw.sqlite_lib_version()


#: What reading a row raises if damage makes the row unreadable; other errors raise these too.
UNREADABLE = (apsw.Error, UnicodeDecodeError)


def is_unreadable(error: Exception) -> bool:
    """
    Return whether an error comes from the damaged content of a row, not from SQLite's pages.

    Its JSONB cannot be written as text, or a text column is not UTF-8.
    """
    return isinstance(error, UnicodeDecodeError) or "malformed JSON" in str(error)


def translated(what: str, error: apsw.Error | UnicodeDecodeError) -> StoreError:
    """Return (not raise) the store's error for one of SQLite's; `what` names the work in it."""
    if is_unreadable(error):
        return StoreCorrupt(what, "a stored document is damaged")
    for theirs, ours in _TRANSLATIONS:
        if isinstance(error, theirs):
            return ours(what, str(error))
    return StoreError(what, f"{type(error).__name__}: {error}")


@contextmanager
def translating(what: str) -> Iterator[None]:
    """
    Turn errors of SQLite and of the system inside the block into a `StoreError`.

    :param what: names the work in the message.
    """
    try:
        yield
    except apsw.Error as error:
        raise translated(what, error) from error
    except OSError as error:
        raise of_os_error(what, error) from error


def fetch(connection: apsw.Connection, sql: str, bindings: Sequence[Any] = ()) -> list[Any]:
    """
    Run a statement; return all its rows, as tuples of the columns that it selects.

    :raises apsw.Error: SQLite could not; for a block of `translating`.
    """
    return connection.execute(sql, bindings).fetchall()


def open_writer(path: Path, vfs: str | None = None) -> apsw.Connection:
    """
    Open a connection that writes, with `WRITER_PRAGMAS`; the file must exist.

    :raises apsw.Error: the file cannot be opened; for a block of `translating`.
    """
    connection = _open(path, apsw.SQLITE_OPEN_READWRITE, vfs)
    # All rows: a statement that yields one would otherwise be the last to be run.
    connection.execute(WRITER_PRAGMAS).fetchall()
    return connection


def open_reader(path: Path, vfs: str | None = None) -> apsw.Connection:
    """
    Open a connection that can only read, with `READER_PRAGMAS`; the file must exist.

    :raises apsw.Error: the file cannot be opened; for a block of `translating`.
    """
    # Not SQLITE_OPEN_READONLY: a reader must be able to make the shared-memory file of the WAL.
    connection = _open(path, apsw.SQLITE_OPEN_READWRITE, vfs)
    connection.execute(READER_PRAGMAS).fetchall()
    return connection


def close(connection: apsw.Connection) -> None:
    """
    Close a connection; log an error of the disk instead of raising it.

    The last connection copies the write-ahead log into the file.  If the disk refuses, the log
    stays, and the next opening reads it.
    """
    try:
        connection.close(True)
    except apsw.Error as error:
        log.warn("A connection to the store was closed, but: {error}", error=str(error))


def _open(path: Path, flags: int, vfs: str | None) -> apsw.Connection:
    connection = apsw.Connection(
        str(path), flags=flags, vfs=vfs, statementcachesize=STATEMENT_CACHE
    )
    connection.set_busy_timeout(BUSY_MILLISECONDS)
    return connection

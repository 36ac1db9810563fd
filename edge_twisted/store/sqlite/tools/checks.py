# SPDX-License-Identifier: Apache-2.0
"""
The check of a database: every invariant between tables, and between tables and disk.

A check reads one snapshot, and may run beside a server.  It describes each problem, and marks the
problems that `edge_twisted.store.sqlite.tools.repair` can mend from the other data.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import apsw

from edge_twisted.store.blobs.folder import BlobFolder, verify
from edge_twisted.store.blobs.ledger import SPACE, BlobBooking
from edge_twisted.store.errors import StoreError, shown_id
from edge_twisted.store.sqlite.connection import fetch, open_reader, translating
from edge_twisted.store.sqlite.files import Layout
from edge_twisted.store.sqlite.migrations import shipped_migrations, versions
from edge_twisted.store.sqlite.rowids import collection_of
from edge_twisted.store.sqlite.state import WriterState
from edge_twisted.store.sqlite.tools.document_checks import CollectionCheck
from edge_twisted.store.sqlite.tools.problems import Mend, StoreProblem

#: Most messages that SQLite's own check yields: the first lines tell what is wrong.
_MOST_MESSAGES = 20


def check(layout: Layout) -> list[StoreProblem]:
    """
    Return the problems of a database; an empty list if there are none.

    Blocks, for minutes with a million documents.

    :raises StoreError: the database cannot be read at all.
    """
    path = layout.database
    if not path.is_file():
        raise StoreError(str(path), "there is no database")
    with translating(str(path)):
        connection = open_reader(path)
        try:
            connection.execute("BEGIN")
            return list(check_connection(connection, layout))
        finally:
            connection.close(True)


def check_connection(connection: apsw.Connection, layout: Layout) -> Iterator[StoreProblem]:
    """
    Yield the problems of a database; if SQLite's own check finds some, these alone.

    :param connection: in a transaction, so that all checks see the same state.
    :raises StoreError: the file has the format of another version.
    """
    version, _ = versions(connection, layout.database)
    newest = shipped_migrations()[-1].version
    if version != newest:
        raise StoreError(
            str(layout.database), f"its format is version {version}, not {newest}: start it once"
        )
    damaged = list(_integrity(connection))
    yield from damaged
    if damaged:
        # Rows and indexes may contradict each other, so what follows would only be noise.
        return
    state = WriterState.load(connection)
    for collection in state.collections.values():
        yield from CollectionCheck(connection, state, collection).problems()
    yield from _strangers(connection, {each.number for each in state.collections.values()})
    yield from _quarantine(connection, state)
    yield from _indexes(connection, state)
    yield from _mentions(connection)
    yield from _blobs(connection, BlobFolder(layout.attachments))


def _integrity(connection: apsw.Connection) -> Iterator[StoreProblem]:
    for (message,) in fetch(connection, f"PRAGMA integrity_check({_MOST_MESSAGES})"):
        if message != "ok":
            lost_index = "index" in message
            mend = Mend.REINDEX if lost_index else None
            yield StoreProblem(f"SQLite finds: {message}", mend=mend)


def _strangers(connection: apsw.Connection, known: set[int]) -> Iterator[StoreProblem]:
    for number, count in fetch(
        connection, "SELECT collection, count(*) FROM documents GROUP BY collection"
    ):
        if number not in known:
            yield StoreProblem(
                f"{count} documents belong to collection number {number}, which is gone"
            )


def _quarantine(connection: apsw.Connection, state: WriterState) -> Iterator[StoreProblem]:
    names = {each.number: each.name for each in state.collections.values()}
    for number, id_key, found in fetch(
        connection, "SELECT collection, id, found FROM quarantine ORDER BY row"
    ):
        since = datetime.fromtimestamp(found / 1000, UTC).isoformat(timespec="seconds")
        yield StoreProblem(
            f"it was found damaged at {since} and is kept in quarantine",
            collection=names.get(number, f"number {number}"),
            id=shown_id(id_key),
            is_kept=True,
        )


def _indexes(connection: apsw.Connection, state: WriterState) -> Iterator[StoreProblem]:
    known = {number for (number,) in fetch(connection, "SELECT number FROM indexes")}
    for number, count in fetch(connection, "SELECT number, count(*) FROM entries GROUP BY number"):
        if number not in known:
            yield StoreProblem(
                f"{count} entries belong to index number {number}, which is gone",
                mend=Mend.ENTRIES,
                target=number,
            )
    owners = {each.number for each in state.collections.values()}
    for name, collection in fetch(
        connection, "SELECT name, collection FROM indexes WHERE NOT dropped"
    ):
        if collection not in owners:
            yield StoreProblem(f"index {name} is on collection number {collection}, which is gone")


def _mentions(connection: apsw.Connection) -> Iterator[StoreProblem]:
    for attachment, row in fetch(
        connection,
        "SELECT attachment, row FROM mentions WHERE row NOT IN (SELECT row FROM documents)"
        " AND row NOT IN (SELECT row FROM quarantine)",
    ):
        yield StoreProblem(
            f"attachment {attachment} is kept for row {row}, which is gone"
            f" (collection number {collection_of(row)})",
            mend=Mend.MENTIONS,
            target=row,
        )


def _blobs(connection: apsw.Connection, folder: BlobFolder) -> Iterator[StoreProblem]:
    on_disk = {info.id: info.length for info in folder.complete()}
    for key, value in fetch(connection, "SELECT key, value FROM facts WHERE space = ?", (SPACE,)):
        name = bytes(key).decode("ascii", "replace")
        try:
            length = BlobBooking.decoded(value).length
        except Exception:  # the boundary to damaged bytes: anything may come of them
            yield StoreProblem(
                f"what is known of attachment {name} cannot be read", mend=Mend.FACT, target=key
            )
            continue
        if name not in on_disk:
            yield StoreProblem(f"the file of attachment {name} is gone", mend=Mend.FACT, target=key)
        elif on_disk[name] != length:
            yield StoreProblem(f"attachment {name} has {on_disk[name]} bytes on disk, not {length}")
    for name in folder.in_quarantine():
        yield StoreProblem(
            f"attachment {name} was found damaged and is kept in quarantine", is_kept=True
        )
    for name in on_disk:
        yield from _verified(folder.path(name), name)


def _verified(path: Path, name: str) -> Iterator[StoreProblem]:
    try:
        verify(path, name)
    except StoreError as error:
        # Deleted by a server that runs meanwhile: then it is no damage.
        if path.exists():
            yield StoreProblem(str(error))

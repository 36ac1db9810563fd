# SPDX-License-Identifier: Apache-2.0
"""
The repair of a database: makes damaged parts again that follow from the other parts.

Documents and their merge states are the truth; totals, index entries, mentions and digests are
derived from them.  A damaged document or state stays as it is, to be restored or discarded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import apsw

from edge_twisted.documents.attachments import tokens_in
from edge_twisted.documents.digest import digest
from edge_twisted.documents.encoding import decode
from edge_twisted.documents.json_text import from_text, is_literal, to_text
from edge_twisted.documents.state import DocumentState
from edge_twisted.documents.values import Value
from edge_twisted.store.blobs.folder import BlobFolder
from edge_twisted.store.blobs.ledger import SPACE
from edge_twisted.store.sqlite import selection
from edge_twisted.store.sqlite.connection import open_writer, translating
from edge_twisted.store.sqlite.files import FolderLock, Layout
from edge_twisted.store.sqlite.rowids import live_rows
from edge_twisted.store.sqlite.state import signed
from edge_twisted.store.sqlite.tools.checks import check_connection
from edge_twisted.store.sqlite.tools.problems import Mend, StoreProblem

#: Rounds of check and repair: SQLite's indexes, then documents, then totals of documents.
_ROUNDS = 4

_DOCUMENT = f"SELECT id, {selection.TEXT}, state FROM documents WHERE row = ?"


def repair(layout: Layout) -> tuple[list[StoreProblem], list[StoreProblem]]:
    """
    Repair a database in one transaction; return the mended problems and the remaining ones.

    Blocks, for minutes with a million documents.

    :raises DirectoryLocked: a server uses the folder.
    :raises StoreError: the database cannot be read or written.
    """
    with _writing(layout) as connection:
        connection.execute("BEGIN IMMEDIATE")
        found = _rounds(connection, layout)
        connection.execute("COMMIT")
        return found


def discard_damaged(layout: Layout) -> int:
    """
    Delete everything in quarantine; return the number of documents and blobs.

    :raises DirectoryLocked: a server uses the folder.
    :raises StoreError: the database cannot be read or written.
    """
    with _writing(layout) as connection:
        with connection:
            connection.execute("DELETE FROM mentions WHERE row IN (SELECT row FROM quarantine)")
            connection.execute("DELETE FROM quarantine")
            count = connection.changes()
        folder = BlobFolder(layout.attachments)
        for attachment in folder.in_quarantine():
            folder.forget_damaged(attachment)
            count += 1
        return count


@contextmanager
def _writing(layout: Layout) -> Iterator[apsw.Connection]:
    """Hold the lock on the folder, and a connection that writes, while the block runs."""
    lock = FolderLock.take(layout)
    try:
        with translating(str(layout.database)):
            connection = open_writer(layout.database)
            try:
                yield connection
            finally:
                connection.close(True)
    finally:
        lock.release()


def _rounds(
    connection: apsw.Connection, layout: Layout
) -> tuple[list[StoreProblem], list[StoreProblem]]:
    mended: list[StoreProblem] = []
    for _ in range(_ROUNDS):
        found = list(check_connection(connection, layout))
        work = [each for each in found if each.mend is not None and each not in mended]
        if not work:
            break
        _mend(connection, work)
        mended.extend(work)
    left = list(check_connection(connection, layout))
    return [each for each in mended if each not in left], left


def _mend(connection: apsw.Connection, work: Sequence[StoreProblem]) -> None:
    done: set[tuple[Mend, object]] = set()
    for each in work:
        mend, target = each.mend, each.target
        assert mend is not None
        if (mend, target) in done:
            continue
        done.add((mend, target))
        if mend is Mend.REINDEX:
            connection.execute("REINDEX")
        elif mend is Mend.PROGRESS:
            _progress(connection)
        elif mend is Mend.FACT:
            connection.execute("DELETE FROM facts WHERE space = ? AND key = ?", (SPACE, target))
        else:
            assert isinstance(target, int)
            _BY_NUMBER[mend](connection, target)


def _totals(connection: apsw.Connection, collection: int) -> None:
    live = total = combined = 0
    for (each,) in connection.execute(
        "SELECT digest FROM documents WHERE collection = ? AND body IS NOT NULL", (collection,)
    ):
        live += 1
        total += each
        combined ^= each
    connection.execute(
        "UPDATE collections SET live = ?, digest_sum = ?, digest_xor = ? WHERE number = ?",
        (live, signed(total), signed(combined), collection),
    )


def _entries(connection: apsw.Connection, index: int) -> None:
    connection.execute("DELETE FROM entries WHERE number = ?", (index,))
    owner = connection.execute("SELECT collection FROM indexes WHERE number = ?", (index,)).get
    if owner is not None:
        # The next start builds the index, because its progress says that it is not complete.
        connection.execute(
            "UPDATE indexes SET progress = ?, exact = 1 WHERE number = ?",
            (live_rows(owner)[0] - 1, index),
        )


def _mentions(connection: apsw.Connection, row: int) -> None:
    connection.execute("DELETE FROM mentions WHERE row = ?", (row,))
    found = connection.execute(_DOCUMENT, (row,)).get
    names = set(tokens_in(from_text(found[1]))) if found is not None and found[1] else set()
    connection.executemany(
        "INSERT INTO mentions (attachment, row) VALUES (?, ?)", [(name, row) for name in names]
    )
    connection.execute("UPDATE documents SET attachments = ? WHERE row = ?", (len(names), row))


def _body(connection: apsw.Connection, row: int) -> None:
    _, document, state = _document(connection, row)
    assert document is not None
    text = to_text({**(state.fields or {}), "_id": document["_id"]})
    connection.execute(
        "UPDATE documents SET literal = ?, body = jsonb(?) WHERE row = ?",
        (is_literal(text), text.decode(), row),
    )


def _digest(connection: apsw.Connection, row: int) -> None:
    id_key, _, state = _document(connection, row)
    connection.execute(
        "UPDATE documents SET digest = ? WHERE row = ?", (digest(id_key, state.version), row)
    )


def _document(
    connection: apsw.Connection, row: int
) -> tuple[bytes, dict[str, Value] | None, DocumentState]:
    id_key, body, state = connection.execute(_DOCUMENT, (row,)).get
    document = None if body is None else from_text(body)
    fields = document and {name: value for name, value in document.items() if name != "_id"}
    return id_key, document, decode(state, fields)


def _progress(connection: apsw.Connection) -> None:
    connection.execute(
        "UPDATE collections SET lsn = max(lsn, reaped_lsn, coalesce((SELECT max(lsn)"
        " FROM documents WHERE collection = number), 0))"
    )
    connection.execute(
        "UPDATE site SET lsn = max(lsn, coalesce((SELECT max(lsn) FROM collections), 0))"
    )


def _sequence(connection: apsw.Connection, greatest: int) -> None:
    # More writes than these may be lost.  As a new replica, the server gives no number twice.
    connection.execute(
        "UPDATE site SET sequence = max(sequence, ?), device = NULL, inode = NULL", (greatest,)
    )


_BY_NUMBER = {
    Mend.TOTALS: _totals,
    Mend.ENTRIES: _entries,
    Mend.MENTIONS: _mentions,
    Mend.BODY: _body,
    Mend.DIGEST: _digest,
    Mend.SEQUENCE: _sequence,
}

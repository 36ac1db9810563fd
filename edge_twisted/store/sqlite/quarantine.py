# SPDX-License-Identifier: Apache-2.0
"""
Quarantine: takes damaged documents out of queries, totals, indexes and the mesh, and keeps them.

A unit of work moves the row as it is to the table `quarantine`.  Within the unit, hooks note that
the document is unknown here, not deleted: so a peer sends the document again, and is not told that
it is gone.  The damaged bytes are forgotten when the whole document is back.
"""

from __future__ import annotations

from contextlib import suppress
from typing import NamedTuple

import apsw
from twisted.logger import Logger

from edge_twisted.documents.digest import digest
from edge_twisted.documents.encoding import CorruptState
from edge_twisted.documents.headers import read_header
from edge_twisted.documents.ids import DocumentId
from edge_twisted.documents.json_text import InvalidJson, from_text
from edge_twisted.errors import EdgeError
from edge_twisted.store.errors import shown_id
from edge_twisted.store.hooks import RemovalHooks
from edge_twisted.store.keys import KEY_LIMIT_BYTES, entry
from edge_twisted.store.rows import StoredDocument
from edge_twisted.store.sqlite import selection
from edge_twisted.store.sqlite.checksums import is_body_whole, is_state_whole
from edge_twisted.store.sqlite.connection import fetch, is_unreadable
from edge_twisted.store.sqlite.group import DirectUnit
from edge_twisted.store.sqlite.rowids import dead_rows, live_rows
from edge_twisted.store.sqlite.state import CollectionState, QuarantinedRow

log = Logger()

#: Columns of a row with its body as text, and without the body where SQLite cannot read it.  A
#: column whose type was damaged reads as NULL.
COLUMNS = (
    "row, CAST(id AS BLOB), lsn, iif(typeof(digest) = 'integer', digest, NULL),"
    f" {selection.TEXT}, iif(typeof(state) = 'blob', state, NULL),"
    " iif(typeof(checksum) IN ('integer', 'null'), checksum, 0)"
)
COLUMNS_WITHOUT_TEXT = COLUMNS.replace(selection.TEXT, "NULL")
_MOVED = "row, collection, id, lsn, attachments, received, literal, body, state, checksum"


class StoredRow(NamedTuple):
    """A row of documents; a damaged column may be None against its type."""

    row: int
    id_key: bytes
    lsn: int
    digest: int
    body: bytes | None
    state: bytes
    checksum: int | None
    #: Whether SQLite could write the body as text; if not, `body` is None.
    is_readable: bool = True

    @property
    def is_damaged(self) -> bool:
        """Whether the row is not what was written, as far as that can be told."""
        if not self.is_readable:
            return True
        try:
            if self.checksum is not None:
                return not (
                    is_body_whole(self.checksum, self.id_key, self.body) and self.is_state_whole
                )
            # Written before there were checksums: damaged only if it cannot be decoded.
            if self.body is not None:
                from_text(self.body)
            read_header(self.state)
        except (CorruptState, InvalidJson, TypeError, ValueError):
            return True
        return False

    @property
    def is_state_whole(self) -> bool:
        """Whether digest and merge state are what was written."""
        return is_state_whole(self.checksum, self.digest, self.state)


def read_row(connection: apsw.Connection, row: int) -> StoredRow | None:
    """
    Return a row of the table `documents` by its number; None if there is no such row.

    :raises apsw.Error: SQLite cannot read the row at all; a damaged text alone raises nothing.
    """
    where = "FROM documents WHERE row = ?"
    try:
        found = connection.execute(f"SELECT {COLUMNS} {where}", (row,)).get
    except apsw.Error as error:
        if not is_unreadable(error):
            raise
        found = connection.execute(f"SELECT {COLUMNS_WITHOUT_TEXT} {where}", (row,)).get
        return None if found is None else StoredRow(*found)._replace(is_readable=False)
    return None if found is None else StoredRow(*found)


class QuarantineMove:
    """
    A unit of work that moves one document into quarantine, if the document is damaged.

    Returns False if the document is damaged and has to stay, because there are no hooks.

    :param hooks: told of the document, whose state and text may be damaged, before it goes.
    """

    def __init__(self, collection: str, id_key: bytes, hooks: RemovalHooks) -> None:
        self._collection = collection
        self._id_key = id_key
        self._hooks = hooks

    def __call__(self, unit: DirectUnit) -> bool:
        here = unit.state.collections.get(self._collection)
        if here is None:
            return True
        connection = unit.direct()
        stored = _find(connection, here, self._id_key)
        if stored is None or not stored.is_damaged:
            return True
        found = _with_true_digest(_with_true_id(stored, self._id_key))
        if stored.id_key != found.id_key:
            _mend_id(connection, found)
        if not found.is_damaged:
            # Only the digest or the id was damaged, and both follow from the rest.
            connection.execute(
                "UPDATE documents SET digest = ? WHERE row = ?", (found.digest, found.row)
            )
            return True
        if not self._hooks:
            # Without a note of the move, peers would be told that the document is gone.
            return False
        _move(unit, here, found, self._hooks)
        return True


def _find(connection: apsw.Connection, here: CollectionState, id_key: bytes) -> StoredRow | None:
    """Return the row of a document by its id key, or by the damaged id key in the row itself."""
    for source, span in (("documents", ()), ("documents NOT INDEXED", _rows_of(here))):
        within = " AND row BETWEEN ? AND ?" if span else ""
        rows = fetch(
            connection,
            f"SELECT row FROM {source} WHERE collection = ? AND id = ?{within}",
            (here.number, id_key, *span),
        )
        if rows:
            return read_row(connection, rows[0][0])
    return None


def _rows_of(here: CollectionState) -> tuple[int, int]:
    return live_rows(here.number)[0], dead_rows(here.number)[1]


def _with_true_id(found: StoredRow, asked: bytes) -> StoredRow:
    """Return the row with the id that fits its checksum: stored, asked for, or in its text."""
    candidates = [found.id_key, asked]
    with suppress(InvalidJson, EdgeError, KeyError, TypeError, AttributeError):
        candidates.append(DocumentId.of(from_text(found.body or b"{}")["_id"]).key)
    for id_key in candidates:
        if is_body_whole(found.checksum, id_key, found.body):
            return found._replace(id_key=id_key)
    return found._replace(id_key=asked)


def _mend_id(connection: apsw.Connection, found: StoredRow) -> None:
    """Give a row its id back, under which the index still has the row."""
    # Otherwise SQLite refuses, because the index lacks the entry of the damaged id.
    connection.execute("PRAGMA writable_schema = ON")
    try:
        connection.execute("UPDATE documents SET id = ? WHERE row = ?", (found.id_key, found.row))
    finally:
        connection.execute("PRAGMA writable_schema = OFF")


def _with_true_digest(found: StoredRow) -> StoredRow:
    """Return the row with the digest of its version, if its checksum says that this was it."""
    try:
        number = digest(found.id_key, read_header(found.state).version)
    except (CorruptState, TypeError):
        return found
    mended = found._replace(digest=number)
    return mended if mended.is_state_whole else found


def _move(unit: DirectUnit, here: CollectionState, found: StoredRow, hooks: RemovalHooks) -> None:
    document = StoredDocument(found.id_key, found.lsn, found.body, found.state, found.digest)
    hooks.call(unit, here.name, [document])
    forget(unit, here.name, found.id_key)
    connection = unit.direct()
    connection.execute(
        f"INSERT INTO quarantine ({_MOVED}, digest, found) SELECT {_MOVED}, ?, ? FROM documents"
        " WHERE row = ?",
        (found.digest, unit.now_ms(), found.row),
    )
    _forget_entries(connection, here, found)
    connection.execute("DELETE FROM documents WHERE row = ?", (found.row,))
    unit.changes(here)
    first, last = live_rows(here.number)
    if not found.is_state_whole:
        # The digest that the totals contain is unknown: recount all other documents.
        _recount(connection, here)
    elif first <= found.row <= last:
        here.count(found.digest, -1)
    place, state = (here.number, found.id_key), unit.state
    state.quarantined[place] = QuarantinedRow(found.row, found.digest)
    unit.on_undo(lambda: state.quarantined.pop(place, None) and None)
    unit.after_commit(lambda: _say(here.name, found.id_key))


def _say(collection: str, id_key: bytes) -> None:
    log.error(
        "Document {document} of collection {collection} is damaged: it is kept in quarantine until"
        " a peer sends it again",
        document=shown_id(id_key),
        collection=collection,
    )


def _forget_entries(connection: apsw.Connection, here: CollectionState, found: StoredRow) -> None:
    """Delete the index entries of a row; search an index that lacks the expected entry."""
    try:
        document = from_text(found.body or b"null")
    except InvalidJson:
        document = None
    for index in here.indexes:
        key = entry(index.definition, document) if isinstance(document, dict) else None
        if key is not None:
            connection.execute(
                "DELETE FROM entries WHERE number = ? AND key = ? AND row = ?",
                (index.number, key[:KEY_LIMIT_BYTES], found.row),
            )
            if connection.changes():
                continue
        connection.execute(
            "DELETE FROM entries WHERE number = ? AND row = ?", (index.number, found.row)
        )


def _recount(connection: apsw.Connection, here: CollectionState) -> None:
    here.live = here.digest_sum = here.digest_xor = 0
    for (number,) in connection.execute(
        "SELECT digest FROM documents WHERE row BETWEEN ? AND ?", live_rows(here.number)
    ):
        here.count(number, 1)


def forget(unit: DirectUnit, collection: str, id_key: bytes) -> None:
    """Delete the bytes that quarantine keeps of a document, if it keeps any."""
    here, state = unit.state.collections.get(collection), unit.state
    if here is None:
        return
    place = (here.number, id_key)
    kept = state.quarantined.get(place)
    if kept is None:
        return
    connection = unit.direct()
    connection.execute("DELETE FROM quarantine WHERE collection = ? AND id = ?", place)
    connection.execute("DELETE FROM mentions WHERE row = ?", (kept.row,))
    del state.quarantined[place]
    unit.on_undo(lambda: state.quarantined.update({place: kept}))

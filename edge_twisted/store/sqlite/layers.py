# SPDX-License-Identifier: Apache-2.0
"""
Layers: writes that wait in memory, and reach the file in few statements of many rows.

A statement per document would hand the interpreter lock over per document (see
`edge_twisted.store.threads`), and a savepoint per unit of work would copy every page that the unit
touches.  So units write into layers: a unit's own, dropped if the unit fails, then the group's,
which is written in statements of many rows when the physical transaction ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain

import apsw
from attrs import define

from edge_twisted.documents.json_text import is_literal
from edge_twisted.store.sqlite.checksums import checksum_of

#: Index entries of one document: (index number, cut key).
Entries = Sequence[tuple[int, bytes]]
Binding = str | bytes | int | None

#: Of a document that no index has.
NO_ENTRIES: Entries = ()
#: The first half of a `PendingRow` whose document is new: row, entries, whether it has mentions.
NOT_STORED: tuple[int | None, Entries, bool] = (None, NO_ENTRIES, False)

#: A layer this big is written before the transaction ends, so that memory stays bounded.
LAYER_ROWS = 2_000
LAYER_BYTES = 4 << 20

#: How many rows one statement takes; each size is a statement of its own, prepared once.
_ROW_COUNTS = (64, 32, 16, 8, 4, 2, 1)


@define(eq=False)
class PendingRow:
    """
    One document: what the file has of it (`stored_*`), and what the file will have.

    `row` None: the document will be gone.  A document that was only read has equal halves.
    """

    collection: int
    id_key: bytes
    stored_row: int | None
    stored_entries: Entries | None
    stored_mentions: bool
    row: int | None
    lsn: int = 0
    digest: int = 0
    received: int | None = None
    body: bytes | None = None
    state: bytes = b""
    attachments: Sequence[str] = ()
    entries: Entries = ()

    @property
    def live(self) -> bool:
        """Whether this is, or will be, a document that queries see."""
        return self.body is not None


class Layer:
    """Documents by (collection number, id key), and facts by (space, key); later ones win."""

    # Written out, not by attrs: one is made for every unit of work, and this takes half the time.
    __slots__ = ("documents", "facts", "size")

    def __init__(self) -> None:
        self.documents: dict[tuple[int, bytes], PendingRow] = {}
        self.facts: dict[tuple[str, bytes], bytes | None] = {}
        #: Bytes of bodies and states, to know when a layer has grown too big.
        self.size = 0

    @property
    def is_big(self) -> bool:
        """Whether the layer must be written before it grows any further."""
        return self.size > LAYER_BYTES or len(self.documents) + len(self.facts) > LAYER_ROWS

    def put(self, row: PendingRow) -> None:
        """Set what becomes of a document, in place of what the layer had of it."""
        body = row.body
        self.documents[row.collection, row.id_key] = row
        self.size += len(row.state) if body is None else len(row.state) + len(body)

    def take(self, other: Layer) -> None:
        """Add all of another layer to this one; where both have a place, the other one wins."""
        self.documents.update(other.documents)
        if other.facts:
            self.facts.update(other.facts)
        self.size += other.size

    def settle_on(self, below: Layer) -> None:
        """
        Note for each document here what the layer `below` has of it as stored in the file.

        For that layer is about to be written.
        """
        for place in self.documents.keys() & below.documents.keys():
            row, before = self.documents[place], below.documents[place]
            row.stored_row = before.row
            row.stored_entries = before.entries
            row.stored_mentions = bool(before.attachments)

    def clear(self) -> None:
        """Remove all documents and facts from the layer."""
        self.documents.clear()
        self.facts.clear()
        self.size = 0

    def __bool__(self) -> bool:
        return bool(self.documents or self.facts)


def flush(connection: apsw.Connection, layer: Layer) -> None:
    """
    Write a layer into the open transaction in few statements, and empty it.

    :raises apsw.Error: the transaction has to be rolled back.
    """
    if layer.documents:
        _flush_documents(connection, layer.documents.values())
    if layer.facts:
        _flush_facts(connection, layer.facts)
    layer.clear()


def _flush_documents(connection: apsw.Connection, rows: Iterable[PendingRow]) -> None:
    gone: list[tuple[int]] = []
    unmentioned: list[tuple[int]] = []
    stale_entries: list[tuple[int, bytes, int]] = []
    fresh: list[Sequence[Binding]] = []
    changed: list[Sequence[Binding]] = []
    entries: list[Sequence[Binding]] = []
    mentions: list[Sequence[Binding]] = []
    for row in rows:
        old, new = row.stored_row, row.row
        if old is not None:
            if old != new:
                gone.append((old,))
            if row.stored_mentions:
                unmentioned.append((old,))
            for number, key in row.stored_entries or ():
                if old != new or (number, key) not in row.entries:
                    stale_entries.append((number, key, old))
        if new is not None:
            (changed if old == new else fresh).append(_bindings(row, new))
            if row.entries:
                entries.extend([(number, key, new) for number, key in row.entries])
            if row.attachments:
                mentions.extend([(name, new) for name in row.attachments])
    many = connection.executemany
    if stale_entries:
        many("DELETE FROM entries WHERE number = ? AND key = ? AND row = ?", stale_entries)
    if unmentioned:
        many("DELETE FROM mentions WHERE row = ?", unmentioned)
    if gone:
        many("DELETE FROM documents WHERE row = ?", gone)
    insert_many(connection, _ADD_DOCUMENTS, fresh)
    insert_many(connection, _PUT_DOCUMENTS, changed)
    insert_many(connection, _PUT_ENTRIES, entries)
    insert_many(connection, _PUT_MENTIONS, mentions)


def _bindings(row: PendingRow, number: int) -> Sequence[Binding]:
    body = row.body
    return (
        number,
        row.collection,
        row.id_key,
        row.lsn,
        row.digest,
        len(row.attachments),
        row.received,
        body is None or is_literal(body),
        None if body is None else body.decode(),
        row.state,
        checksum_of(row.id_key, row.digest, body, row.state),
    )


def _flush_facts(connection: apsw.Connection, facts: dict[tuple[str, bytes], bytes | None]) -> None:
    forgotten = [place for place, value in facts.items() if value is None]
    if forgotten:
        connection.executemany("DELETE FROM facts WHERE space = ? AND key = ?", forgotten)
    kept = [(*place, value) for place, value in facts.items() if value is not None]
    insert_many(connection, _PUT_FACTS, kept)


def _statements(before: str, row: str, after: str = "") -> dict[int, str]:
    return {count: before + ", ".join([row] * count) + after for count in _ROW_COUNTS}


_INTO_DOCUMENTS = (
    "INSERT INTO documents"
    " (row, collection, id, lsn, digest, attachments, received, literal, body, state, checksum)"
    " VALUES ",
    "(?, ?, ?, ?, ?, ?, ?, ?, jsonb(?), ?, ?)",
)
#: For rows whose number is new; the other form costs a quarter more.
_ADD_DOCUMENTS = _statements(*_INTO_DOCUMENTS)
_PUT_DOCUMENTS = _statements(
    *_INTO_DOCUMENTS,
    " ON CONFLICT (row) DO UPDATE SET lsn = excluded.lsn, digest = excluded.digest,"
    " attachments = excluded.attachments, received = excluded.received,"
    " literal = excluded.literal, body = excluded.body, state = excluded.state,"
    " checksum = excluded.checksum",
)
_PUT_ENTRIES = _statements("INSERT OR IGNORE INTO entries (number, key, row) VALUES ", "(?, ?, ?)")
_PUT_MENTIONS = _statements("INSERT OR IGNORE INTO mentions (attachment, row) VALUES ", "(?, ?)")
_PUT_FACTS = _statements("INSERT OR REPLACE INTO facts (space, key, value) VALUES ", "(?, ?, ?)")


def insert_many(
    connection: apsw.Connection, statements: dict[int, str], rows: Sequence[Sequence[Binding]]
) -> None:
    """
    Run an INSERT for all rows, in statements of up to 64 rows each.

    :param statements: number of rows -> the SQL for so many.
    :param rows: the bindings of each row.
    """
    begin = 0
    for count in _ROW_COUNTS:
        while len(rows) - begin >= count:
            chunk = rows[begin : begin + count]
            connection.execute(statements[count], tuple(chain.from_iterable(chunk)))
            begin += count


def insert_entries(connection: apsw.Connection, entries: Sequence[tuple[int, bytes, int]]) -> None:
    """Add (index number, cut key, row) to the secondary indexes; those there already stay."""
    insert_many(connection, _PUT_ENTRIES, entries)

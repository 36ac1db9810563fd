# SPDX-License-Identifier: Apache-2.0
"""Scans: statements that read many documents, and yield rows in batches of bounded size."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import chain, islice
from typing import Any

import apsw

from edge_twisted.documents.progress import current_listener
from edge_twisted.store.errors import ReadCancelled
from edge_twisted.store.fields import Fields
from edge_twisted.store.index_read import IndexRead
from edge_twisted.store.keys import cut
from edge_twisted.store.prefilter import Prefilter
from edge_twisted.store.rows import BodyRow, ByteRange, ReadLimit, ScanRow
from edge_twisted.store.sqlite.connection import UNREADABLE
from edge_twisted.store.sqlite.damage import DamageReporter
from edge_twisted.store.sqlite.rowids import live_rows
from edge_twisted.store.sqlite.selection import TEXT, RowSelection

#: SQL and its bindings.
Statement = tuple[str, Sequence[Any]]

#: Parts of the statement that reads the bodies of a span: what follows the selected columns, and
#: what follows the last condition; by (whether the span has no upper bound, whether descending).
# CROSS JOIN keeps the order of the tables: by the index first, then each row.
_BODIES = {
    (is_open, descending): (
        " FROM entries CROSS JOIN documents USING (row)"
        f" WHERE number = ? AND key >= ?{'' if is_open else ' AND key < ?'}",
        " ORDER BY key DESC, row DESC" if descending else " ORDER BY key, row",
    )
    for is_open in (False, True)
    for descending in (False, True)
}
#: The whole statements for plain bodies.  Passing the same string object each time lets apsw find
#: the prepared statement sooner than passing an equal string.
_PLAIN_BODIES = {form: f"SELECT {TEXT}{source}{order}" for form, (source, order) in _BODIES.items()}

#: Limits of one batch: a thread checks for cancellation between two batches, and memory holds one
#: batch of each scan.
_BATCH_BYTES = 256 * 1024
_BATCH_ROWS = 256
_FIRST_BATCH_ROWS = 8
#: Steps of SQLite between two calls of the progress handler: some milliseconds.
_LOOK_STEPS = 20_000


class Cursors:
    """
    The cursors of one snapshot: opens them, and closes those in use when the snapshot ends.

    :param what: names the read in errors.
    """

    def __init__(
        self,
        connection: apsw.Connection,
        what: str,
        cancelled: Callable[[], bool],
        damage: DamageReporter,
    ) -> None:
        self._connection = connection
        self._what = what
        self.damage = damage
        self._cancelled = cancelled
        self._open: set[apsw.Cursor] = set()
        #: Whether the listener of `edge_twisted.documents.progress` may interrupt SQLite.  False
        #: where the connection has another progress handler.
        self.may_be_ended = True
        #: Idle cursors, for reuse: making a cursor costs as much as reading a row or two.
        self._spare: list[apsw.Cursor] = []

    def check_cancelled(self) -> None:
        """Raise `ReadCancelled` if the caller has given up."""
        if self._cancelled():
            raise ReadCancelled(self._what)

    def close(self) -> None:
        """Close every cursor that is in use; iterators over them fail from now on."""
        for cursor in self._open:
            with suppress(apsw.Error):
                cursor.close(True)
        self._open.clear()

    def finish(self) -> None:
        """Close all cursors, idle ones too."""
        self.close()
        while self._spare:
            self._spare.pop().close(True)

    def _fetched(self, cursor: apsw.Cursor, count: int) -> list[Any]:
        with self._watched():
            return list(islice(cursor, count))

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """
        Report SQLite's steps to the thread's listener, which may end the statement by raising.

        A scan that finds few rows would otherwise run long between two batches.  For reads alone:
        an interrupted write would roll back its whole transaction.
        """
        spend = current_listener() if self.may_be_ended else None
        if spend is None:
            yield
            return

        def look() -> bool:
            spend(_LOOK_STEPS)
            return False

        self._connection.set_progress_handler(look, _LOOK_STEPS)
        try:
            yield
        finally:
            self._connection.set_progress_handler(None)

    def rows(self, sql: str, bindings: Sequence[Any]) -> list[Any]:
        """
        Return all rows of a statement, as tuples; for statements that find few.

        :raises StoreError: see `batches`.
        """
        return [row for batch in self.batches(sql, bindings) for row in batch]

    def batches(self, sql: str, bindings: Sequence[Any]) -> Iterator[list[Any]]:
        """
        Yield the rows of a statement, as tuples, in lists of bounded size.

        A list has up to `_BATCH_ROWS` rows of about `_BATCH_BYTES`.  The size of a batch follows
        the size of the last column in the batch before.

        :raises ReadCancelled: the caller has given up; asked at each batch.
        :raises StoreError: SQLite's error, translated.
        """
        cursor = self._spare.pop() if self._spare else self._connection.cursor()
        self._open.add(cursor)
        count = _FIRST_BATCH_ROWS
        try:
            with self._watched():
                cursor.execute(sql, bindings)
            while batch := self._fetched(cursor, count):
                if self._cancelled():
                    raise ReadCancelled(self._what)
                yield batch
                if len(batch) < count and cursor in self._open:
                    # All rows are read.  A cursor that was closed meanwhile fails in the next loop.
                    self._open.discard(cursor)
                    self._spare.append(cursor)
                    return
                last = batch[0][-1]
                if isinstance(last, bytes):
                    used = sum([len(row[-1]) for row in batch])
                    count = _BATCH_BYTES * count // max(used, 1)
                    count = max(1, min(count, _BATCH_ROWS))
                else:
                    count = _BATCH_ROWS
        except UNREADABLE as error:
            raise self.damage.translated(self._what, error) from error
        finally:
            if cursor in self._open:
                self._open.discard(cursor)
                with suppress(apsw.Error):
                    cursor.close(True)


def scan(
    cursors: Cursors,
    collection: int,
    prefilter: Prefilter | None,
    fields: Fields | None = None,
) -> Iterator[list[ScanRow]]:
    """
    Yield batches of (id key, text) of a collection's live documents, by ascending row.

    :param collection: the number of the collection.
    :param fields: yield rows of these fields instead of texts.
    """
    wanted = RowSelection(prefilter, fields)
    sql = f"SELECT id, {wanted.text} FROM documents WHERE row BETWEEN ? AND ?{wanted.condition}"
    bindings = (*wanted.values, *live_rows(collection), *wanted.more)
    yield from wanted.batches(cursors.batches(sql, bindings))


def count(cursors: Cursors, collection: int, prefilter: Prefilter) -> int:
    """
    Return how many documents `scan` would yield, counted by SQL where SQL can test them all.

    :param collection: the number of the collection.
    """
    source = "FROM documents WHERE row BETWEEN ? AND ?"
    found = _counted(cursors, source, live_rows(collection), prefilter)
    return sum(map(len, scan(cursors, collection, prefilter))) if found is None else found


def index_bodies(cursors: Cursors, number: int, read: IndexRead) -> Iterator[list[BodyRow]]:
    """
    Yield batches of 1-tuples of the text, or row of fields, that a read of an index wants.

    In the order of keys, or against it if the read is descending.

    :param number: the number of the index.
    """
    wanted = _selection(read)
    statements = _statements(number, read, wanted)
    if len(statements) == 1:
        return _texts(cursors, statements[0], wanted)
    return chain.from_iterable(_texts(cursors, each, wanted) for each in statements)


def _texts(
    cursors: Cursors, statement: Statement, wanted: RowSelection | None
) -> Iterator[list[BodyRow]]:
    found = cursors.batches(*statement)
    return found if wanted is None else wanted.batches(found)


def index_texts(
    cursor: apsw.Cursor, number: int, read: IndexRead, most: ReadLimit, first: int | None
) -> list[bytes] | None:
    """
    Return the texts that `index_bodies` yields, or the first so many; None beyond `most`.

    :param cursor: used by no other read meanwhile; a statement may be left unfinished on it.
    :param number: the number of the index.
    """
    wanted = _selection(read)
    rows, size = most
    stop = rows + 1 if first is None or first > rows else first
    texts: list[bytes] = []
    for sql, bindings in _statements(number, read, wanted):
        if len(texts) >= stop:
            break
        for (text,) in cursor.execute(sql, bindings):
            if wanted is not None and (text := wanted.kept(text)) is None:
                continue
            texts.append(text)
            size -= len(text)
            if size < 0 or len(texts) == stop:
                break
    return None if size < 0 or len(texts) > rows else texts


def _selection(read: IndexRead) -> RowSelection | None:
    """Return what a read wants of its documents; None: all of them, as plain bodies."""
    prefilter, fields = read.prefilter, read.fields
    return None if prefilter is None and fields is None else RowSelection(prefilter, fields)


def _statements(number: int, read: IndexRead, wanted: RowSelection | None) -> list[Statement]:
    """Return a statement for each span that selects the texts of its documents."""
    found: list[Statement] = []
    descending = read.descending
    for span in reversed(read.spans) if descending else read.spans:
        low, high = cut(span)
        bindings = (number, low) if high is None else (number, low, high)
        form = (high is None, descending)
        if wanted is None:
            found.append((_PLAIN_BODIES[form], bindings))
        else:
            source, order = _BODIES[form]
            sql = f"SELECT {wanted.text}{source}{wanted.condition}{order}"
            found.append((sql, (*wanted.values, *bindings, *wanted.more)))
    return found


def index_ids(cursors: Cursors, number: int, spans: Sequence[ByteRange]) -> Iterator[list[bytes]]:
    """
    Yield batches of the id keys of an index's documents in `spans`, by ascending index key.

    :param number: the number of the index.
    """
    for span in spans:
        where, bindings = _ranged(number, span)
        sql = f"SELECT id FROM entries CROSS JOIN documents USING (row) WHERE {where}"
        for batch in cursors.batches(f"{sql} ORDER BY key, row", bindings):
            yield [row[0] for row in batch]


def index_count(cursors: Cursors, number: int, read: IndexRead) -> int:
    """
    Return how many documents `index_bodies` would yield, counted by SQL if SQL can.

    :param number: the number of the index.
    """
    total = 0
    for span in read.spans:
        where, bindings = _ranged(number, span)
        if read.prefilter is None:
            ((found,),) = cursors.rows(f"SELECT count(*) FROM entries WHERE {where}", bindings)
        else:
            source = f"FROM entries CROSS JOIN documents USING (row) WHERE {where}"
            found = _counted(cursors, source, bindings, read.prefilter)
            if found is None:
                kept = index_bodies(cursors, number, read._replace(spans=[span], fields=None))
                found = sum(map(len, kept))
        total += found
    return total


def _counted(
    cursors: Cursors, source: str, bindings: Sequence[Any], prefilter: Prefilter
) -> int | None:
    """Return how many rows a prefilter keeps; None if SQL cannot test all of them."""
    wanted = RowSelection(prefilter)
    if not wanted.condition:
        return None
    sql = f"SELECT count(*), total(NOT literal) {source}{wanted.condition}"
    ((found, odd),) = cursors.rows(sql, (*bindings, *wanted.more))
    return None if odd else found


def _ranged(number: int, span: ByteRange) -> tuple[str, tuple[int | bytes, ...]]:
    """Return the condition for the entries of an index in a span, and its bindings."""
    low, high = cut(span)
    if high is None:
        return "number = ? AND key >= ?", (number, low)
    return "number = ? AND key >= ? AND key < ?", (number, low, high)

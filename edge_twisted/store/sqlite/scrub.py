# SPDX-License-Identifier: Apache-2.0
"""
Steps of scrubbing over the table `documents`: read and verify some rows, by ascending number.

A step reads on a reader thread.  The writer does the rest: it moves damaged documents into
quarantine, and adds checksums to rows that were written before there were any.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final, Protocol, TypeVar

import apsw
from twisted.internet.defer import Deferred

from edge_twisted.store.errors import ReadCancelled, StoreClosed, StoreError
from edge_twisted.store.rows import UnitResult
from edge_twisted.store.scrubber import AttachmentsStep, DocumentsStep
from edge_twisted.store.sqlite.checksums import checksum_of
from edge_twisted.store.sqlite.connection import UNREADABLE, fetch, is_unreadable
from edge_twisted.store.sqlite.damage import log_not_moved
from edge_twisted.store.sqlite.group import DirectUnit
from edge_twisted.store.sqlite.quarantine import COLUMNS, StoredRow, read_row
from edge_twisted.store.sqlite.rowids import collection_of
from edge_twisted.store.sqlite.snapshot import SqliteSnapshot
from edge_twisted.store.sqlite.unit import SqliteUnit

T = TypeVar("T")

#: Most rows, and about the most bytes, that one step reads.
_STEP_ROWS: Final = 128
_STEP_BYTES: Final = 256 * 1024
#: The greatest row number that SQLite has.
_LAST_ROW: Final = (1 << 63) - 1


def verify_rows(connection: apsw.Connection, after: int) -> tuple[DocumentsStep, list[int]]:
    """
    Verify some rows behind the row `after`, up to the first row that cannot be read.

    Returns the step, and the numbers of the rows that have no checksum yet.

    :raises apsw.Error: the very first of the rows cannot be read; see `behind_unreadable`.
    """
    damaged: list[tuple[str, bytes]] = []
    without_checksum: list[int] = []
    size = count = 0
    is_last = False
    try:
        for found in _rows(connection, after):
            after = found.row
            count += 1
            size += len(found.body or b"") + len(found.state or b"")
            if found.is_damaged:
                damaged.append((_collection(connection, found.row), found.id_key))
            elif found.checksum is None:
                without_checksum.append(found.row)
            if size >= _STEP_BYTES:
                break
        is_last = count < _STEP_ROWS and size < _STEP_BYTES
    except apsw.InterruptError:
        raise
    except apsw.Error:
        # The next step begins at that row, and raises.
        if not count:
            raise
    step = DocumentsStep(
        after=None if is_last else after, size=size, documents=count, damaged=tuple(damaged)
    )
    return step, without_checksum


def behind_unreadable(connection: apsw.Connection, after: int) -> int | None:
    """
    Return the row before the first readable one, if the row behind `after` cannot be read.

    SQLite cannot say where a damaged page ends, so probes look for the next row that it can read:
    first ever farther away, then by bisection (exponential search: Bentley and Yao 1976).  None if
    no row behind can be read.
    """
    gap = 1
    while not _is_readable(connection, after + 1 + gap):
        gap *= 2
        if after + 1 + gap > _LAST_ROW:
            return None
    low, high = after + 1 + gap // 2, after + 1 + gap
    while low < high:
        middle = (low + high) // 2
        if _is_readable(connection, middle):
            high = middle
        else:
            low = middle + 1
    return high - 1


def _is_readable(connection: apsw.Connection, first: int) -> bool:
    """Return whether the first row from `first` on can be read, damaged or not; True at the end."""
    try:
        row = connection.execute(
            "SELECT row FROM documents WHERE row >= ? ORDER BY row LIMIT 1", (first,)
        ).get
        if row is not None:
            read_row(connection, row)
    except apsw.InterruptError:
        raise
    except apsw.Error:
        return False
    return True


def _collection(connection: apsw.Connection, row: int) -> str:
    number = collection_of(row)
    name: str | None = connection.execute(
        "SELECT name FROM collections WHERE number = ?", (number,)
    ).get
    return name or ""


def _rows(connection: apsw.Connection, after: int) -> Iterator[StoredRow]:
    # Not `row > after`: SQLite would look for the row `after` itself, whose page may be damaged.
    where = "FROM documents WHERE row >= ? ORDER BY row LIMIT ?"
    bindings = (after + 1, _STEP_ROWS)
    try:
        # One by one, so that large ones are not all in memory.
        yield from map(StoredRow._make, _with_readable(connection, where, bindings))
    except UNREADABLE as error:
        if not is_unreadable(error):
            raise
    else:
        return
    # Those before it came already, and coming twice does no harm.
    for (row,) in fetch(connection, f"SELECT row {where}", bindings):
        found = read_row(connection, row)
        if found is not None:
            yield found


def _with_readable(
    connection: apsw.Connection, where: str, bindings: Sequence[int]
) -> Iterator[tuple[object, ...]]:
    for row in connection.execute(f"SELECT {COLUMNS} {where}", bindings):
        yield (*row, True)


class ChecksumBackfill:
    """Write: rows get the checksum of what they are now, if they are readable and have none."""

    def __init__(self, rows: Sequence[int]) -> None:
        self._rows = rows

    def __call__(self, unit: DirectUnit) -> None:
        connection = unit.direct()
        for row in self._rows:
            found = read_row(connection, row)
            if found is None or found.checksum is not None or found.is_damaged:
                continue
            seal = checksum_of(found.id_key, found.digest, found.body, found.state)
            connection.execute("UPDATE documents SET checksum = ? WHERE row = ?", (seal, row))


class ScrubStore(Protocol):
    """The part of the store that scrubbing needs."""

    def read(self, name: str, work: Callable[[SqliteSnapshot], T]) -> Deferred[T]:
        """Run a read on a reader thread, as `Store.read` does."""

    def write(self, name: str, work: Callable[[SqliteUnit], T]) -> Deferred[UnitResult[T]]:
        """Run a unit of work, as `Store.write` does."""

    def snapshot(self) -> AbstractContextManager[SqliteSnapshot]:
        """Enter a snapshot on this very thread, as `Store.snapshot` does."""

    def quarantine(self, collection: str, id_key: bytes) -> Deferred[bool]:
        """Take a damaged document out of all reads, as `Store.quarantine` does."""


class SqliteScrubTarget:
    """
    A `edge_twisted.store.scrubber.ScrubTarget`: the documents and blobs of an open store.

    :param scrub_attachments: does one step over the blobs.
    """

    def __init__(
        self, store: ScrubStore, scrub_attachments: Callable[[int], Deferred[AttachmentsStep]]
    ) -> None:
        self._store = store
        self.scrub_attachments = scrub_attachments

    def scrub_documents(self, after: int) -> Deferred[DocumentsStep]:
        return Deferred.fromCoroutine(self._documents(after))

    async def _documents(self, after: int) -> DocumentsStep:
        def work(snapshot: SqliteSnapshot) -> tuple[DocumentsStep, list[int]]:
            return verify_rows(snapshot.connection, after)

        step, without_checksum = await self._store.read("scrub", work)
        for collection, id_key in step.damaged:
            try:
                await self._store.quarantine(collection, id_key)
            except (StoreClosed, ReadCancelled):
                raise
            except StoreError as error:
                log_not_moved(collection, id_key, error)
        if without_checksum:
            await self._store.write("scrub", ChecksumBackfill(without_checksum))
        return step

    def behind_unreadable(self, after: int) -> Deferred[int | None]:
        return self._store.read(
            "scrub", lambda snapshot: behind_unreadable(snapshot.connection, after)
        )

    def remembered(self, space: str, key: bytes) -> bytes | None:
        with self._store.snapshot() as snapshot:
            return snapshot.fact(space, key)

    def remember(self, space: str, key: bytes, value: bytes) -> Deferred[Any]:
        return self._store.write("scrub", lambda unit: unit.put_fact(space, key, value))

# SPDX-License-Identifier: Apache-2.0
"""
One step of scrubbing: some rows are read and verified, in the order of their numbers.

A step reads on a reader thread, what it finds is done by the writer: damaged documents go into
quarantine, and rows from before there were checksums get theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final, Protocol, TypeVar

import apsw
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from edge_twisted.store.errors import ReadCancelled, StoreClosed, StoreError, shown_id
from edge_twisted.store.rows import UnitResult
from edge_twisted.store.scrubber import AttachmentsStep, DocumentsStep
from edge_twisted.store.sqlite.checksums import checksum_of
from edge_twisted.store.sqlite.connection import UNREADABLE, fetch, is_unreadable
from edge_twisted.store.sqlite.quarantine import COLUMNS, QuarantineUnit, StoredRow, read_row
from edge_twisted.store.sqlite.rowids import COUNT_BITS, collection_of
from edge_twisted.store.sqlite.snapshot import SqliteSnapshot

log = Logger()

T = TypeVar("T")

#: A step ends after so many rows, or bytes.
_STEP_ROWS: Final = 128
_STEP_BYTES: Final = 256 * 1024


def verify_rows(connection: apsw.Connection, after: int) -> tuple[DocumentsStep, list[int]]:
    """
    Verify some rows behind the row `after`.

    Returns the step, and the rows that have no checksum yet.
    """
    damaged: list[tuple[str, bytes]] = []
    unsealed: list[int] = []
    size = count = 0
    for found in _rows(connection, after):
        after = found.row
        count += 1
        size += len(found.body or b"") + len(found.state or b"")
        if found.is_damaged:
            damaged.append((_collection(connection, found.row), found.id_key))
        elif found.checksum is None:
            unsealed.append(found.row)
        if size >= _STEP_BYTES:
            break
    is_last = count < _STEP_ROWS and size < _STEP_BYTES
    step = DocumentsStep(
        after=None if is_last else after, size=size, documents=count, damaged=tuple(damaged)
    )
    return step, unsealed


def _collection(connection: apsw.Connection, row: int) -> str:
    number = collection_of(row)
    name: str | None = connection.execute(
        "SELECT name FROM collections WHERE number = ?", (number,)
    ).get
    return name or ""


def _rows(connection: apsw.Connection, after: int) -> Iterator[StoredRow]:
    where = "FROM documents WHERE row > ? ORDER BY row LIMIT ?"
    bindings = (after, _STEP_ROWS)
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

    def __call__(self, unit: QuarantineUnit) -> None:
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
        """Run a read on a thread."""

    def write(self, name: str, work: Callable[[QuarantineUnit], T]) -> Deferred[UnitResult[T]]:
        """Run a unit of work."""

    def snapshot(self) -> AbstractContextManager[SqliteSnapshot]:
        """Give a snapshot for a short read."""

    def quarantine(self, collection: str, id_key: bytes) -> Deferred[bool]:
        """Take a damaged document out."""


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

        step, unsealed = await self._store.read("scrub", work)
        for collection, id_key in step.damaged:
            try:
                await self._store.quarantine(collection, id_key)
            except (StoreClosed, ReadCancelled):
                raise
            except StoreError as error:
                log.error(
                    "Document {document} of collection {collection} is damaged, and could not be"
                    " put into quarantine: {error}",
                    document=shown_id(id_key),
                    collection=collection,
                    error=str(error),
                )
        if unsealed:
            await self._store.write("scrub", ChecksumBackfill(unsealed))
        return step

    def behind_unreadable(self, after: int) -> int:
        """Go on with the next collection, or with the tombstones of the same one."""
        return (after >> COUNT_BITS) + 1 << COUNT_BITS

    def remembered(self, space: str, key: bytes) -> bytes | None:
        with self._store.snapshot() as snapshot:
            return snapshot.fact(space, key)

    def remember(self, space: str, key: bytes, value: bytes) -> Deferred[Any]:
        return self._store.write("scrub", lambda unit: unit.put_fact(space, key, value))

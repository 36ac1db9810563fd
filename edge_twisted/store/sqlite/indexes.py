# SPDX-License-Identifier: Apache-2.0
"""
Secondary indexes: one table of (index number, key, row), kept by every write.

One unit of work begins an index, and from then on every write keeps it.  A job adds the documents
that were there before, some milliseconds at a time by ascending row, while other units run.  The
index is ready when the job has passed the last row.  Each step stores its progress, so a restart
resumes there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from time import perf_counter

import apsw
from attrs import evolve, frozen

from edge_twisted.documents.json_text import from_text
from edge_twisted.documents.values import Value
from edge_twisted.store.errors import IndexExists, UnknownIndex
from edge_twisted.store.keys import KEY_LIMIT_BYTES, entry
from edge_twisted.store.rows import IndexDefinition
from edge_twisted.store.sqlite import selection
from edge_twisted.store.sqlite.connection import fetch
from edge_twisted.store.sqlite.group import DirectUnit, Job
from edge_twisted.store.sqlite.layers import Entries, insert_entries
from edge_twisted.store.sqlite.rowids import live_rows
from edge_twisted.store.sqlite.state import CollectionState, StoredIndex, WriterState

#: A step of building holds other writes up for about this long, plus its commit.
STEP_SECONDS = 0.004
#: Rows between two looks at the watch.
STEP_ROWS = 50
#: Rows deleted in one step of purging: a row costs a few microseconds.
PURGE_ROWS = 500

_BODIES = (
    f"SELECT row, {selection.TEXT} FROM documents WHERE row > ? AND row <= ? ORDER BY row LIMIT ?"
)


def unfinished(connection: apsw.Connection, state: WriterState) -> list[Job]:
    """Return the jobs that an earlier process left: builds of indexes, purges of dropped ones."""
    jobs: list[Job] = [
        IndexBuild(here.name, index.definition.name)
        for here in state.collections.values()
        for index in here.indexes
        if index.progress is not None
    ]
    dropped = fetch(connection, "SELECT number FROM indexes WHERE dropped")
    return [*jobs, *(IndexPurge(number) for (number,) in dropped)]


def entries_of(
    unit: DirectUnit,
    here: CollectionState,
    body: bytes | None,
    value: Mapping[str, Value] | None,
    *,
    stored: bool = False,
) -> Entries:
    """
    Return a document's (index number, cut key) in all indexes of its collection.

    Empty for a tombstone.

    :param value: the decoded body, if at hand; else it is decoded.
    :param stored: they are only looked for, not added: a cut key has been noted before.
    """
    if body is None or not here.indexes:
        return ()
    document = from_text(body) if value is None else value
    found = []
    for index in here.indexes:
        key = entry(index.definition, document)
        if key is None:
            continue
        if len(key) > KEY_LIMIT_BYTES:
            key = key[:KEY_LIMIT_BYTES]
            if index.exact and not stored:
                _replace(unit, here, evolve(index, exact=False))
        found.append((index.number, key))
    return found


def create(unit: DirectUnit, here: CollectionState, definition: IndexDefinition) -> None:
    """
    Begin an index of a collection, and have it built once this unit is durable.

    :raises IndexExists: the collection has an index of that name.
    """
    if any(index.definition.name == definition.name for index in here.indexes):
        raise IndexExists(f"{definition.collection}.{definition.name}")
    connection = unit.direct()
    first, _ = live_rows(here.number)
    index = StoredIndex(
        number=unit.state.next_index, definition=definition, progress=first - 1, exact=True
    )
    unit.state.next_index += 1
    connection.execute(
        "INSERT INTO indexes"
        " (number, collection, name, keys, include_missing, progress, exact, dropped)"
        " VALUES (?, ?, ?, ?, ?, ?, 1, 0)",
        (
            index.number,
            here.number,
            definition.name,
            json.dumps([[list(key.path), key.direction] for key in definition.keys]),
            definition.include_missing,
            index.progress,
        ),
    )
    _set(unit, here, (*here.indexes, index))
    unit.jobs.append(IndexBuild(here.name, definition.name))


def drop(unit: DirectUnit, collection: str, name: str) -> None:
    """
    Forget an index of a collection, and have its entries purged once this unit is durable.

    :raises UnknownIndex: the collection has no index of that name.
    """
    here = unit.state.collections.get(collection)
    index = _find(here, name)
    if here is None or index is None:
        raise UnknownIndex(f"{collection}.{name}")
    unit.direct().execute("UPDATE indexes SET dropped = 1 WHERE number = ?", (index.number,))
    _set(unit, here, tuple(each for each in here.indexes if each is not index))
    unit.jobs.append(IndexPurge(index.number))
    unit.index_changed(collection, name)


@frozen
class IndexBuild:
    """The job that adds to an index the documents that were there before it."""

    collection: str
    name: str

    def __call__(self, unit: DirectUnit) -> bool:
        here = unit.state.collections.get(self.collection)
        index = _find(here, self.name)
        if here is None or index is None or index.progress is None:
            return False
        return _build(unit, here, index, index.progress)


def _build(unit: DirectUnit, here: CollectionState, index: StoredIndex, progress: int) -> bool:
    connection = unit.direct()
    _, last = live_rows(here.number)
    end = perf_counter() + STEP_SECONDS
    more = True
    while more and perf_counter() < end:
        rows = fetch(connection, _BODIES, (progress, last, STEP_ROWS))
        more = len(rows) == STEP_ROWS
        entries = []
        for row, body in rows:
            key = entry(index.definition, from_text(body))
            if key is not None:
                index = evolve(index, exact=index.exact and len(key) <= KEY_LIMIT_BYTES)
                entries.append((index.number, key[:KEY_LIMIT_BYTES], row))
        insert_entries(connection, entries)
        progress = rows[-1][0] if rows else progress
    _replace(unit, here, evolve(index, progress=progress if more else None))
    if not more:
        unit.index_changed(here.name, index.definition.name)
    return more


@frozen
class IndexPurge:
    """The job that deletes the entries of a dropped index, then forgets its number."""

    number: int

    def __call__(self, unit: DirectUnit) -> bool:
        connection = unit.direct()
        connection.execute(
            "DELETE FROM entries WHERE (number, key, row) IN"
            " (SELECT number, key, row FROM entries WHERE number = ? LIMIT ?)",
            (self.number, PURGE_ROWS),
        )
        if connection.changes() == PURGE_ROWS:
            return True
        connection.execute("DELETE FROM indexes WHERE number = ? AND dropped", (self.number,))
        return False


def _find(here: CollectionState | None, name: str) -> StoredIndex | None:
    if here is None:
        return None
    return next((each for each in here.indexes if each.definition.name == name), None)


def _replace(unit: DirectUnit, here: CollectionState, index: StoredIndex) -> None:
    unit.direct().execute(
        "UPDATE indexes SET progress = ?, exact = ? WHERE number = ?",
        (index.progress, index.exact, index.number),
    )
    _set(
        unit,
        here,
        tuple(index if each.number == index.number else each for each in here.indexes),
    )


def _set(unit: DirectUnit, here: CollectionState, found: tuple[StoredIndex, ...]) -> None:
    before = here.indexes
    here.indexes = tuple(sorted(found, key=lambda index: index.definition.name))
    unit.state.catalog += 1
    unit.on_undo(lambda: setattr(here, "indexes", before))

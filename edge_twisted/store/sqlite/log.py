# SPDX-License-Identifier: Apache-2.0
"""
The log of commits: one row per document, by its newest lsn.

It is no table of its own: the index on (collection, lsn) is the log, so it needs no truncation
and is as long as there are documents and tombstones.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from operator import attrgetter
from typing import NamedTuple

from edge_twisted.store.errors import DocumentDamaged, StoreCorrupt
from edge_twisted.store.rows import Change, ChangeBatch, StoredDocument
from edge_twisted.store.sqlite.checksums import is_whole
from edge_twisted.store.sqlite.scans import Cursors
from edge_twisted.store.sqlite.selection import TEXT


class _LogRow(NamedTuple):
    """A row of the log; sorts by commit."""

    lsn: int
    collection: str
    document: StoredDocument


def changes_after(
    cursors: Cursors,
    collections: Iterable[tuple[int, str]],
    span: tuple[int, int],
    limits: tuple[int, int],
) -> ChangeBatch:
    """
    Return whole commits until `limits` (documents, bytes) are reached.

    :param collections: number and name of each that may have changed.
    :param span: after this lsn, and up to this one, which is the newest.
    :raises DocumentDamaged: of one of the documents, which must not be handed on.
    """
    lsn, newest = span
    most, most_bytes = limits
    logs = [_log(cursors, number, name, lsn) for number, name in collections]
    found: list[Change] = []
    reached, size = lsn, 0
    for each in heapq.merge(*logs, key=attrgetter("lsn")):
        if each.lsn > reached and found and (len(found) >= most or size >= most_bytes):
            return ChangeBatch(changes=tuple(found), lsn=reached, more=True)
        document = each.document
        found.append(Change(each.collection, document))
        reached = each.lsn
        size += len(document.state) + len(document.body or b"")
    return ChangeBatch(changes=tuple(found), lsn=max(newest, lsn), more=False)


def _log(cursors: Cursors, number: int, name: str, after: int) -> Iterator[_LogRow]:
    rows = cursors.batches(
        f"SELECT id, lsn, {TEXT}, digest, checksum, state FROM documents"
        " WHERE collection = ? AND lsn > ? ORDER BY lsn, row",
        (number, after),
    )
    try:
        for batch in rows:
            for id_key, changed, body, digest, checksum, state in batch:
                if not is_whole(checksum, id_key, digest, body, state):
                    raise cursors.damage.document(name, id_key)
                yield _LogRow(changed, name, StoredDocument(id_key, changed, body, state, digest))
    except StoreCorrupt as error:
        if not isinstance(error, DocumentDamaged):
            _name_unreadable(cursors, number, name, after)
        raise


def _name_unreadable(cursors: Cursors, number: int, name: str, after: int) -> None:
    """:raises DocumentDamaged: it is the first document that the log cannot read."""
    logged = "SELECT row, CAST(id AS BLOB) FROM documents WHERE collection = ? AND lsn > ?"
    for row, id_key in cursors.rows(f"{logged} ORDER BY lsn, row", (number, after)):
        try:
            cursors.rows(f"SELECT id, state, {TEXT} FROM documents WHERE row = ?", (row,))
        except StoreCorrupt:
            raise cursors.damage.document(name, id_key) from None

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

from edge_twisted.store.errors import DocumentDamaged, StoreCorrupt
from edge_twisted.store.rows import Change, ChangeBatch, StoredDocument, whole_commits
from edge_twisted.store.sqlite.checksums import is_whole
from edge_twisted.store.sqlite.scans import Cursors
from edge_twisted.store.sqlite.selection import TEXT


def changes_after(
    cursors: Cursors,
    collections: Iterable[tuple[int, str]],
    span: tuple[int, int],
    limits: tuple[int, int],
) -> ChangeBatch:
    """
    Return the documents that changed, in whole commits until `limits` are reached.

    :param collections: number and name of each that may have changed.
    :param span: after this lsn, and up to this one, which is the newest.
    :param limits: (documents, bytes of bodies and states).
    :raises DocumentDamaged: of one of the documents, which must not be handed on.
    """
    logs = [_log(cursors, number, name, span[0]) for number, name in collections]
    changes = heapq.merge(*logs, key=attrgetter("document.lsn"))
    return whole_commits(changes, span, limits)


def _log(cursors: Cursors, number: int, name: str, after: int) -> Iterator[Change]:
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
                yield Change(name, StoredDocument(id_key, changed, body, state, digest))
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

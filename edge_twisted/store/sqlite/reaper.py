# SPDX-License-Identifier: Apache-2.0
"""
The end of tombstones.

A tombstone's row is in its collection's range of dead rows, in the order of receipt (`rowids`), so
the oldest come first and nothing else need be looked at.  They go a few at a time, as units
of work behind all others; each step holds other writes up for `STEP_SECONDS`, plus its commit.
"""

from __future__ import annotations

from itertools import takewhile
from time import perf_counter
from typing import NamedTuple

import apsw
from twisted.internet.defer import Deferred

from edge_twisted.store.hooks import ReapHooks
from edge_twisted.store.rows import Document
from edge_twisted.store.sqlite.connection import fetch
from edge_twisted.store.sqlite.rowids import dead_rows
from edge_twisted.store.sqlite.state import Collection
from edge_twisted.store.sqlite.transaction import SqliteTransaction

STEP_SECONDS = 0.003
#: Tombstones deleted between two looks at the watch.
STEP_ROWS = 50

_OLDEST = (
    "SELECT row, id, lsn, state, digest, attachments, received FROM documents"
    " WHERE row BETWEEN ? AND ? ORDER BY row LIMIT ?"
)


class _Tombstone(NamedTuple):
    """A row of `documents`, as it is looked at here."""

    row: int
    id_key: bytes
    lsn: int
    state: bytes
    digest: int
    attachments: int
    received: int

    @property
    def document(self) -> Document:
        """The tombstone as others see it."""
        return Document(self.id_key, self.lsn, None, self.state, self.digest)


class Reaping:
    """
    One run of the reaper: a job for the writer, called until it returns False.

    :param received_before: ms since 1970; tombstones received before it go.
    :param most: at most this many in all.
    :param hooks: told of tombstones before they go.
    :ivar done: fires on the reactor thread with how many went.
    """

    def __init__(self, received_before: int, most: int, hooks: ReapHooks) -> None:
        self._before = received_before
        self._left = most
        self._hooks = hooks
        self._reaped = 0
        self.done: Deferred[int] = Deferred()

    def __call__(self, unit: SqliteTransaction) -> bool:
        end = perf_counter() + STEP_SECONDS
        for here in unit.state.collections.values():
            while self._left > 0:
                count = self._reap(unit, here)
                self._left -= count
                self._reaped += count
                if perf_counter() > end:
                    return True
                if count < STEP_ROWS:
                    break
        unit.after_commit(lambda: self.done.callback(self._reaped))
        return False

    def _reap(self, unit: SqliteTransaction, here: Collection) -> int:
        connection = unit.direct()
        first, last = dead_rows(here.number)
        oldest = [
            _Tombstone(*found)
            for found in fetch(connection, _OLDEST, (first, last, min(STEP_ROWS, self._left)))
        ]
        self._correct(connection, oldest, unit.now_ms())
        old = list(takewhile(lambda found: found.received < self._before, oldest))
        if not old:
            return 0
        self._hooks.call(unit, here.name, [each.document for each in old])
        connection = unit.direct()
        mentioning = [(each.row,) for each in old if each.attachments]
        connection.executemany("DELETE FROM mentions WHERE row = ?", mentioning)
        connection.executemany("DELETE FROM documents WHERE row = ?", [(each.row,) for each in old])
        unit.touch(here)
        here.reaped_lsn = max(here.reaped_lsn, *(each.lsn for each in old))
        return len(old)

    def _correct(self, connection: apsw.Connection, rows: list[_Tombstone], now: int) -> None:
        # Received while the clock was wrong: such a one would keep those behind it for ever.
        early = [(now, each.row) for each in rows if each.received > now]
        if early:
            connection.executemany("UPDATE documents SET received = ? WHERE row = ?", early)

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

import apsw
from twisted.internet.defer import Deferred

from edge_twisted.store.sqlite.connection import fetch
from edge_twisted.store.sqlite.rowids import dead_rows
from edge_twisted.store.sqlite.state import Collection
from edge_twisted.store.sqlite.transaction import SqliteTransaction

STEP_SECONDS = 0.003
#: Tombstones deleted between two looks at the watch.
STEP_ROWS = 50

_OLDEST = (
    "SELECT row, lsn, attachments, received FROM documents"
    " WHERE row BETWEEN ? AND ? ORDER BY row LIMIT ?"
)


class Reaping:
    """
    One run of the reaper: a job for the writer, called until it returns False.

    :param received_before: ms since 1970; tombstones received before it go.
    :param most: at most this many in all.
    :ivar done: fires on the reactor thread with how many went.
    """

    def __init__(self, received_before: int, most: int) -> None:
        self._before = received_before
        self._left = most
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
        oldest = fetch(connection, _OLDEST, (first, last, min(STEP_ROWS, self._left)))
        self._correct(connection, oldest, unit.now_ms())
        old = list(takewhile(lambda found: found[3] < self._before, oldest))
        if not old:
            return 0
        mentioning = [(row,) for row, _, attachments, _ in old if attachments]
        connection.executemany("DELETE FROM mentions WHERE row = ?", mentioning)
        connection.executemany("DELETE FROM documents WHERE row = ?", [found[:1] for found in old])
        unit.touch(here)
        here.reaped_lsn = max(here.reaped_lsn, *(lsn for _, lsn, _, _ in old))
        return len(old)

    def _correct(
        self, connection: apsw.Connection, rows: list[tuple[int, int, int, int]], now: int
    ) -> None:
        # Received while the clock was wrong: such a one would keep those behind it for ever.
        early = [(now, row) for row, _, _, received in rows if received > now]
        if early:
            connection.executemany("UPDATE documents SET received = ? WHERE row = ?", early)

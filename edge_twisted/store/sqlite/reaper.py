# SPDX-License-Identifier: Apache-2.0
"""
The reaper: deletes old tombstones.

The tombstones of a collection are in its range of dead rows in the order of receipt (`rowids`), so
the oldest come first and no other row is read.  Steps run as jobs between groups of units; each
holds other writes up for `STEP_SECONDS`, plus its commit.  A step resumes where the one before
ended, so a run ends at any number of collections.  A step that finds nothing old writes nothing.
"""

from __future__ import annotations

from itertools import takewhile
from time import perf_counter
from typing import NamedTuple

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from edge_twisted.store.hooks import RemovalHooks
from edge_twisted.store.rows import StoredDocument
from edge_twisted.store.sqlite.checksums import is_whole
from edge_twisted.store.sqlite.connection import fetch
from edge_twisted.store.sqlite.group import DirectUnit
from edge_twisted.store.sqlite.rowids import dead_rows
from edge_twisted.store.sqlite.state import CollectionState, WriterState

STEP_SECONDS = 0.003
#: Tombstones deleted between two looks at the watch.
STEP_ROWS = 50

_OLDEST = (
    "SELECT row, id, lsn, state, digest, attachments, received, checksum FROM documents"
    " WHERE row BETWEEN ? AND ? ORDER BY row LIMIT ?"
)


class _Tombstone(NamedTuple):
    """A row of the table `documents` that is a tombstone."""

    row: int
    id_key: bytes
    lsn: int
    state: bytes
    digest: int
    attachments: int
    received: int
    checksum: int | None

    @property
    def is_whole(self) -> bool:
        """Whether the bytes are what was written."""
        return is_whole(self.checksum, self.id_key, self.digest, None, self.state)

    @property
    def document(self) -> StoredDocument:
        """The tombstone as hooks take it."""
        return StoredDocument(self.id_key, self.lsn, None, self.state, self.digest)


class _Progress(NamedTuple):
    """The position of a run."""

    #: The next collection, by its place among the names of the run.
    place: int
    #: How many tombstones may still go, and how many went.
    left: int
    reaped: int


class ReapJob:
    """
    One run of the reaper: a job for the writer, called until it returns False.

    :param received_before: ms since 1970; tombstones received before it go.
    :param most: at most this many in all.
    :param hooks: told of tombstones before they go.
    :param begin_at: the collection to look at first, by name; the others follow in a circle.
    :ivar done: fires on the reactor thread with how many went.  Cancelling it ends the run after
        the step under way.
    """

    def __init__(
        self, received_before: int, most: int, hooks: RemovalHooks, begin_at: str | None = None
    ) -> None:
        self._before = received_before
        self._hooks = hooks
        self._begin_at = begin_at
        #: Names of all collections in the order of this run, None before the first step.
        self._names: list[str] | None = None
        self._progress = self._before_step = _Progress(place=0, left=most, reaped=0)
        #: The writer's state at the last step.
        self._state: WriterState | None = None
        self._cancelled = False
        self.done: Deferred[int] = Deferred(self._cancel)

    def _cancel(self, done: Deferred[int]) -> None:
        self._cancelled = True

    def __call__(self, unit: DirectUnit) -> bool:
        if self._cancelled:
            return False
        names = self._resumed(unit.state)
        self._before_step = self._progress
        end = perf_counter() + STEP_SECONDS
        while self._progress.place < len(names) and self._progress.left > 0:
            place, left, reaped = self._progress
            here = unit.state.collections.get(names[place])
            rows = min(STEP_ROWS, left)
            count = 0 if here is None else self._reap(unit, here, rows)
            self._progress = _Progress(place + (count < rows), left - count, reaped + count)
            if perf_counter() > end:
                return True
        unit.after_commit(self._finish)
        return False

    def _resumed(self, state: WriterState) -> list[str]:
        """Return the names of this run's collections; go back a step that may have been lost."""
        if self._names is None:
            # Collections that are made during the run have no old tombstones.
            names = list(state.collections)
            first = names.index(self._begin_at) if self._begin_at in state.collections else 0
            self._names = names[first:] + names[:first]
        elif state is not self._state:
            # The state was read again because a physical transaction failed, perhaps that of the
            # last step.  Repeating the step does no harm.
            self._progress = self._before_step
        self._state = state
        return self._names

    @property
    def next_collection(self) -> str | None:
        """The collection where the next run begins, so that each gets its turn; None: the first."""
        if not self._names:
            return None
        return self._names[self._progress.place % len(self._names)]

    def _finish(self) -> None:
        if not self.done.called:
            self.done.callback(self._progress.reaped)

    def fail(self, failure: Failure) -> None:
        """Fail `done`, on the reactor thread, because the run has ended early."""
        # The next run begins behind the collection where this one failed.
        self._progress = self._progress._replace(place=self._progress.place + 1)
        if not self.done.called:
            self.done.errback(failure)

    def _reap(self, unit: DirectUnit, here: CollectionState, rows: int) -> int:
        """Forget the oldest tombstones of a collection, at most `rows`; return how many."""
        first, last = dead_rows(here.number)
        if here.next_dead == first:
            # The collection never had a tombstone, as most have none: save a statement.
            return 0
        oldest = [
            _Tombstone(*found) for found in fetch(unit.settled(), _OLDEST, (first, last, rows))
        ]
        self._correct(unit, oldest)
        old = [
            found
            for found in takewhile(lambda found: found.received < self._before, oldest)
            # Hooks could not note what a damaged one deleted: it waits for the scrubber.
            if found.is_whole
        ]
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

    def _correct(self, unit: DirectUnit, rows: list[_Tombstone]) -> None:
        # A tombstone that was received while the clock was ahead would keep all later ones until
        # that date: it counts as received now.
        now = unit.now_ms()
        early = [(now, each.row) for each in rows if each.received > now]
        if early:
            unit.direct().executemany("UPDATE documents SET received = ? WHERE row = ?", early)

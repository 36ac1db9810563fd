# SPDX-License-Identifier: Apache-2.0
"""
The writer: one thread, one connection, all mutations.

What waits when a physical transaction begins becomes durable with it (group commit): while one
fsync runs the next group gathers, so groups grow with the load by themselves.  Each unit of work
has its own lsn and its own undo; all are answered on the reactor thread by one call, after the
fsync.  Jobs (building indexes, reaping) run one step between groups.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from time import perf_counter
from typing import Any, Protocol

import apsw
from attrs import define
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from edge_twisted.store.rows import UnitResult
from edge_twisted.store.sqlite.connection import UNREADABLE, close, translated
from edge_twisted.store.sqlite.group import CommitGroup, Job
from edge_twisted.store.sqlite.indexes import unfinished
from edge_twisted.store.sqlite.state import WriterState
from edge_twisted.store.sqlite.unit import SqliteUnit

log = Logger()

#: Most units of a group, which the reactor answers together, and the longest time that the first
#: unit of a group waits for the last one to run.
GROUP_UNITS = 256
GROUP_SECONDS = 0.010
#: Frames (of 4 KiB) in the write-ahead log after which they are copied into the file.
CHECKPOINT_FRAMES = 1_000

#: After the disk failed, jobs rest this long.
REST_SECONDS = 5.0

#: Names of the collections whose documents changed, and of spaces where facts were put.
Changed = tuple[set[str], set[str]]


class QueuedUnit:
    """A unit of work in the queue: its function, its answer, and its outcome."""

    # Defaults on the class: one object is made for every write, and few change these.
    cancelled = False
    result: Any = None
    lsn = 0
    failure: Failure | None = None
    effects: Sequence[Callable[[], None]] = ()
    jobs: Sequence[Job] = ()

    def __init__(self, name: str, work: Callable[[SqliteUnit], Any]) -> None:
        self.name = name
        self.work = work
        #: Fired by the store, on the reactor thread.
        self.answer: Deferred[Any] = Deferred(self._cancel)

    def _cancel(self, answer: Deferred[Any]) -> None:
        self.cancelled = True

    def is_cancelled(self) -> bool:
        """Return whether the caller has given up; from any thread."""
        return self.cancelled

    def fire(self) -> None:
        """
        Answer the caller with result and lsn, or failure, on the reactor thread.

        A caller that has given up is not answered.
        """
        if self.answer.called:
            return
        if self.failure is None:
            self.answer.callback(UnitResult(self.result, self.lsn))
        else:
            self.answer.errback(self.failure)


@define(eq=False)
class GroupOutcome:
    """The outcome of one physical transaction, for the reactor thread."""

    units: list[QueuedUnit]
    #: Names of the collections whose documents changed, and spaces where facts were put.
    collections: set[str]
    spaces: set[str]
    seconds: float
    effects: Sequence[Callable[[], None]] = ()
    #: A job that failed and is not resumed, and its failure.
    failed: tuple[Job, Failure] | None = None


class DurabilityListener(Protocol):
    """What the writer tells, on its thread, of physical transactions that ended."""

    def committed(self, state: WriterState | None, outcome: GroupOutcome) -> None:
        """
        Take the outcome of a physical transaction, whose units wait for their answers.

        :param state: the durable state; None if the transaction failed.
        """


class Writer:
    """
    The loop of the writer's thread.

    `queue` takes lists of units, and jobs, from any thread.  None ends the loop, after what was
    queued before.
    """

    def __init__(
        self,
        connection: apsw.Connection,
        state: WriterState,
        new_group: Callable[[apsw.Connection, WriterState], CommitGroup],
        progress: DurabilityListener,
    ) -> None:
        self.queue: SimpleQueue[list[QueuedUnit] | Job | None] = SimpleQueue()
        self._connection = connection
        self._new_group = new_group
        self._progress = progress
        self._state: WriterState | None = state
        self._jobs: deque[Job] = deque(unfinished(connection, state))
        self._carried: deque[QueuedUnit] = deque()
        self._rest_until = 0.0
        self._frames = 0
        self._checkpoint_at = CHECKPOINT_FRAMES
        self._closing = False
        connection.set_wal_hook(self._logged)

    def run(self) -> Sequence[Job]:
        """
        Run units and jobs until the end is queued; return the jobs that were not finished.

        Then closes the connection, and leaves a file that needs no recovery.
        """
        while not self._closing or self._carried:
            units = self._gather()
            if units:
                self.run_group(units)
            if self._rest_seconds() == 0:
                self._step()
            if self._frames >= self._checkpoint_at:
                self._checkpoint()
        self._connection.set_wal_hook(None)
        with suppress(apsw.Error):
            self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        close(self._connection)
        return tuple(self._jobs)

    # -- the choice of work

    def _gather(self) -> list[QueuedUnit]:
        """Return the waiting units; block only if there is nothing else to do."""
        units = list(self._carried)
        self._carried.clear()
        queue = self.queue
        # While there are jobs, they get every other turn even if units wait.
        patience = 0.0 if units or self._closing else self._rest_seconds()
        while len(units) < GROUP_UNITS and (patience != 0 or queue.qsize()):
            try:
                item = queue.get(timeout=patience or None)
            except Empty:
                break
            patience = 0.0
            if isinstance(item, list):
                units.extend(item)
            elif item is None:
                self._closing = True
            else:
                self._jobs.append(item)
        self._carried.extend(units[GROUP_UNITS:])
        return units[:GROUP_UNITS]

    def _rest_seconds(self) -> float | None:
        """Return how long jobs can wait; None if there are none to be done."""
        if self._closing or not self._jobs:
            return None
        return max(0.0, self._rest_until - perf_counter())

    # -- physical transactions

    def run_group(self, units: list[QueuedUnit]) -> None:
        """
        Run units in one physical transaction; those beyond `GROUP_SECONDS` wait for the next.

        The outcome goes to the listener, also if the transaction failed.
        """
        started = perf_counter()
        ran, changed = self._execute(units)
        self._carried.extendleft(reversed(units[len(ran) :]))
        for unit in ran:
            self._jobs.extend(unit.jobs)
        self._tell(GroupOutcome(ran, *changed, perf_counter() - started))

    def _step(self) -> None:
        started = perf_counter()
        job = self._jobs[0]
        unit = QueuedUnit("maintenance", job)
        _, changed = self._execute([unit])
        outcome = GroupOutcome([], *changed, perf_counter() - started, unit.effects)
        if self._state is None:
            # The disk failed, not the job: try the job again after a rest.
            self._rest_until = perf_counter() + REST_SECONDS
            unit.result = True
        elif unit.failure is not None:
            # The next opening of the store resumes the building of indexes.
            log.failure("{job} of the store failed.", unit.failure, job=type(job).__name__)
            outcome.failed = (job, unit.failure)
        if unit.result:
            self._jobs.rotate(-1)
        else:
            self._jobs.popleft()
        self._tell(outcome)

    def _tell(self, outcome: GroupOutcome) -> None:
        self._progress.committed(self._state, outcome)

    def _execute(self, units: list[QueuedUnit]) -> tuple[list[QueuedUnit], Changed]:
        """Run the first units, as many as there is time for; return them, and what changed."""
        ran: list[QueuedUnit] = []
        group: CommitGroup | None = None
        end = perf_counter() + GROUP_SECONDS
        try:
            group = self._begin()
            for unit in units:
                ran.append(unit)
                if not unit.cancelled:
                    self._run_unit(group, unit)
                if perf_counter() > end:
                    break
            group.commit()
        except BaseException as error:
            ran = ran if group is not None else list(units)
            self._lose(group, ran, error)
            return ran, (set(), set())
        return ran, (group.collections, group.spaces)

    def _begin(self) -> CommitGroup:
        if self._state is None:
            self._state = WriterState.load(self._connection)
        return self._new_group(self._connection, self._state)

    def _run_unit(self, group: CommitGroup, unit: QueuedUnit) -> None:
        transaction = SqliteUnit(group, unit.name, unit.is_cancelled)
        try:
            unit.result = unit.work(transaction)
        except BaseException as error:
            unit.failure = _failure(group, unit.name, error)
            transaction.undo()
            if not group.alive:
                raise
            return
        unit.lsn = transaction.keep()
        if transaction.effects:
            unit.effects = transaction.effects
        if transaction.jobs:
            unit.jobs = transaction.jobs

    def _lose(self, group: CommitGroup | None, ran: list[QueuedUnit], error: BaseException) -> None:
        """Fail all units of a physical transaction that failed: nothing of them was stored."""
        log.error(
            "{count} units of work were not stored: {error}",
            count=len(ran),
            error=str(error),
            log_repeats="units not stored",
        )
        if group is not None:
            group.roll_back()
        # The state may contain changes that were rolled back: read it again before the next group.
        self._state = None
        for unit in ran:
            unit.result, unit.effects, unit.jobs = None, (), ()
            if unit.failure is None:
                unit.failure = _failure(group, unit.name, error)

    # -- the write-ahead log

    def _logged(self, connection: apsw.Connection, database: str, frames: int) -> int:
        if frames < self._frames:
            # SQLite has begun the log from its start again.
            self._checkpoint_at = CHECKPOINT_FRAMES
        self._frames = frames
        return apsw.SQLITE_OK

    def _checkpoint(self) -> None:
        """Copy the log into the file, so that the next group begins the log from its start."""
        try:
            self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        except apsw.Error as error:
            # Nothing is lost: all of it is in the log, which grows until the disk is well again.
            log.warn(
                "The write-ahead log was not copied into the file: {error}",
                error=str(error),
                log_repeats="write-ahead log not copied",
            )
        # A reader may hold part of it back: then wait for as much again before the next try.
        self._checkpoint_at = self._frames + CHECKPOINT_FRAMES


def _failure(group: CommitGroup | None, name: str, error: BaseException) -> Failure:
    if isinstance(error, UNREADABLE):
        translate = translated if group is None else group.damage.translated
        error = translate(name, error)
    return Failure(error)

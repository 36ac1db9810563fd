# SPDX-License-Identifier: Apache-2.0
"""The store on SQLite: its parts put together, and all that runs on the reactor thread."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from itertools import islice
from typing import Any, TypeVar

import apsw
from twisted.internet.defer import Deferred, DeferredSemaphore, fail
from twisted.internet.interfaces import IReactorFromThreads, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from edge_twisted.documents.clock import HybridClock, Timestamp
from edge_twisted.documents.versions import Replica
from edge_twisted.store.blobs.files import FileBlobStore
from edge_twisted.store.blobs.interface import BlobStore
from edge_twisted.store.errors import StoreClosed, StoreOverloaded, UnknownIndex
from edge_twisted.store.hooks import CommitHooks, RemovalHooks, call_effect
from edge_twisted.store.interface import (
    MOST_COLLECTIONS,
    RemovalHook,
    RowStream,
    Snapshot,
)
from edge_twisted.store.rows import Commit, DamageReport, UnitResult
from edge_twisted.store.scrubber import ScrubTarget
from edge_twisted.store.sqlite.answers import AnswerQueue
from edge_twisted.store.sqlite.connection import translating
from edge_twisted.store.sqlite.damage import DamageRecord
from edge_twisted.store.sqlite.files import Layout
from edge_twisted.store.sqlite.group import CommitGroup, Job
from edge_twisted.store.sqlite.indexes import IndexBuild
from edge_twisted.store.sqlite.opening import OpenFile, epoch_after, open_file
from edge_twisted.store.sqlite.quarantine import QuarantineMove
from edge_twisted.store.sqlite.readers import InlineReader, ReaderPool
from edge_twisted.store.sqlite.reaper import ReapJob
from edge_twisted.store.sqlite.scrub import SqliteScrubTarget
from edge_twisted.store.sqlite.snapshot import SqliteSnapshot
from edge_twisted.store.sqlite.state import WriterState
from edge_twisted.store.sqlite.streams import OPEN_STREAMS, BatchProducer, SqliteRowStream
from edge_twisted.store.sqlite.submissions import SubmissionQueue
from edge_twisted.store.sqlite.unit import SqliteUnit
from edge_twisted.store.sqlite.writer import GroupOutcome, QueuedUnit, Writer
from edge_twisted.store.threads import ThreadPool, shorten_switch_interval

log = Logger()

T = TypeVar("T")

#: Most units that wait; more are refused at once rather than answered too late.
QUEUE_LIMIT = 20_000
#: Threads for long reads; several help, because SQLite runs without the interpreter lock.
READER_THREADS = 3
#: A commit that took longer gets a line at debug level: the disk was busy, or the group was large.
SLOW_COMMIT_SECONDS = 0.1


class SqliteStore:
    """
    A `edge_twisted.store.interface.Store` in one SQLite file.

    :param layout: the folder and the name of the database.
    :param now_ms: the wall clock, in ms since 1970; called on any thread.
    :param entropy: returns so many random bytes.
    :param vfs: name of an apsw VFS, for tests that make the disk fail.
    :param most_collections: statements make no more of them than this.
    """

    def __init__(
        self,
        layout: Layout,
        *,
        threads: IReactorFromThreads,
        clock: IReactorTime,
        now_ms: Callable[[], int],
        entropy: Callable[[int], bytes],
        vfs: str | None = None,
        most_collections: int = MOST_COLLECTIONS,
    ) -> None:
        self._most_collections = most_collections
        self._layout = layout
        self._reactor = threads
        self._clock = clock
        self._now_ms = now_ms
        self._entropy = entropy
        self._vfs = vfs
        self._hooks = CommitHooks()
        self._answers = AnswerQueue(threads)
        self._reap_hooks = RemovalHooks()
        self._next_to_reap: str | None = None
        self._damage = DamageRecord(threads, self.quarantine)
        self._quarantine_hooks = RemovalHooks()
        self._open: OpenStore | None = None
        self._numbers: dict[str, int] = {}
        self._closing = False
        self._waiting = 0
        self._lsn = 0
        self._replica: Replica | None = None
        self._hybrid_clock = HybridClock()
        self._blobs = FileBlobStore(
            layout.attachments, self, threads=threads, now_ms=now_ms, entropy=entropy
        )
        self._index_waiters: dict[tuple[str, str], list[Deferred[None]]] = {}

    # -- life

    def open(self) -> Deferred[None]:
        assert self._open is None, "opened twice"
        return Deferred.fromCoroutine(self._open_files())

    async def _open_files(self) -> None:
        pool = ThreadPool(self._reactor, "store-reader", READER_THREADS)
        try:
            file, writer = await pool.call(self._open_writer)
        except BaseException:
            await pool.close()
            raise
        shorten_switch_interval()
        state = file.state
        self._publish(state)
        self._lsn, self._replica = state.lsn, state.replica
        self._damage.begin(len(state.quarantined))
        self._open = OpenStore(self, file, pool, writer)
        try:
            await self._blobs.start()
        except BaseException:
            await self.close()
            raise
        log.debug(
            "{path} was opened at commit {lsn}: {collections} collections, epoch {epoch}.",
            path=str(self._layout.database),
            lsn=self._lsn,
            collections=len(self._numbers),
            epoch=state.replica.epoch,
        )

    def _open_writer(self) -> tuple[OpenFile, Writer]:
        file = open_file(self._layout, self._entropy, self._vfs)
        try:
            with translating(str(self._layout.database)):
                return file, Writer(file.writer, file.state, self._new_group, self)
        except BaseException:
            file.close()
            raise

    def close(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._close())

    async def _close(self) -> None:
        if self._open is None or self._closing:
            return
        self._closing = True
        await self._blobs.stop()
        # Callers that are told of their commits now may still read.
        self._answers.flush()
        opened, self._open = self._open, None
        unfinished = await opened.close()
        self._answers.flush()
        for job in unfinished:
            self._job_failed(job, Failure(StoreClosed(type(job).__name__)))
        path = str(self._layout.database)
        log.debug("{path} was closed at commit {lsn}.", path=path, lsn=self._lsn)

    # -- without a read

    @property
    def replica(self) -> Replica:
        assert self._replica is not None, "not open"
        return self._replica

    @property
    def lsn(self) -> int:
        return self._lsn

    @property
    def hybrid_time(self) -> Timestamp:
        # The writer's own clock, so that it is never behind what a reader may see already.
        return self._hybrid_clock.last

    @property
    def blobs(self) -> BlobStore:
        return self._blobs

    def number_of(self, collection: str) -> int | None:
        """Return the number of a collection in the file, None without one; from any thread."""
        return self._numbers.get(collection)

    # -- work

    # `read` and `write` also take functions of this store's own snapshots and units.

    def write(self, name: str, work: Callable[[SqliteUnit], T]) -> Deferred[UnitResult[T]]:
        if self._open is None:
            return fail(StoreClosed(name))
        if self._waiting >= QUEUE_LIMIT:
            return fail(StoreOverloaded(name, f"{self._waiting} units of work"))
        self._waiting += 1
        unit = QueuedUnit(name, work)
        self._open.submit(unit)
        return unit.answer

    def read(self, name: str, work: Callable[[SqliteSnapshot], T]) -> Deferred[T]:
        if self._open is None:
            return fail(StoreClosed(name))
        return self._open.readers.read(name, work)

    def stream(self, name: str, work: Callable[[Snapshot], Iterator[T]]) -> RowStream[T]:
        if self._open is None:
            raise StoreClosed(name)
        return self._open.stream(name, work, self._clock)

    def snapshot(self) -> AbstractContextManager[SqliteSnapshot]:
        if self._open is None:
            raise StoreClosed("snapshot")
        return self._open.inline

    def hurried(self) -> AbstractContextManager[None]:
        if self._open is None:
            raise StoreClosed("snapshot")
        return self._open.inline.hurried

    def reap(self, received_before: int, most: int) -> Deferred[int]:
        """
        Delete tombstones received before a moment (ms since 1970), a few at a time.

        Fires with how many went, at most `most`.  The next run begins where this one ended, so that
        collections with ever new tombstones leave the others their turn.

        :raises StoreClosed: through the Deferred; the store is not open.
        """
        if self._open is None:
            return fail(StoreClosed("reap"))
        job = ReapJob(received_before, most, self._reap_hooks, self._next_to_reap)

        def remember(outcome: T) -> T:
            self._next_to_reap = job.next_collection
            return outcome

        self._open.writer.queue.put(job)
        return job.done.addBoth(remember)

    def before_reap(self, hook: RemovalHook) -> Callable[[], None]:
        return self._reap_hooks.add(hook)

    # -- damage

    def quarantine(self, collection: str, id_key: bytes) -> Deferred[bool]:
        work = QuarantineMove(collection, id_key, self._quarantine_hooks)
        return self.write("quarantine", work).addCallback(lambda done: done.result)

    def before_quarantine(self, hook: RemovalHook) -> Callable[[], None]:
        return self._quarantine_hooks.add(hook)

    @property
    def damage(self) -> DamageReport:
        return self._damage.report(self._blobs.damaged)

    @property
    def scrubbed(self) -> ScrubTarget:
        """The documents and blobs of this store, for a `Scrubber` to read and verify."""
        return SqliteScrubTarget(self, self._blobs.scrub)

    def watch_damage(self, hurry: Callable[[], None], lost: Callable[[str], None]) -> None:
        """
        Set the functions that are called when damage is found.

        :param hurry: called when a read met damage and cannot say where it is.
        :param lost: called with the id of a blob that went into quarantine, to be fetched again.
        """
        self._damage.hurry = hurry
        self._blobs.lost = lost

    # -- indexes

    def index_ready(self, collection: str, name: str) -> Deferred[None]:
        waiter: Deferred[None] = Deferred()
        self._index_waiters.setdefault((collection, name), []).append(waiter)
        self._index_changed(collection, name)
        return waiter

    def _index_changed(self, collection: str, name: str) -> None:
        """Answer the waiters for an index that was made, completed or dropped."""
        with self.snapshot() as snapshot:
            found = [each for each in snapshot.indexes(collection) if each.definition.name == name]
        if found and not found[0].ready:
            return
        gone = Failure(UnknownIndex(f"{collection}.{name}"))
        self._answer_index_waiters(collection, name, None if found else gone)

    def _answer_index_waiters(self, collection: str, name: str, failure: Failure | None) -> None:
        for waiter in self._index_waiters.pop((collection, name), ()):
            if waiter.called:
                continue
            if failure is None:
                waiter.callback(None)
            else:
                waiter.errback(failure)

    def _job_failed(self, job: Job, failure: Failure) -> None:
        if isinstance(job, ReapJob):
            job.fail(failure)
        elif isinstance(job, IndexBuild):
            self._answer_index_waiters(job.collection, job.name, failure)

    # -- commits

    def on_commit(self, hook: Callable[[Commit], None]) -> Callable[[], None]:
        return self._hooks.add(hook)

    def committed(self, state: WriterState | None, outcome: GroupOutcome) -> None:
        """
        Take a group's outcome on the writer's thread, and answer its units on the reactor's.

        Implements `DurabilityListener.committed`.
        """
        progress = None
        if state is not None:
            self._publish(state)
            self._damage.quarantined(len(state.quarantined))
            progress = state.lsn, state.replica
        self._reactor.callFromThread(self._answer, outcome, progress)

    def _publish(self, state: WriterState) -> None:
        self._hybrid_clock = state.clock
        # New collections are the last ones, and no collection is ever removed.  Names are added one
        # at a time, not by a new mapping: other threads may look up meanwhile, and a copy for each
        # new collection would cost as many steps as there are collections.
        news = len(state.collections) - len(self._numbers)
        for each in islice(reversed(state.collections.values()), news):
            self._numbers[each.name] = each.number

    def _answer(self, outcome: GroupOutcome, progress: tuple[int, Replica] | None) -> None:
        if progress is not None:
            self._lsn, self._replica = progress
        self._waiting -= len(outcome.units)
        for effect in outcome.effects:
            call_effect(effect)
        if outcome.failed is not None:
            self._job_failed(*outcome.failed)
        for unit in outcome.units:
            # Call effects before any unit is answered, so that callers find the effects done.
            for effect in unit.effects:
                call_effect(effect)
        if outcome.seconds > SLOW_COMMIT_SECONDS:
            log.debug(
                "The commit of {units} units took {seconds:.3f} s.",
                units=len(outcome.units),
                seconds=outcome.seconds,
            )
        answers = [unit.fire for unit in outcome.units]
        if outcome.collections:
            commit = Commit(
                lsn=self._lsn,
                collections=frozenset(outcome.collections),
                units=len(outcome.units),
                seconds=outcome.seconds,
                spaces=frozenset(outcome.spaces),
            )
            answers.append(lambda: self._hooks.call(commit))
        self._answers.add(answers)

    def _new_group(self, connection: apsw.Connection, state: WriterState) -> CommitGroup:
        return CommitGroup(
            connection,
            state,
            self._now_ms,
            lambda epoch: epoch_after(epoch, self._entropy),
            self._index_changed,
            self._damage.met,
            self._most_collections,
        )


class OpenStore:
    """The parts that exist only while the store is open: threads, connections, streams."""

    def __init__(
        self, store: SqliteStore, file: OpenFile, pool: ThreadPool, writer: Writer
    ) -> None:
        self._file = file
        self._pool = pool
        self.writer = writer
        self._writing = ThreadPool(store._reactor, "store-writer", 1)
        self._written = self._writing.call(writer.run)
        # The look-up itself: the reads of the reactor's thread are the most frequent.
        self.inline = InlineReader(file.inline, store._numbers.get, store._damage.met)
        self.readers = ReaderPool(pool, file.reader, store.number_of, store._damage.met)
        self._submissions: SubmissionQueue[QueuedUnit] = SubmissionQueue(
            store._reactor, writer.queue.put
        )
        #: Queues a unit; units of one turn of the reactor reach the writer together.
        self.submit = self._submissions.submit
        self._streams: set[SqliteRowStream[Any]] = set()
        self._permits = DeferredSemaphore(OPEN_STREAMS)

    def stream(
        self, name: str, work: Callable[[Snapshot], Iterator[T]], clock: IReactorTime
    ) -> RowStream[T]:
        """Begin a stream of the batches that `work` yields; it ends with the store at latest."""
        production = BatchProducer(name, work, self.readers)
        stream = SqliteRowStream(
            production, self._pool, self._permits, clock, self._streams.discard
        )
        self._streams.add(stream)
        return stream

    async def close(self) -> Sequence[Job]:
        """
        Finish the writes that wait, stop the reads, close every file, give up the folder's lock.

        Returns the jobs that were not finished.
        """
        for stream in tuple(self._streams):
            stream.close()
        self.readers.close()
        self._submissions.flush()
        self.writer.queue.put(None)
        unfinished = await self._written
        await self._writing.close()
        await self._pool.close()
        self.inline.close()
        self._file.lock.release()
        return unfinished

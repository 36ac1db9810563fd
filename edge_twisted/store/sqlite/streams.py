# SPDX-License-Identifier: Apache-2.0
"""
Streams: reads that yield batches, each made on a reader thread when it is asked for.

A stream keeps its snapshot between two steps.  An old snapshot keeps the write-ahead log from being
copied into the file, so the number of streams is bounded, and an idle stream is closed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Generic, TypeVar

import apsw
from attrs import define, field
from twisted.internet.defer import Deferred, DeferredSemaphore, fail, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from edge_twisted.store.errors import ReadCancelled, StoreClosed
from edge_twisted.store.interface import Snapshot
from edge_twisted.store.sqlite.connection import UNREADABLE
from edge_twisted.store.sqlite.readers import ReadCancellation, ReaderPool, transaction
from edge_twisted.store.sqlite.snapshot import SqliteSnapshot
from edge_twisted.store.threads import ThreadPool

T = TypeVar("T")

#: Most streams that hold a snapshot at a time; another stream waits until one ends.
OPEN_STREAMS = 16
#: A stream that is not asked for this long is closed.
IDLE_SECONDS = 30.0


@define(eq=False)
class BatchProducer(Generic[T]):
    """A stream's snapshot and iterator, used on reader threads, one call at a time."""

    name: str
    work: Callable[[Snapshot], Iterator[T]]
    pool: ReaderPool
    read: ReadCancellation = field(factory=ReadCancellation)
    _open: ExitStack = field(factory=ExitStack)
    _connection: apsw.Connection | None = None
    _batches: Iterator[T] | None = None

    def step(self) -> T | None:
        """
        Return the next batch, None at the end; on a reader thread, one call at a time.

        The first call takes the snapshot.

        :raises ReadCancelled: the stream was closed.
        :raises StoreError: SQLite's error, translated.
        """
        try:
            if self.read.is_cancelled():
                raise ReadCancelled(self.name)
            connection = self._connection or self._begin()
            with self.read.using(connection):
                if self._batches is None:
                    self._batches = iter(self.work(self._snapshot(connection)))
                return next(self._batches, None)
        except UNREADABLE as error:
            raise self.pool.damage.translated(self.name, error) from error

    def end(self) -> None:
        """End the snapshot and give the connection back; harmless when repeated."""
        self._batches = None
        self._open.close()

    def _begin(self) -> apsw.Connection:
        connection = self._connection = self.pool.borrow()
        self._open.callback(self.pool.give_back, connection)
        self._open.enter_context(transaction(connection))
        return connection

    def _snapshot(self, connection: apsw.Connection) -> SqliteSnapshot:
        snapshot = self.pool.snapshot(connection, self.name, self.read)
        self._open.callback(snapshot.finish)
        return snapshot


class SqliteRowStream(Generic[T]):
    """A `edge_twisted.store.interface.RowStream`: the reactor's side of a `BatchProducer`."""

    def __init__(
        self,
        production: BatchProducer[T],
        threads: ThreadPool,
        permits: DeferredSemaphore,
        reactor: IReactorTime,
        ended: Callable[[SqliteRowStream[T]], None],
    ) -> None:
        self._production = production
        self._threads = threads
        self._permits = permits
        self._reactor = reactor
        self._ended = ended
        self._begun = False
        self._stepping = False
        self._closed = False
        self._is_over = False
        self._timer: IDelayedCall | None = None

    def next(self) -> Deferred[T | None]:
        if self._is_over:
            return succeed(None)
        if self._closed:
            return fail(ReadCancelled(self._production.name))
        assert not self._stepping, "one call of next at a time"
        self._stop_timer()
        self._stepping = True
        return Deferred.fromCoroutine(self._next())

    async def _next(self) -> T | None:
        try:
            if not self._begun:
                await self._permits.acquire()
                self._begun = True
        except BaseException:
            self._stepping = False
            self._finish()
            raise
        return await self._step()

    def _step(self) -> Deferred[T | None]:
        """
        Make the next batch on a thread.

        A caller that cancels does not wait for the thread.  The end of the stream does, because
        the running step uses the connection.
        """
        answer: Deferred[T | None] = Deferred(lambda _: self.close())

        def stepped(outcome: T | Failure | None) -> None:
            self._stepping = False
            if outcome is None or isinstance(outcome, Failure) or self._closed:
                self._is_over = outcome is None
                self._finish()
            else:
                self._timer = self._reactor.callLater(IDLE_SECONDS, self.close)
            if not answer.called:
                # A Failure starts the error path.
                answer.callback(outcome)

        self._threads.call(self._production.step).addBoth(stepped)
        return answer

    def close(self) -> None:
        if self._closed:
            return
        self._production.read.cancel()
        if self._stepping:
            # The running step ends soon, and calls `_finish`.
            self._closed = True
        else:
            self._finish()

    def _finish(self) -> None:
        """Give the snapshot back, once."""
        self._closed = True
        self._stop_timer()
        if self._begun:
            self._begun = False
            try:
                self._threads.submit(self._production.end)
            except StoreClosed:
                # The last step ended after the threads did.
                self._production.end()
            self._permits.release()
        self._ended(self)

    def _stop_timer(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None

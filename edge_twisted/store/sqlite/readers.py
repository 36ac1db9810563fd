# SPDX-License-Identifier: Apache-2.0
"""
Readers: a few connections on threads for long reads, one on the reactor thread for short reads.

A read is one transaction, so it sees one commit.  Long reads can be interrupted at any row.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Lock
from time import perf_counter
from typing import TypeVar

import apsw
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from edge_twisted.store.errors import ReadCancelled, ReadTooLong
from edge_twisted.store.sqlite.connection import UNREADABLE, close
from edge_twisted.store.sqlite.damage import DamageReporter
from edge_twisted.store.sqlite.snapshot import SqliteSnapshot
from edge_twisted.store.threads import ThreadPool

T = TypeVar("T")

log = Logger()

#: A hurried read may take this long; the reactor is to be held for 10 ms at most.
HURRIED_SECONDS = 0.004
#: Steps of SQLite between two looks at the clock: about 7 rows, which may be large.
HURRIED_STEPS = 100
#: Idle connections that are kept open, each with up to 4 MiB of pages: one for each reader thread.
#: Streams open more for as long as they run.
KEPT_READERS = 3
OpenReader = Callable[[], apsw.Connection]
NumberOf = Callable[[str], "int | None"]


class ReadCancellation:
    """Cancels one read from another thread, and never the next read on its connection."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._connection: apsw.Connection | None = None
        self._cancelled = False

    def is_cancelled(self) -> bool:
        """Return whether the read was cancelled."""
        return self._cancelled

    def cancel(self) -> None:
        """Interrupt the running statement, and end the read at its next step; from any thread."""
        with self._lock:
            self._cancelled = True
            if self._connection is not None:
                self._connection.interrupt()

    @contextmanager
    def using(self, connection: apsw.Connection) -> Iterator[None]:
        """Let `cancel` interrupt this connection while the block runs."""
        with self._lock:
            self._connection = connection
        try:
            yield
        finally:
            with self._lock:
                self._connection = None


@contextmanager
def transaction(connection: apsw.Connection) -> Iterator[None]:
    """Hold one read transaction, so one snapshot, while the block runs."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        with suppress(apsw.Error):
            connection.execute("ROLLBACK")


class _TimeLimit:
    """A block that ends SQLite's work with `ReadTooLong`; one object serves every read."""

    def __init__(self) -> None:
        #: When the block must end, by `perf_counter`; None outside of a block.
        self._end: float | None = None

    def look(self) -> bool:
        """Return False to let SQLite continue, which calls this every `HURRIED_STEPS` steps."""
        if self._end is not None and perf_counter() > self._end:
            raise ReadTooLong("read")
        return False

    def __enter__(self) -> None:
        self._end = perf_counter() + HURRIED_SECONDS

    def __exit__(self, *exception: object) -> None:
        self._end = None


class InlineReader:
    """
    Short reads on the thread that asks, the reactor's: ``with reader as snapshot``.

    One object serves every read, because making one would cost as much as reading.  Blocks may be
    nested; inner blocks share the snapshot of the outermost.
    """

    def __init__(
        self, connection: apsw.Connection, number_of: NumberOf, damage: DamageReporter | None = None
    ) -> None:
        self._connection = connection
        # One cursor for BEGIN and ROLLBACK: `connection.execute` would make one for each.
        self._bounds = connection.cursor()
        self._snapshot = SqliteSnapshot(connection, number_of, "read", damage=damage)
        self._snapshot.keeps_indexes = True
        self._snapshot.cursors.may_be_ended = False
        self._depth = 0
        self.hurried = _TimeLimit()
        connection.set_progress_handler(self.hurried.look, HURRIED_STEPS)

    def __enter__(self) -> SqliteSnapshot:
        if not self._depth:
            self._bounds.execute("BEGIN")
        self._depth += 1
        return self._snapshot

    def __exit__(self, *exception: object) -> None:
        self._depth -= 1
        if not self._depth:
            self._snapshot.renew()
            self._bounds.execute("ROLLBACK")

    def close(self) -> None:
        """End the reads of the reactor's thread, and close the connection."""
        self._snapshot.finish()
        self._bounds.close(True)
        close(self._connection)


class ReaderPool:
    """Long reads: functions of a snapshot, run on threads."""

    def __init__(
        self,
        threads: ThreadPool,
        open_reader: OpenReader,
        number_of: NumberOf,
        damage: DamageReporter | None = None,
    ) -> None:
        self._threads = threads
        self._open_reader = open_reader
        self.damage = damage or DamageReporter()
        self.number_of = number_of
        self._idle: deque[apsw.Connection] = deque()
        self._running: set[ReadCancellation] = set()
        self._closed = False

    def read(self, name: str, work: Callable[[SqliteSnapshot], T]) -> Deferred[T]:
        """
        Run `work` on a thread; fire with its result.  Cancelling the Deferred interrupts it.

        :raises StoreError: `ReadCancelled` for an interrupted one; SQLite's errors are translated.
        """
        read = ReadCancellation()
        self._running.add(read)
        answer: Deferred[T] = Deferred(lambda _: read.cancel())

        def done(outcome: T) -> T:
            self._running.discard(read)
            return outcome

        self._threads.call(lambda: self._read(name, work, read)).addBoth(done).addCallbacks(
            lambda result: None if answer.called else answer.callback(result),
            lambda failure: None if answer.called else answer.errback(failure),
        )
        return answer

    def _read(self, name: str, work: Callable[[SqliteSnapshot], T], read: ReadCancellation) -> T:
        if read.is_cancelled():
            raise ReadCancelled(name)
        connection = self.borrow()
        try:
            # An interrupt must not reach what ends the transaction, so `using` is the inner one.
            with transaction(connection), read.using(connection):
                snapshot = self.snapshot(connection, name, read)
                try:
                    return work(snapshot)
                finally:
                    snapshot.finish()
        except UNREADABLE as error:
            raise self.damage.translated(name, error) from error
        finally:
            self.give_back(connection)

    def snapshot(
        self, connection: apsw.Connection, name: str, read: ReadCancellation
    ) -> SqliteSnapshot:
        """Return the snapshot for a read, over a connection with an open transaction."""
        return SqliteSnapshot(connection, self.number_of, name, read.is_cancelled, self.damage)

    def borrow(self) -> apsw.Connection:
        """
        Return an idle connection, or open one; from any thread.  Return it by `give_back`.

        :raises StoreError: a connection cannot be opened.
        """
        try:
            return self._idle.pop()
        except IndexError:
            return self._open_reader()

    def give_back(self, connection: apsw.Connection) -> None:
        """Take a borrowed connection back; close one whose transaction could not be ended."""
        if connection.in_transaction:
            log.warn("A connection was closed, for its transaction could not be ended.")
            close(connection)
            return
        self._idle.append(connection)
        if self._closed:
            self._close_idle()
        elif len(self._idle) > KEPT_READERS:
            with suppress(IndexError):
                close(self._idle.popleft())

    def close(self) -> None:
        """Interrupt all reads; connections in use are closed when they are given back."""
        self._closed = True
        for read in list(self._running):
            read.cancel()
        self._close_idle()

    def _close_idle(self) -> None:
        # Deques are safe to share between threads; each connection comes out once.
        with suppress(IndexError):
            while True:
                close(self._idle.pop())

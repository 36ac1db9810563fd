# SPDX-License-Identifier: Apache-2.0
"""
The threads of the server: loops over a queue, whose results come back on the reactor's thread.

Python threads share one interpreter lock, which a thread that computes gives up only when the
switch interval is over; the default of 5 ms means that a writer, which gives the lock away at each
call of SQLite, waits 5 ms for it again whenever the reactor is busy.  Measured with a reactor
that never rests: 9,800 inserts a second at 5 ms, 43,000 at 0.1 ms.  So `shorten_switch_interval`
belongs to having threads at all.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread, get_native_id
from typing import TypeVar

from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IReactorFromThreads
from twisted.logger import Logger
from twisted.python.failure import Failure

from edge_twisted.store.errors import StoreClosed

T = TypeVar("T")

log = Logger()

SWITCH_INTERVAL_SECONDS = 0.0001


def shorten_switch_interval() -> None:
    """Make the threads of this process take turns every 0.1 ms; keep a shorter interval."""
    if sys.getswitchinterval() > SWITCH_INTERVAL_SECONDS:
        sys.setswitchinterval(SWITCH_INTERVAL_SECONDS)


class ThreadPool:
    """
    A few threads that take jobs in the order they were given; none is started before it is needed.

    Jobs must not raise; `call` wraps a function so that its outcome comes back as a Deferred.

    `niceness` is that of nice(1): with more than 0, the threads get less of a busy processor.
    """

    def __init__(
        self, reactor: IReactorFromThreads, name: str, size: int, *, niceness: int = 0
    ) -> None:
        self._reactor = reactor
        self._name = name
        self._size = size
        self._niceness = niceness
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._threads: list[Thread] = []
        self._closed = False

    def submit(self, job: Callable[[], None]) -> None:
        """
        Queue a job; it runs on one of the threads, in the order of the calls.

        :param job: must not raise: an exception is only logged.
        :raises StoreClosed: the pool is closed.
        """
        if self._closed:
            raise StoreClosed(self._name)
        if len(self._threads) < self._size:
            thread = Thread(target=self._run, name=f"{self._name}-{len(self._threads)}")
            thread.daemon = True
            self._threads.append(thread)
            thread.start()
        self._jobs.put(job)

    def call(self, function: Callable[[], T]) -> Deferred[T]:
        """
        Run `function` on a thread; fire on the reactor thread with what it returned or raised.

        :raises StoreClosed: through the Deferred: the pool is closed, and nothing was run.
        """
        done: Deferred[T] = Deferred()

        def job() -> None:
            try:
                result = function()
            except BaseException:
                self._reactor.callFromThread(_fail, done, Failure())
            else:
                self._reactor.callFromThread(_succeed, done, result)

        try:
            self.submit(job)
        except StoreClosed:
            return fail()
        return done

    def close(self) -> Deferred[None]:
        """Refuse new jobs, finish the queued ones, end the threads; fire when they have ended."""
        self._closed = True
        done: Deferred[None] = Deferred()
        threads, self._threads = self._threads, []
        for _ in threads:
            self._jobs.put(None)

        def wait() -> None:
            for thread in threads:
                thread.join()
            self._reactor.callFromThread(done.callback, None)

        Thread(target=wait, name=f"{self._name}-close", daemon=True).start()
        return done

    def _run(self) -> None:
        if self._niceness:
            # Linux has it for each thread (setpriority(2), "C library/kernel differences").
            os.setpriority(os.PRIO_PROCESS, get_native_id(), self._niceness)
        while True:
            job = self._jobs.get()
            if job is None:
                return
            try:
                job()
            except BaseException:  # the boundary of the thread
                log.failure("A job on {name} raised.", name=self._name)


def _succeed(done: Deferred[T], result: T) -> None:
    if not done.called:
        done.callback(result)


def _fail(done: Deferred[T], failure: Failure) -> None:
    if not done.called:
        done.errback(failure)

# SPDX-License-Identifier: Apache-2.0
"""
The process around the services: signals and exit codes.

twistd ends with status 0 after a failed start, and re-raises SIGTERM after a clean stop; a
supervisor needs the opposite of both.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
from collections.abc import Callable

from twisted.internet.interfaces import IReactorCore, IReactorFromThreads

EX_FAILED = 1
EX_CONFIG = 78  # sysexits.h


class ExitStatus:
    """
    The status with which the process will end.

    Registered with `atexit` before anything else, so it runs last, after twistd has removed its
    pid file: nothing after `reactor.run` in twistd takes a status from us.
    """

    def __init__(self, leave: Callable[[int], None] = os._exit) -> None:
        self._status = 0
        self._leave = leave

    def install(self) -> None:
        """Register with `atexit`: the process will end with this status."""
        atexit.register(self._end)

    def fail(self, message: str, status: int = EX_FAILED) -> None:
        """Set the status, and print why on stderr; only the first failure counts for the status."""
        if not self._status:
            self._status = status
            sys.stderr.write(f"edge-server: {message}\n")

    def _end(self) -> None:
        if self._status:
            sys.stdout.flush()
            sys.stderr.flush()
            self._leave(self._status)


def install_signals(
    reactor: IReactorCore, threads: IReactorFromThreads, reload: Callable[[], None]
) -> None:
    """
    Make SIGTERM and SIGINT stop the reactor, and SIGHUP call `reload` on the reactor thread.

    Called once the reactor runs, because it installs handlers of its own when it starts.  Ours do
    not record the signal, so twistd returns and the process ends with status 0.
    """

    def stop() -> None:
        # A second signal while stopping is no reason for an error.
        if stop_requests:
            return
        stop_requests.append(True)
        reactor.stop()

    stop_requests: list[bool] = []
    # callFromThread is what wakes a reactor that sleeps in epoll.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: threads.callFromThread(stop))
    signal.signal(signal.SIGHUP, lambda *_: threads.callFromThread(reload))

# SPDX-License-Identifier: Apache-2.0
"""
Settings of the C library's allocator, so that it returns unused memory.

glibc gives each thread an arena of its own, up to eight for each core, and returns only what is
free at the very end of one: after a flood most of what it took stays with the process.  Two arenas
are enough for threads that mostly take turns anyway (10 MiB less at rest), and `malloc_trim`
returns free pages wherever they are.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any, Final

from twisted.application.service import Service
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

log = Logger()

#: The name of the setting in malloc.h, and its value here.
_M_ARENA_MAX: Final = -8
ARENAS: Final = 2
#: Between two trims.  One takes 1 to 4 ms of a thread for 100 MiB.
TRIM_SECONDS: Final = 30.0

#: Runs a function off the reactor's thread.
InThread = Callable[[Callable[[], object]], object]


class Allocator(Service):
    """
    Sets the allocator up at the start, and trims it while the server runs.

    Starts before any part that has threads.  With another C library than glibc it does nothing.
    """

    name = "allocator"

    def __init__(
        self, clock: IReactorTime, in_thread: InThread, library: Callable[[], Any] | None = None
    ) -> None:
        self._in_thread = in_thread
        self._library = library or glibc
        self._loop = LoopingCall(self._trim)
        self._loop.clock = clock
        self._glibc: Any = None

    def startService(self) -> None:
        """Bound the arenas of glibc's malloc, and begin to trim it every `TRIM_SECONDS`."""
        super().startService()
        self._glibc = self._library()
        if self._glibc is None:
            log.debug("This is not glibc: free memory is returned as the allocator likes")
            return
        self._glibc.mallopt(_M_ARENA_MAX, ARENAS)
        self._loop.start(TRIM_SECONDS, now=False)

    def stopService(self) -> None:
        """Stop trimming; the bound on arenas stays."""
        super().stopService()
        if self._loop.running:
            self._loop.stop()

    def _trim(self) -> None:
        # ctypes gives the interpreter lock away meanwhile.
        self._in_thread(lambda: self._glibc.malloc_trim(0))


def glibc() -> Any:
    """Return the C library of this process if it is glibc, else None."""
    try:
        found = ctypes.CDLL(None)
        for name in ("gnu_get_libc_version", "mallopt", "malloc_trim"):
            getattr(found, name)
    except (OSError, AttributeError):
        return None
    found.mallopt.argtypes = (ctypes.c_int, ctypes.c_int)
    found.malloc_trim.argtypes = (ctypes.c_size_t,)
    return found

# SPDX-License-Identifier: Apache-2.0
"""
Pace of Python's cyclic garbage collector, so that it never holds the reactor for long.

A collection stops all threads, for a time that grows with the objects of its generation.  With
Python's own thresholds the trees of one statement of 500 KB caused pauses of 100 to 300 ms; with
these, of about 10 ms.  The server makes few cycles, so old objects are examined rarely.
"""

from __future__ import annotations

import gc
from typing import Final

from twisted.application.service import Service

#: New objects per collection of the youngest generation (about 1 ms), such collections per one of
#: the middle generation (4 ms), and those per full collection (every 20 million objects).
THRESHOLDS: Final = (5_000, 4, 1_000)


class GarbageCollection(Service):
    """
    Sets the collector's thresholds while the server runs.

    Start it last: objects that exist then, mostly code, are never examined again.
    """

    name = "garbage collection"

    def __init__(self) -> None:
        self._before = gc.get_threshold()

    def startService(self) -> None:
        """Freeze the objects that exist now, and set the collector's thresholds."""
        super().startService()
        self._before = gc.get_threshold()
        gc.collect()
        gc.freeze()
        gc.set_threshold(*THRESHOLDS)

    def stopService(self) -> None:
        """Put the thresholds back, and unfreeze all objects."""
        super().stopService()
        gc.set_threshold(*self._before)
        gc.unfreeze()

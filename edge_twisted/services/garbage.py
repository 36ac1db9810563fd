# SPDX-License-Identifier: Apache-2.0
"""
When Python's cyclic garbage collector runs, so that it never holds the reactor for long.

A collection stops every thread for as long as its generation is large.  With Python's own numbers
the trees of one statement of 500 KB caused pauses of 100 to 300 ms; with these, of some 10 ms.
Nearly nothing of ours is cyclic, so that old objects are rarely worth a look.
"""

from __future__ import annotations

import gc
from typing import Final

from twisted.application.service import Service

#: Objects made until the youngest are looked at, how often that until the middle ones are, and how
#: often that until all are: about 1 ms, 4 ms, and once in 20 million objects.
THRESHOLDS: Final = (5_000, 4, 1_000)


class GarbageCollection(Service):
    """
    Sets the collector's pace while the server runs.

    What exists at its start, mostly code, is never looked at again: it starts when all is loaded.
    """

    name = "garbage collection"

    def __init__(self) -> None:
        self._before = gc.get_threshold()

    def startService(self) -> None:
        super().startService()
        self._before = gc.get_threshold()
        gc.collect()
        gc.freeze()
        gc.set_threshold(*THRESHOLDS)

    def stopService(self) -> None:
        super().stopService()
        gc.set_threshold(*self._before)
        gc.unfreeze()

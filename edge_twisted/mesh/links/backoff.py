# SPDX-License-Identifier: Apache-2.0
"""
Exponential backoff with jitter: how long to wait before the next try.

"Equal jitter" after Brooker, "Exponential Backoff And Jitter" (2015): half of the delay is fixed,
half is random.  So peers that were cut off together do not come back together, and no address is
tried without a pause.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

#: The first delay; a peer that restarts is back within about a second.
FIRST_SECONDS: Final = 0.25
_FACTOR: Final = 2.0


class Backoff:
    """The delays of one address, in seconds; `draw` returns a random number in [0, 1)."""

    def __init__(self, most_seconds: float, draw: Callable[[], float]) -> None:
        self.most_seconds = most_seconds
        self._draw = draw
        self._next = FIRST_SECONDS

    def delay(self) -> float:
        """Return the seconds to wait before the next try; they grow from try to try.

        It is at random between half and all of the current step (exponential backoff with jitter).
        """
        whole = min(self._next, self.most_seconds)
        self._next = min(self._next * _FACTOR, self.most_seconds)
        return whole * (0.5 + 0.5 * self._draw())

    def reset(self) -> None:
        """Begin with the first delay again: the last try was a success."""
        self._next = FIRST_SECONDS

# SPDX-License-Identifier: Apache-2.0
"""The window of time in which a throttle counts the requests of one caller."""

from __future__ import annotations

import math

from attrs import define


@define(eq=False)
class RateWindow:
    """A caller's window: its end, and how many of `limit` requests are still permitted in it."""

    #: When the window ends, in seconds of the throttle's clock.
    ends: float
    left: int
    limit: int

    def resets_in(self, now: float) -> int:
        """Return the whole seconds from `now` to the window's end, at least 1.

        `now` is in monotonic seconds.
        """
        return max(1, math.ceil(self.ends - now))

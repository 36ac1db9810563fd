# SPDX-License-Identifier: Apache-2.0
"""The window of time in which a throttle counts the requests of one caller."""

from __future__ import annotations

import math

from attrs import define


@define(eq=False)
class RateWindow:
    """When a caller's window ends, and how many of `limit` requests it still lets through."""

    #: By the throttle's clock, in seconds.
    ends: float
    left: int
    limit: int

    def resets_in(self, now: float) -> int:
        """Return in how many whole seconds the window is over, at least one."""
        return max(1, math.ceil(self.ends - now))

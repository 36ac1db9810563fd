# SPDX-License-Identifier: Apache-2.0
"""Token buckets: so many at once, then so many a second; the caller gives the time."""

from __future__ import annotations

from attrs import define, field, frozen


@frozen
class Rate:
    """A bound: `burst` at once, and `per_second` from then on."""

    burst: int
    per_second: float


@define(eq=False)
class Bucket:
    """What is left of one rate; a bucket begins full.  `now` is monotonic seconds."""

    rate: Rate
    _left: float = field(init=False)
    _at: float | None = None

    def __attrs_post_init__(self) -> None:
        self._left = self.rate.burst

    def take(self, count: float, now: float) -> bool:
        """Take `count` tokens if so many are left; return whether they were taken."""
        if self.left(now) < count:
            return False
        self._left -= count
        return True

    def charge(self, count: float, now: float) -> None:
        """Take `count` tokens, left or not; at most another `burst` is owed then."""
        self._left = max(self.left(now) - count, -float(self.rate.burst))

    def left(self, now: float) -> float:
        """Return how many tokens are left at `now`; a negative number is what is owed."""
        if self._at is not None and now > self._at:
            refilled = self._left + (now - self._at) * self.rate.per_second
            self._left = min(refilled, float(self.rate.burst))
        self._at = now
        return self._left

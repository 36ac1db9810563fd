# SPDX-License-Identifier: Apache-2.0
"""Token buckets: so many at once, so many a second.  They know no clock; time is given."""

from __future__ import annotations

from attrs import define, field, frozen


@frozen
class Rate:
    """What is let through: `burst` at once, and `per_second` from then on."""

    burst: int
    per_second: float


@define(eq=False)
class Bucket:
    """One count against a rate; it begins full.  `now` is monotonic seconds."""

    rate: Rate
    _left: float = field(init=False)
    _at: float | None = None

    def __attrs_post_init__(self) -> None:
        self._left = self.rate.burst

    def take(self, count: float, now: float) -> bool:
        """Take so many if they are there; return whether they were."""
        if self.left(now) < count:
            return False
        self._left -= count
        return True

    def charge(self, count: float, now: float) -> None:
        """Take so many, even if they are not there: up to another `burst` is owed then."""
        self._left = max(self.left(now) - count, -float(self.rate.burst))

    def left(self, now: float) -> float:
        """Return how many are there now; negative: so many are owed."""
        if self._at is not None and now > self._at:
            refilled = self._left + (now - self._at) * self.rate.per_second
            self._left = min(refilled, float(self.rate.burst))
        self._at = now
        return self._left

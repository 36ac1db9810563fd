# SPDX-License-Identifier: Apache-2.0
"""
How fast presence goes out over each link: a flood of it that comes in must not go out as ours.

What is too much at once waits, the newest record of each peer alone, and goes out by the clock.
"""

from __future__ import annotations

from typing import Generic, TypeVar

from attrs import define, field

from edge_twisted.mesh.limits.buckets import Bucket
from edge_twisted.mesh.limits.rates import OWN_PRESENCE
from edge_twisted.mesh.trust.peer_key import PeerKey

L = TypeVar("L")


@define(eq=False)
class _Pace:
    """What one link took lately, and the records that wait for it."""

    bucket: Bucket = field(factory=lambda: Bucket(OWN_PRESENCE))
    waiting: dict[PeerKey, bytes] = field(factory=dict)


class PresenceSpread(Generic[L]):
    """See the head of this module; `L` is a link, `now` monotonic seconds."""

    def __init__(self) -> None:
        self._paces: dict[L, _Pace] = {}

    def begins(self, link: L, records: int, now: float) -> None:
        """A link begins with everything that is known."""
        self._pace(link).bucket.charge(records, now)

    def goes_now(self, link: L, peer: PeerKey, record: bytes, now: float) -> bool:
        """Tell whether a peer's record may be sent at once; if not, it waits."""
        pace = self._pace(link)
        # One that is older must not come after it.
        if peer not in pace.waiting and pace.bucket.take(1, now):
            return True
        pace.waiting[peer] = record
        return False

    def due(self, link: L, now: float) -> tuple[bytes, ...]:
        """Return what has waited for long enough, and let it go."""
        pace = self._pace(link)
        due: list[bytes] = []
        while pace.waiting and pace.bucket.take(1, now):
            due.append(pace.waiting.pop(next(iter(pace.waiting))))
        return tuple(due)

    def ends(self, link: L) -> None:
        """The link is gone."""
        self._paces.pop(link, None)

    def _pace(self, link: L) -> _Pace:
        return self._paces.setdefault(link, _Pace())

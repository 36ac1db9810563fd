# SPDX-License-Identifier: Apache-2.0
"""
Pace of presence on each link, so that this server never passes on a flood of records.

Records beyond the rate wait, only the newest of each peer, and go out as time passes.
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
    """The rate limit of one link, and the records that wait for it."""

    bucket: Bucket = field(factory=lambda: Bucket(OWN_PRESENCE))
    waiting: dict[PeerKey, bytes] = field(factory=dict)


class PresenceSpread(Generic[L]):
    """The pace of all links; `L` is a link, `now` monotonic seconds."""

    def __init__(self) -> None:
        self._paces: dict[L, _Pace] = {}

    def begins(self, link: L, records: int, now: float) -> None:
        """Count the number of records that a new link begins with."""
        self._pace(link).bucket.charge(records, now)

    def goes_now(self, link: L, peer: PeerKey, record: bytes, now: float) -> bool:
        """Return whether a peer's record may be sent now; if not, it waits for `due`."""
        pace = self._pace(link)
        # A record that waits is older, and must not be sent after this one.
        if peer not in pace.waiting and pace.bucket.take(1, now):
            return True
        pace.waiting[peer] = record
        return False

    def due(self, link: L, now: float) -> tuple[bytes, ...]:
        """Remove and return the waiting records that may be sent now."""
        pace = self._pace(link)
        due: list[bytes] = []
        while pace.waiting and pace.bucket.take(1, now):
            due.append(pace.waiting.pop(next(iter(pace.waiting))))
        return tuple(due)

    def ends(self, link: L) -> None:
        """Forget a link that is gone."""
        self._paces.pop(link, None)

    def _pace(self, link: L) -> _Pace:
        return self._paces.setdefault(link, _Pace())

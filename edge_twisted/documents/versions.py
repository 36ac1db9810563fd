# SPDX-License-Identifier: Apache-2.0
"""
Who wrote what: replicas, dots, and version vectors.

A replica is a site in one of its epochs; a site takes a new epoch when its store was copied or
restored, so that no two writes ever share a dot.  A dot names one write.  A version vector says,
for each replica, that all its writes up to a number have been seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple, NewType

#: 16 random bytes that a store keeps for ever.
SiteId = NewType("SiteId", bytes)
SITE_BYTES: Final = 16


class Replica(NamedTuple):
    """A site in one of its epochs."""

    site: SiteId
    epoch: int


class Dot(NamedTuple):
    """One write: the `sequence`-th, from 1, of a replica."""

    replica: Replica
    sequence: int


class VersionVector(Mapping[Replica, int]):
    """
    The writes that have been seen: of each replica, all up to a number; immutable.

    A replica that is not named has been seen up to 0.
    """

    __slots__ = ("_seen",)

    def __init__(self, seen: Mapping[Replica, int] | Iterable[tuple[Replica, int]] = ()) -> None:
        self._seen: dict[Replica, int] = dict(seen)

    # -- Mapping

    def __getitem__(self, replica: Replica) -> int:
        return self._seen[replica]

    def __iter__(self) -> Iterator[Replica]:
        return iter(self._seen)

    def __len__(self) -> int:
        return len(self._seen)

    def __hash__(self) -> int:
        return hash(frozenset(self._seen.items()))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, VersionVector) and self._seen == other._seen

    def __repr__(self) -> str:
        inner = ", ".join(f"{r.site.hex()[:8]}/{r.epoch}: {n}" for r, n in sorted(self.items()))
        return f"VersionVector({inner})"

    # -- what it says

    def seen(self, replica: Replica) -> int:
        """Return up to which number the writes of a replica have been seen."""
        return self._seen.get(replica, 0)

    def covers(self, dot: Dot) -> bool:
        """Return whether a write has been seen."""
        return dot.sequence <= self._seen.get(dot.replica, 0)

    def includes(self, other: VersionVector) -> bool:
        """Return whether everything that `other` has seen has been seen."""
        mine = self._seen
        # A loop, for `all` over a generator takes twice as long, and every document asks.
        for replica, number in other._seen.items():  # noqa: SIM110
            if mine.get(replica, 0) < number:
                return False
        return True

    def with_dot(self, dot: Dot) -> VersionVector:
        """Return this vector after one more write, and all of its replica before it."""
        if self.covers(dot):
            return self
        return VersionVector({**self._seen, dot.replica: dot.sequence})

    def joined(self, other: VersionVector) -> VersionVector:
        """Return what either has seen."""
        if self.includes(other):
            return self
        found = dict(self._seen)
        for replica, number in other._seen.items():
            if number > found.get(replica, 0):
                found[replica] = number
        return VersionVector(found)


NO_VERSION: Final = VersionVector()

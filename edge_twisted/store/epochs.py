# SPDX-License-Identifier: Apache-2.0
"""The epochs that a site has left, and its last write in each: one fact, kept by every store."""

from __future__ import annotations

from struct import Struct
from typing import Final, Protocol

from edge_twisted.documents.versions import Dot, Replica, SiteId, VersionVector

#: Where the fact is.
SPACE: Final = "site"
KEY: Final = b"epochs"
_EPOCH: Final = Struct(">QQ")


class FactReader(Protocol):
    """A snapshot or a unit of work."""

    def fact(self, space: str, key: bytes) -> bytes | None:
        """Return the value of a fact; None if the fact does not exist."""


def with_epoch(fact: bytes | None, last: Dot) -> bytes:
    """
    Return the fact, one entry longer, after a site left the epoch of its last write, `last`.

    An entry is epoch and sequence, 64 bits each, big-endian.  An epoch without writes adds none, so
    that many restores do not make the fact grow.

    :param fact: the value before; None if the site has left no epoch yet.
    """
    if not last.sequence:
        return fact or b""
    return (fact or b"") + _EPOCH.pack(last.replica.epoch, last.sequence)


def written(facts: FactReader, last: Dot) -> VersionVector:
    """Return all writes of a site: in the epochs that it left, and in this one up to `last`."""
    site, fact = last.replica.site, facts.fact(SPACE, KEY)
    found = {Replica(site, epoch): number for epoch, number in _EPOCH.iter_unpack(fact or b"")}
    found[last.replica] = last.sequence
    return VersionVector({replica: number for replica, number in found.items() if number})


def last_of(site: bytes, epoch: int, sequence: int) -> Dot:
    """Return the dot of a site's last write; sequence 0 if the site has not written yet."""
    return Dot(Replica(SiteId(site), epoch), sequence)

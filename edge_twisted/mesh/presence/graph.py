# SPDX-License-Identifier: Apache-2.0
"""
The presence graph: who is in the mesh, and who is linked with whom.

Each peer publishes one record of itself, and raises its stamp with each change.  Records are
flooded over links, and each peer keeps the newest one of every other.  Links are reliable and in
order, and a new link begins with all records of both ends, so all connected peers agree.  The graph
that is shown follows from the records alone:

- A link counts only if both ends claim it.  So nobody has to announce that a peer has died: its
  neighbours no longer claim their links with it, and it leaves every graph with their next records.
- A peer counts only if a path of such links leads to it from here.

A record is remembered for a while longer, so that an old copy of it does not count as news.

The graph believes the records that it is given; `gossip` checks who says what.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, Literal, NamedTuple

from attrs import evolve, frozen

from edge_twisted.mesh.trust.peer_key import PeerKey, is_peer_key

#: Links in one record: more than one server has, and 48 KiB of text.
MAX_CONNECTIONS: Final = 1024
#: Peers that are remembered; flooding does not suit larger meshes.
MAX_RECORDS: Final = 1024
#: Links in all records together, which bounds the memory of the graph: about 100 bytes each.
MAX_CLAIMS: Final = 32_768
#: Characters of a device name, as in the configuration.
MAX_NAME: Final = 256
#: Characters of the names of system and version.
MAX_LABEL: Final = 64
#: Bound of a stamp's numbers: 64 bits hold it, and there is room above any stamp in use.
MAX_STAMP: Final = 2**62
#: How long the record of a peer that cannot be reached is remembered.
FORGET_SECONDS: Final = 60.0

#: The kind of a link, as the published graph names it.
LinkKind = Literal["AccessPoint", "WebSocket"]


class RecordVersion(NamedTuple):
    """The version of a record: the start of its peer's process, and its changes since."""

    boot: int
    counter: int


class Claim(NamedTuple):
    """A peer's claim that it is linked with `peer`."""

    peer: PeerKey
    kind: LinkKind


@frozen(kw_only=True)
class PresenceRecord:
    """What a peer says of itself; `claims` are sorted and without duplicates."""

    peer: PeerKey
    stamp: RecordVersion
    device_name: str
    os: str
    version: str
    claims: tuple[Claim, ...] = ()
    #: By the peer, over all of the above (`codec.signed_bytes`); empty: unsigned.
    signature: bytes = b""

    @property
    def rank(self) -> tuple[object, ...]:
        """The place in the order of records of one peer, to be compared with others.

        The order is total, so that all servers keep the same record, the highest.
        """
        return (self.stamp, self.claims, self.device_name, self.os, self.version)


def is_sound(record: PresenceRecord) -> bool:
    """Return whether a record from another peer is within the limits."""
    return (
        is_peer_key(record.peer)
        and 0 <= min(record.stamp) <= max(record.stamp) < MAX_STAMP
        and len(record.device_name) <= MAX_NAME
        and max(len(record.os), len(record.version)) <= MAX_LABEL
        and len(record.claims) <= MAX_CONNECTIONS
        and all(is_peer_key(claim.peer) for claim in record.claims)
        and all(a < b for a, b in zip(record.claims, record.claims[1:], strict=False))
    )


class PresenceGraph:
    """The records that one peer knows; `local` is its own."""

    def __init__(self, local: PresenceRecord) -> None:
        self._local = local
        self._records: dict[PeerKey, PresenceRecord] = {}
        self._claims = 0
        self._reachable: dict[PeerKey, PresenceRecord] | None = None
        self._out_of_reach_since: dict[PeerKey, float] = {}

    @property
    def local(self) -> PresenceRecord:
        """This peer's own record, as last published."""
        return self._local

    def sign_local(self, signature: bytes) -> PresenceRecord:
        """Set the signature of this peer's own record; return the record."""
        self._local = evolve(self._local, signature=signature)
        return self._local

    def is_news(self, record: PresenceRecord) -> bool:
        """Return whether a record is newer than the one known of the same peer, if any."""
        if record.peer == self._local.peer:
            return record.rank > self._local.rank
        known = self._records.get(record.peer)
        return known is None or record.rank > known.rank

    def publish(self, claims: Iterable[Claim]) -> PresenceRecord | None:
        """Set this peer's links; return its new record, to be sent to all; None: no change."""
        fresh = tuple(sorted(set(claims)))[:MAX_CONNECTIONS]
        if fresh == self._local.claims:
            return None
        return self._restamp(self._local.stamp, fresh)

    def receive(self, record: PresenceRecord) -> PresenceRecord | None:
        """
        Take a record (`is_sound`) of another peer, if it is news; return the record to send on.

        That is the record itself, for all links but the one that it came over.  If it is a record
        of this peer from before a restart, it is this peer's own, newer one, for all links.  None:
        there is nothing to send.
        """
        if not self.is_news(record):
            return None
        if record.peer == self._local.peer:
            return self._restamp(record.stamp, self._local.claims)
        known = self._records.get(record.peer)
        if not self._has_room_for(record, known):
            return None
        self._records[record.peer] = record
        self._claims += len(record.claims) - (len(known.claims) if known else 0)
        self._reachable = None
        return record

    def everything(self) -> Sequence[PresenceRecord]:
        """Return all records for a new link: this peer's own first."""
        return (self._local, *self._records.values())

    def peers(self) -> Sequence[PresenceRecord]:
        """Return the records of other peers that can be reached, sorted by key."""
        reachable = self._reached()
        return [reachable[key] for key in sorted(reachable) if key != self._local.peer]

    def links(self, record: PresenceRecord) -> Sequence[Claim]:
        """Return the links of a peer that both ends claim, with peers that can be reached."""
        reachable = self._reached()
        return [
            claim
            for claim in record.claims
            if claim.peer in reachable
            and Claim(record.peer, claim.kind) in reachable[claim.peer].claims
        ]

    def forget(self, now: float) -> None:
        """Drop records of peers that were out of reach for `FORGET_SECONDS`; `now` in seconds."""
        reachable = self._reached()
        gone = self._records.keys() - reachable.keys()
        since = {key: self._out_of_reach_since.get(key, now) for key in gone}
        for key in [key for key, moment in since.items() if now - moment >= FORGET_SECONDS]:
            del since[key]
            self._drop(key)
        self._out_of_reach_since = since

    # -- inner

    def _restamp(self, above: RecordVersion, claims: tuple[Claim, ...]) -> PresenceRecord:
        stamp = RecordVersion(above.boot, above.counter + 1)
        self._local = evolve(self._local, stamp=stamp, claims=claims, signature=b"")
        self._reachable = None
        return self._local

    def _has_room_for(self, record: PresenceRecord, known: PresenceRecord | None) -> bool:
        if self._fits(record, known):
            return True
        # Drop records of peers out of reach, the longest out of reach first.
        reachable = self._reached()
        gone = (key for key in self._records if key not in reachable and key != record.peer)
        for key in sorted(gone, key=lambda k: self._out_of_reach_since.get(k, float("inf"))):
            self._drop(key)
            if self._fits(record, known):
                return True
        return False

    def _fits(self, record: PresenceRecord, known: PresenceRecord | None) -> bool:
        claims = self._claims + len(record.claims) - (len(known.claims) if known else 0)
        return claims <= MAX_CLAIMS and (known is not None or len(self._records) < MAX_RECORDS)

    def _drop(self, key: PeerKey) -> None:
        self._claims -= len(self._records.pop(key).claims)
        self._out_of_reach_since.pop(key, None)

    def _reached(self) -> Mapping[PeerKey, PresenceRecord]:
        if self._reachable is None:
            self._reachable = dict(self._walk())
        return self._reachable

    def _walk(self) -> Iterator[tuple[PeerKey, PresenceRecord]]:
        """Yield peers and records that links claimed by both ends lead to, the local one first."""
        records = {**self._records, self._local.peer: self._local}
        claimed = {key: frozenset(record.claims) for key, record in records.items()}
        seen = {self._local.peer}
        waiting = [self._local]
        while waiting:
            record = waiting.pop()
            yield record.peer, record
            for claim in record.claims:
                back = Claim(record.peer, claim.kind)
                if claim.peer not in seen and back in claimed.get(claim.peer, ()):
                    seen.add(claim.peer)
                    waiting.append(records[claim.peer])

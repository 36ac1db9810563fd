# SPDX-License-Identifier: Apache-2.0
"""
The presence graph: who is in the mesh, and who is linked with whom.

Every peer publishes one record of itself and raises its stamp with every change; records are
flooded over links, and each peer keeps the newest of each.  Links are reliable and in order, and a
new link begins with everything that both ends know, so all who are connected agree.  What is shown
is drawn from the records alone:

- a link counts only if both ends claim it, so a peer that died needs no funeral: its neighbours
  stop claiming, and it falls out of everyone's graph with their next records;
- a peer counts only if a path of such links leads to it from here.

Records are remembered a while after that, so that old news of a peer does not pass for new.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, Literal, NamedTuple

from attrs import evolve, frozen

from edge_twisted.mesh.trust.peer_key import PeerKey, is_peer_key

#: Links in one record: more than a process of this kind serves, and 48 KiB of text.
MAX_CONNECTIONS: Final = 1024
#: Peers that are remembered; a mesh of more is beyond what flooding is for.
MAX_RECORDS: Final = 1024
#: Links in all records together: with about 100 bytes each, what the graph may cost.
MAX_CLAIMS: Final = 32_768
#: Of a device name, in characters, as in the configuration.
MAX_NAME: Final = 256
#: Of the names of system and version.
MAX_LABEL: Final = 64
#: Of a stamp's numbers: whoever has to go beyond what was said of it can, and 64 bits hold it.
MAX_STAMP: Final = 2**62
#: How long a peer out of reach is remembered.
FORGET_SECONDS: Final = 60.0

#: How two peers are linked, in the words of the published graph.
LinkKind = Literal["AccessPoint", "WebSocket"]


class RecordVersion(NamedTuple):
    """The version of a record: the start of its peer's process, and its changes since."""

    boot: int
    counter: int


class Claim(NamedTuple):
    """One end's word that it is linked with `peer`."""

    peer: PeerKey
    kind: LinkKind


@frozen(kw_only=True)
class PresenceRecord:
    """What a peer says of itself; `claims` are sorted and hold no peer twice by one kind."""

    peer: PeerKey
    stamp: RecordVersion
    device_name: str
    os: str
    version: str
    claims: tuple[Claim, ...] = ()

    @property
    def rank(self) -> tuple[object, ...]:
        """The higher is kept; total, so that two records of one stamp end alike everywhere."""
        return (self.stamp, self.claims, self.device_name, self.os, self.version)


def is_sound(record: PresenceRecord) -> bool:
    """Tell whether a record that came from elsewhere keeps the bounds."""
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
    """The mesh as the peer of `local` knows it."""

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

    def publish(self, claims: Iterable[Claim]) -> PresenceRecord | None:
        """Take over this peer's links; return its new record, to be sent to all, or None."""
        fresh = tuple(sorted(set(claims)))[:MAX_CONNECTIONS]
        if fresh == self._local.claims:
            return None
        return self._restamp(self._local.stamp, fresh)

    def receive(self, record: PresenceRecord) -> PresenceRecord | None:
        """
        Take a sound record over if it is news.

        Returns what must be sent on: that record, to all but the link that it came over; or, when
        it was an older life's of this very peer, this peer's own, to all; or None.
        """
        if record.peer == self._local.peer:
            stale = record.rank <= self._local.rank
            return None if stale else self._restamp(record.stamp, self._local.claims)
        known = self._records.get(record.peer)
        if known is not None and record.rank <= known.rank:
            return None
        if not self._has_room_for(record, known):
            return None
        self._records[record.peer] = record
        self._claims += len(record.claims) - (len(known.claims) if known else 0)
        self._reachable = None
        return record

    def everything(self) -> Sequence[PresenceRecord]:
        """Return all records, for a link that begins: this peer's, then the others'."""
        return (self._local, *self._records.values())

    def peers(self) -> Sequence[PresenceRecord]:
        """Return the others that can be reached, by key."""
        reachable = self._reached()
        return [reachable[key] for key in sorted(reachable) if key != self._local.peer]

    def links(self, record: PresenceRecord) -> Sequence[Claim]:
        """Return the links of a record that both ends claim, to peers that can be reached."""
        reachable = self._reached()
        return [
            claim
            for claim in record.claims
            if claim.peer in reachable
            and Claim(record.peer, claim.kind) in reachable[claim.peer].claims
        ]

    def forget(self, now: float) -> None:
        """Drop records of peers that have been out of reach for long; `now` in seconds."""
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
        self._local = evolve(self._local, stamp=stamp, claims=claims)
        self._reachable = None
        return self._local

    def _has_room_for(self, record: PresenceRecord, known: PresenceRecord | None) -> bool:
        if self._fits(record, known):
            return True
        # Those out of reach go first, the longest so before the others.
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
        """Yield all that can be reached over links that both ends claim, the local peer first."""
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

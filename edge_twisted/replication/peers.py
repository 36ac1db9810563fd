# SPDX-License-Identifier: Apache-2.0
"""
Progress of each peer with the documents of this server: ``system:data_sync_info``.

It is kept in memory and written as facts now and then.  An acknowledgement is not worth an fsync:
after a crash peers tell their progress again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec.msgpack
from attrs import evolve, frozen

from edge_twisted.documents.values import Value
from edge_twisted.records.facts import ACKNOWLEDGED, PEERS
from edge_twisted.store.interface import Snapshot, UnitOfWork

NONE: Final = -1

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[int, int]).decode


@frozen(kw_only=True)
class PeerProgress:
    """The commit here up to which a peer has all it wants, and when (ms) documents came from it."""

    acknowledged_lsn: int = NONE
    received_at: int = NONE


class PeerRecords:
    """All peers that were ever linked, by peer key; for the reactor thread."""

    def __init__(self) -> None:
        self._peers: dict[str, PeerProgress] = {}
        self._changed: set[str] = set()

    def load(self, snapshot: Snapshot) -> None:
        """
        Load all peers from the store, in place of those here.

        Acknowledged commits beyond the store's newest one are from before a restore, and lowered to
        it.
        """
        self._peers = {
            key: evolve(peer, acknowledged_lsn=min(peer.acknowledged_lsn, snapshot.lsn))
            for key, peer in stored_peers(snapshot).items()
        }
        self._changed.clear()

    def progress(self, peer: str) -> PeerProgress:
        """Return the progress of a peer by its key; of an unknown peer the defaults (-1)."""
        return self._peers.get(peer, PeerProgress())

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of all peers that were ever linked, sorted."""
        return tuple(sorted(self._peers))

    def met(self, peer: str) -> None:
        """Note a link with a peer, so that it is listed from now on."""
        self._change(peer, self.progress(peer))

    def acknowledged(self, peer: str, lsn: int) -> None:
        """Note that a peer has all it wants up to the commit `lsn` of this server."""
        self._change(peer, evolve(self.progress(peer), acknowledged_lsn=lsn))

    def received(self, peer: str, now_ms: int) -> None:
        """Note that documents came from a peer at `now_ms` (ms since 1970)."""
        self._change(peer, evolve(self.progress(peer), received_at=now_ms))

    def _change(self, peer: str, progress: PeerProgress) -> None:
        if self._peers.get(peer) != progress:
            self._peers[peer] = progress
            self._changed.add(peer)

    def take_changes(self) -> dict[str, PeerProgress]:
        """Return peer key -> progress where it changed since the last call, for `store_peers`."""
        changed = {peer: self._peers[peer] for peer in self._changed}
        self._changed.clear()
        return changed

    def rows(self, statuses: Mapping[str, str]) -> Iterator[dict[str, Value]]:
        """
        Yield the documents of ``system:data_sync_info``, by peer key.

        :param statuses: peer key -> status, of peers that are not "Not Connected".
        """
        for key in sorted(self._peers):
            peer = self._peers[key]
            documents: dict[str, Value] = {
                "sync_session_status": statuses.get(key, "Not Connected"),
                "synced_up_to_local_commit_id": peer.acknowledged_lsn,
                "last_update_received_time": peer.received_at,
            }
            yield {"_id": key, "is_ditto_server": False, "documents": documents}


def store_peers(unit: UnitOfWork, changed: Mapping[str, PeerProgress]) -> None:
    """Store what `PeerRecords.take_changes` returned, and the highest acknowledged commit."""
    if not changed:
        return
    newest = max(peer.acknowledged_lsn for peer in changed.values())
    fact = unit.fact(ACKNOWLEDGED, b"")
    if newest > (NONE if fact is None else int.from_bytes(fact, "big")):
        unit.put_fact(ACKNOWLEDGED, b"", newest.to_bytes(8, "big"))
    for key, peer in changed.items():
        unit.put_fact(PEERS, key.encode(), _encode([peer.acknowledged_lsn, peer.received_at]))


def stored_peers(snapshot: Snapshot) -> dict[str, PeerProgress]:
    """Return peer key -> progress of all peers in the store."""
    found: dict[str, PeerProgress] = {}
    after: bytes | None = None
    while facts := snapshot.facts(PEERS, after=after):
        for key, value in facts:
            acknowledged, received = _decode(value)
            found[key.decode()] = PeerProgress(acknowledged_lsn=acknowledged, received_at=received)
        after = facts[-1][0]
    return found

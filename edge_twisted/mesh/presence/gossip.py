# SPDX-License-Identifier: Apache-2.0
"""Gossip of presence: takes encoded records into the graph, and says what to send on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from attrs import frozen

from edge_twisted.mesh.presence.codec import decode, encode
from edge_twisted.mesh.presence.graph import Claim, PresenceGraph
from edge_twisted.mesh.trust.peer_key import PeerKey


@frozen
class Spread:
    """An encoded record to be sent over all links, or all but the one that it came over."""

    peer: PeerKey
    record: bytes
    to_all: bool


class Gossip:
    """The presence graph, with records as bytes."""

    def __init__(self, graph: PresenceGraph) -> None:
        self.graph = graph

    def publish(self, claims: Iterable[Claim]) -> bytes | None:
        """Set this server's links; return its new record, None if they have not changed."""
        record = self.graph.publish(claims)
        return None if record is None else encode(record)

    def heard(self, records: Sequence[bytes]) -> Iterator[Spread]:
        """Take records that came over a link; yield those that are news."""
        for data in records:
            record = decode(data)
            news = None if record is None else self.graph.receive(record)
            if record is None or news is None:
                continue
            own = news.peer == self.graph.local.peer
            yield Spread(news.peer, encode(news) if own else data, to_all=own)

    def everything(self) -> tuple[bytes, ...]:
        """Return all records, for a new link."""
        return tuple(encode(record) for record in self.graph.everything())

    def forget(self, now: float) -> None:
        """See `PresenceGraph.forget`."""
        self.graph.forget(now)

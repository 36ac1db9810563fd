# SPDX-License-Identifier: Apache-2.0
"""The presence graph as ``GET /presence`` shows it."""

from __future__ import annotations

import platform
from collections.abc import Mapping

from edge_twisted.api.presence import SERVER_VERSION, Graph, PresenceLink, PresencePeer
from edge_twisted.mesh.presence.graph import PresenceGraph, PresenceRecord, RecordVersion
from edge_twisted.mesh.trust.peer_key import PeerKey


def local_record(us: PeerKey, device_name: str, boot_ms: int) -> PresenceRecord:
    """Return this server's presence record at its start.

    `boot_ms` is the date of the start in ms since 1970.  A clock that was set back since the last
    start does no harm: peers send the record that they still have, and the graph then raises the
    stamp above it.
    """
    return PresenceRecord(
        peer=us,
        stamp=RecordVersion(max(boot_ms, 0), 0),
        device_name=device_name,
        os=platform.system(),
        version=SERVER_VERSION,
    )


def shown_graph(graph: PresenceGraph, metadata: Mapping[str, object] | None = None) -> Graph:
    """Return the graph in the form of ``GET /presence``; `metadata` is added to the own peer."""
    return Graph(
        local=_peer(graph, graph.local, metadata or {}),
        remote=tuple(_peer(graph, record, {}) for record in graph.peers()),
    )


def _peer(
    graph: PresenceGraph, record: PresenceRecord, metadata: Mapping[str, object]
) -> PresencePeer:
    return PresencePeer(
        key=record.peer,
        device_name=record.device_name,
        os=record.os or None,
        version=record.version or None,
        metadata=metadata,
        connections=tuple(
            PresenceLink.between(record.peer, claim.peer, claim.kind)
            for claim in graph.links(record)
        ),
    )

# SPDX-License-Identifier: Apache-2.0
"""Account of the mesh: the audit log, and the metrics, of who came, went and sent what."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from twisted.internet.interfaces import IReactorTime

from edge_twisted.api.metrics import Metrics
from edge_twisted.logs.audit import AuditEvent, AuditLog
from edge_twisted.mesh.links.link import Link
from edge_twisted.mesh.links.node import MeshNode
from edge_twisted.mesh.ports.effects import Received
from edge_twisted.mesh.trust.peer_key import PeerKey


class MeshAccount:
    """Part of an observer of a `MeshNode`."""

    def __init__(self, metrics: Metrics, audit: AuditLog, clock: IReactorTime) -> None:
        self._metrics = metrics
        self._audit = audit
        self._clock = clock
        self._since: dict[PeerKey | None, float] = {}
        self._counted = (0, 0)

    def peer_connected(self, link: Link) -> None:
        """See `NodeObserver.peer_connected`."""
        self._since[link.peer] = self._clock.seconds()
        self._audit.record(
            AuditEvent.PEER_CONNECTED, identity=link.peer, client=link.address, status="connected"
        )

    def peer_disconnected(self, link: Link) -> None:
        """See `NodeObserver.peer_disconnected`."""
        since = self._since.pop(link.peer, None)
        seconds = 0.0 if since is None else self._clock.seconds() - since
        self._audit.record(
            AuditEvent.PEER_DISCONNECTED,
            identity=link.peer,
            client=link.address,
            status=link.outcome,
            duration_ms=round(seconds * 1000, 3),
            bytes_in=link.bytes_in,
            bytes_out=link.bytes_out,
        )

    def told(self, link: Link, event: object) -> None:
        """See `NodeObserver.told`."""
        if isinstance(event, Received):
            self._metrics.mesh_documents.labels("in").inc(event.documents)

    def refresh(self, node: MeshNode, lags: Callable[[], Mapping[PeerKey, int]]) -> None:
        """Set what nobody counts along the way; `lags` gives commits per connected peer."""
        metrics = self._metrics
        metrics.mesh_peers.set(len(node.peers))
        came, went = node.traffic
        metrics.mesh_bytes.labels("in").inc(came - self._counted[0])
        metrics.mesh_bytes.labels("out").inc(went - self._counted[1])
        self._counted = (came, went)
        metrics.mesh_lag_commits.clear()
        for peer, lag in lags().items():
            metrics.mesh_lag_commits.labels(peer).set(lag)

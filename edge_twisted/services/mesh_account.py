# SPDX-License-Identifier: Apache-2.0
"""Account of the mesh: audit log and metrics of peers that come and go, and of their traffic."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from twisted.internet.interfaces import IReactorTime

from edge_twisted.api.metrics import Metrics
from edge_twisted.logs.audit import AuditEvent, AuditLine, AuditLog
from edge_twisted.mesh.links.link import Link
from edge_twisted.mesh.links.node import MeshNode
from edge_twisted.mesh.ports.effects import Received
from edge_twisted.mesh.presence.gossip import RefusedRecord
from edge_twisted.mesh.trust.peer_key import PeerKey
from edge_twisted.replication.transit_relay import TransitAccount


class MeshAccount:
    """Audit log and metrics of a node; a `edge_twisted.mesh.links.node.NodeObserver`."""

    def __init__(self, metrics: Metrics, audit: AuditLog, clock: IReactorTime) -> None:
        self._metrics = metrics
        self._audit = audit
        self._clock = clock
        self._since: dict[PeerKey | None, float] = {}
        self._traffic = (0, 0)
        #: Documents in transit that were dropped, and ignored, as the metrics show them.
        self._dropped = self._unwanted = 0

    def peer_connected(self, link: Link) -> None:
        """Write an audit line, and note since when the link lives."""
        self._since[link.peer] = self._clock.seconds()
        self._audit.add(
            AuditLine(
                "",
                AuditEvent.PEER_CONNECTED,
                identity=link.peer,
                client=link.address,
                status="connected",
            )
        )

    def peer_disconnected(self, link: Link) -> None:
        """Write an audit line with the outcome, duration and traffic of the link."""
        since = self._since.pop(link.peer, None)
        seconds = 0.0 if since is None else self._clock.seconds() - since
        self._audit.add(
            AuditLine(
                "",
                AuditEvent.PEER_DISCONNECTED,
                identity=link.peer,
                client=link.address,
                status=link.outcome,
                duration_ms=round(seconds * 1000, 3),
                bytes_in=link.bytes_in,
                bytes_out=link.bytes_out,
            )
        )

    def told(self, link: Link, event: object) -> None:
        """Count documents that came, and presence records that were refused."""
        if isinstance(event, Received):
            self._metrics.mesh_documents.labels("in").inc(event.documents)
        elif isinstance(event, RefusedRecord):
            self._metrics.mesh_presence_refused.labels(event.fault).inc()

    def refresh_transit(self, account: TransitAccount | None) -> None:
        """Set the metrics of what is carried for neighbours; None: nothing is."""
        if account is None:
            return
        metrics = self._metrics.transit
        metrics.bytes.set(account.size)
        metrics.documents.set(account.documents)
        metrics.scopes.set(account.scopes)
        metrics.paused.set(account.is_paused)
        metrics.dropped.inc(account.dropped - self._dropped)
        metrics.unwanted.inc(account.unwanted - self._unwanted)
        self._dropped, self._unwanted = account.dropped, account.unwanted

    def refresh(self, node: MeshNode, lags: Callable[[], Mapping[PeerKey, int]]) -> None:
        """Set the metrics that are not counted as things happen; `lags`: peer -> commits behind."""
        metrics = self._metrics
        metrics.mesh_peers.set(len(node.peers))
        bytes_in, bytes_out = node.traffic
        metrics.mesh_bytes.labels("in").inc(bytes_in - self._traffic[0])
        metrics.mesh_bytes.labels("out").inc(bytes_out - self._traffic[1])
        self._traffic = (bytes_in, bytes_out)
        metrics.mesh_lag_commits.clear()
        for peer, lag in lags().items():
            metrics.mesh_lag_commits.labels(peer).set(lag)

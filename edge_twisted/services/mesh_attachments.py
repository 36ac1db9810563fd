# SPDX-License-Identifier: Apache-2.0
"""Attachments over the mesh: the carrier of blobs among the links of a node."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from twisted.internet.interfaces import IReactorTime

from edge_twisted.mesh.links.blob_carrier import BlobCarrier, CarrierParts
from edge_twisted.mesh.links.link import Link
from edge_twisted.mesh.links.node import MeshNode
from edge_twisted.mesh.ports.effects import BlobHeard, Received
from edge_twisted.mesh.trust.peer_key import PeerKey
from edge_twisted.mesh.wire.end_reasons import EndReason
from edge_twisted.services.attachments import StoredBlobReferences

if TYPE_CHECKING:
    from edge_twisted.store.interface import Store


class MeshAttachments:
    """
    Brings blobs here and gives them to peers, over the links of a node.

    It is a `edge_twisted.mesh.links.node.NodeObserver`: pass on to it what the node tells.
    `start` it with the node, `stop` it before the store closes.
    """

    def __init__(
        self,
        store: Store,
        references: StoredBlobReferences,
        clock: IReactorTime,
        entropy: Callable[[int], bytes],
        *,
        fetches_unasked: bool,
    ) -> None:
        self._fetches_unasked = fetches_unasked
        self._links = _Links()
        self.carrier = BlobCarrier(
            CarrierParts(
                attachments=store.blobs,
                may_send=references.may_send,
                neighbours=self._links,
                clock=clock,
                entropy=entropy,
            )
        )
        references.fetcher = self.carrier.fetch

    def start(self, node: MeshNode) -> None:
        """Begin; the store is open."""
        self._links.node = node
        self.carrier.start()

    async def stop(self) -> None:
        """Put away what is under way."""
        await self.carrier.stop()

    # -- NodeObserver

    def peer_connected(self, link: Link) -> None:
        """See `NodeObserver.peer_connected`."""
        assert link.ends is not None
        self.carrier.connected(link.ends.peer)

    def peer_disconnected(self, link: Link) -> None:
        """See `NodeObserver.peer_disconnected`."""
        assert link.ends is not None
        self.carrier.disconnected(link.ends.peer)

    def told(self, link: Link, event: object) -> None:
        """See `NodeObserver.told`."""
        assert link.ends is not None
        if isinstance(event, BlobHeard):
            self.carrier.heard(link.ends.peer, event.message)
        elif isinstance(event, Received) and self._fetches_unasked:
            self.carrier.fetch_unasked(event.attachments)


class _Links:
    """The links of a node, as `edge_twisted.mesh.links.blob_carrier.Neighbours`."""

    node: MeshNode | None = None

    def send(self, peer: str, message: bytes) -> None:
        link = self._link(peer)
        if link is not None:
            link.run(lambda session: session.send_blob(message))

    def has_room(self, peer: str) -> bool:
        link = self._link(peer)
        return link is not None and link.has_room

    def refuse(self, peer: str, detail: str) -> None:
        link = self._link(peer)
        if link is not None:
            link.refuse(EndReason.PROTOCOL_VIOLATION, detail)

    def _link(self, peer: str) -> Link | None:
        return None if self.node is None else self.node.peers.get(PeerKey(peer))

# SPDX-License-Identifier: Apache-2.0
"""Attachments over the mesh: the transfer of blobs, joined to the node whose links it uses."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime

from edge_twisted.mesh.links.blob_transfer import BlobTransfer, BlobTransferParts
from edge_twisted.mesh.links.link import Link
from edge_twisted.mesh.links.node import MeshNode
from edge_twisted.mesh.ports.effects import BlobHeard, Received
from edge_twisted.services.attachments import StoredBlobReferences
from edge_twisted.store.interface import Store


class MeshAttachments:
    """
    Fetches blobs from peers and serves blobs to peers, over the links of a node.

    A `edge_twisted.mesh.links.node.NodeObserver`: the node's observer passes its calls on.  `start`
    it with the node, `stop` it before the store closes.  Without `start` nothing is fetched.

    :param fetches_unasked: whether attachments of documents that arrive are fetched at once.
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
        self._store = store
        self._references = references
        self._clock = clock
        self._entropy = entropy
        self._fetches_unasked = fetches_unasked
        self._transfer: BlobTransfer | None = None

    def start(self, node: MeshNode) -> None:
        """Begin to fetch and to serve; the store is open."""
        self._transfer = BlobTransfer(
            BlobTransferParts(
                blobs=self._store.blobs,
                may_send=self._references.may_send,
                neighbours=node,
                clock=self._clock,
                entropy=self._entropy,
            )
        )
        self._references.fetcher = self._transfer.fetch
        self._transfer.start()

    async def stop(self) -> None:
        """Pause downloads, and wait until nothing uses the store any more."""
        if self._transfer is not None:
            await self._transfer.stop()

    # -- NodeObserver

    def peer_connected(self, link: Link) -> None:
        """Take in the peer as a neighbour; see `NodeObserver.peer_connected`."""
        assert link.ends is not None
        assert self._transfer is not None
        self._transfer.connected(link.ends.peer)

    def peer_disconnected(self, link: Link) -> None:
        """Drop the peer as a neighbour; see `NodeObserver.peer_disconnected`."""
        assert link.ends is not None
        assert self._transfer is not None
        self._transfer.disconnected(link.ends.peer)

    def told(self, link: Link, event: object) -> None:
        """Take messages about blobs, and fetch the blobs of documents that came."""
        assert link.ends is not None
        assert self._transfer is not None
        if isinstance(event, BlobHeard):
            self._transfer.heard(link.ends.peer, event.message)
        elif isinstance(event, Received) and self._fetches_unasked:
            self._transfer.fetch_unasked(event.attachments)

# SPDX-License-Identifier: Apache-2.0
"""Replication as part of the server: sessions over the store, and the progress of each peer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, cast

from attrs import frozen
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from edge_twisted.config import model
from edge_twisted.database.database import Database
from edge_twisted.database.system_parameters import ParameterValues
from edge_twisted.documents.values import Value
from edge_twisted.errors import EdgeError
from edge_twisted.mesh.links.link import Link
from edge_twisted.mesh.links.node import TICK_SECONDS, MeshNode
from edge_twisted.mesh.ports.effects import Received, ScopeRefused, StreamProgress, Withheld
from edge_twisted.mesh.ports.requests import Scope
from edge_twisted.mesh.session.bases import BaseMemory
from edge_twisted.mesh.session.handshake import LocalServer
from edge_twisted.mesh.session.pulls import Pulls
from edge_twisted.mesh.session.session import Session
from edge_twisted.mesh.trust.authority import database_hash
from edge_twisted.mesh.trust.peer_key import PeerKey
from edge_twisted.replication.peers import PeerProgress, PeerRecords, store_peers
from edge_twisted.replication.scopes import closed_collections
from edge_twisted.replication.stored_documents import StoredDocuments
from edge_twisted.replication.transit import TransitStore
from edge_twisted.replication.transit_relay import RelayParts, TransitAccount, TransitRelay
from edge_twisted.store.hidden import shown_name
from edge_twisted.store.interface import Store
from edge_twisted.store.rows import Commit

log = Logger()

#: How often the progress of peers is written; after a crash they tell it again.
KEEP_SECONDS: Final = 2.0
MEBIBYTE: Final = 2**20


@frozen(kw_only=True)
class ReplicationParts:
    """What replication works with."""

    configuration: model.DatabaseConfig
    store: Store
    database: Database
    clock: IReactorTime
    now_ms: Callable[[], int]
    entropy: Callable[[int], bytes]


class StoreReplication:
    """`edge_twisted.services.mesh.Replication` over a store; making one does no I/O."""

    def __init__(self, parts: ReplicationParts) -> None:
        self._parts = parts
        configuration = parts.configuration
        self.documents = StoredDocuments(
            parts.store,
            parts.now_ms,
            drop_moved_out=configuration.moved_out == "drop",
            transit=_transit_of(configuration),
        )
        self.relay: TransitRelay | None = None
        self.peers = PeerRecords()
        self._pulls = Pulls()
        self._bases = BaseMemory()
        self._node: MeshNode | None = None
        self._scopes: tuple[Scope, ...] = ()
        self._ends: list[Callable[[], None]] = []
        self._keeper = LoopingCall(self._keep)
        self._keeper.clock = parts.clock
        virtual = parts.database.virtual
        virtual.provide("data_sync_info", self._rows)
        virtual.provide_by("moved_out", lambda moment: self.documents.moved_out(moment.snapshot))
        parts.database.watch_parameters(self._parameters_changed)

    # -- life

    async def start(self, node: MeshNode | None) -> None:
        """Begin; the store is open.  Without a node nothing is synced, but progress is shown."""
        parts = self._parts
        with parts.store.snapshot() as snapshot:
            self.peers.load(snapshot)
        self._scopes = tuple(
            self.documents.scope(each.query, cast("Mapping[str, Value]", each.args))
            for each in parts.configuration.subscriptions
        )
        self.documents.subscribe(self._scopes)
        await self.documents.start(_closed(parts.database.parameters))
        self._ends.append(self.documents.stop)
        await self.documents.start_transit()
        if node is not None:
            self._node = node
            self._start_relay(node)
            self._ends.append(self.documents.watch(node))
            self._ends.append(parts.store.on_commit(self._committed))
            self._keeper.start(KEEP_SECONDS, now=False)

    def _start_relay(self, node: MeshNode) -> None:
        parts = self._parts
        if self.documents.transit is None:
            return
        self.relay = TransitRelay(
            RelayParts(
                documents=self.documents,
                store=parts.store,
                neighbours=node,
                progress=lambda peer: self.peers.progress(peer).acknowledged_lsn,
                seconds=parts.clock.seconds,
                now_ms=parts.now_ms,
                entropy=parts.entropy,
            )
        )
        with parts.store.snapshot() as snapshot:
            self.relay.load(snapshot)
        ticker = LoopingCall(self.relay.tick)
        ticker.clock = parts.clock
        ticker.start(TICK_SECONDS, now=False)
        self._ends.append(ticker.stop)

    async def stop(self) -> None:
        """Write the progress of peers; there is no link any more, and the store is still open."""
        if self._keeper.running:
            self._keeper.stop()
        while self._ends:
            self._ends.pop()()
        await self._keep()
        if self.relay is not None:
            await self.relay.keep()

    # -- for the mesh

    def session(self, node: MeshNode, peer: PeerKey) -> Session:
        """Return the session of a new link with a peer that has shown its certificate."""
        parts, documents = self._parts, self.documents
        us = LocalServer(
            home=documents,
            database=database_hash(parts.configuration.db_id),
            peer_key=node.us,
            device_name=parts.configuration.device_name,
            now_ms=parts.now_ms,
            entropy=parts.entropy,
        )
        return Session(
            us,
            peer,
            (*self._scopes, *(() if self.relay is None else self.relay.initial(peer))),
            pulls=self._pulls,
            bases=self._bases,
            has_other_sources=lambda: any(key != peer for key in node.peers),
        )

    def lags(self, peers: Iterable[PeerKey]) -> Mapping[PeerKey, int]:
        """Return how many commits each of these peers is behind us, by peer."""
        lsn = self.documents.lsn
        return {
            peer: max(0, lsn - max(0, self.peers.progress(peer).acknowledged_lsn)) for peer in peers
        }

    @property
    def known_peers(self) -> Iterable[str]:
        """The keys of all peers that were ever linked with this server."""
        return self.peers.keys

    def progress(self, peer: PeerKey) -> PeerProgress:
        """Return up to which commits a peer and this server have each other's documents."""
        return self.peers.progress(peer)

    @property
    def transit(self) -> TransitAccount | None:
        """What is carried for neighbours; None: this server carries nothing."""
        return None if self.relay is None else self.relay.account

    # -- NodeObserver

    def peer_connected(self, link: Link) -> None:
        """Note that the peer is known, and carry for it; see `NodeObserver.peer_connected`."""
        assert link.peer is not None
        self.peers.met(link.peer)
        if self.relay is not None and link.ends is not None:
            self.relay.connected(link.peer, link.ends.replica.site, link)

    def peer_disconnected(self, link: Link) -> None:
        """Stop carrying for the peer; see `NodeObserver.peer_disconnected`."""
        if self.relay is not None and link.peer is not None:
            self.relay.disconnected(link.peer)

    def told(self, link: Link, event: object) -> None:
        """Note the peer's progress, and log what it refuses; see `NodeObserver.told`."""
        assert link.peer is not None
        if self.relay is not None:
            self.relay.told(link.peer, link, event)
        match event:
            case StreamProgress(acknowledged_lsn):
                self.peers.acknowledged(link.peer, acknowledged_lsn)
            case Received(documents=documents) if documents:
                self.peers.received(link.peer, self._parts.now_ms())
            case ScopeRefused(_, reason):
                log.warn(
                    "Peer {peer} does not serve a subscription: {reason}",
                    peer=link.peer,
                    reason=reason,
                )
            case Withheld(collection, _, size):
                log.warn(
                    "A document of {collection} is too large to be sent to peers",
                    collection=collection,
                    size=size,
                )

    # -- inner

    def _committed(self, commit: Commit) -> None:
        if self._node is not None:
            self._node.committed(commit.lsn, frozenset(map(shown_name, commit.collections)))
        if self.relay is not None:
            self.relay.check_room()

    def _parameters_changed(self, parameters: ParameterValues) -> None:
        self.documents.close_collections(_closed(parameters))
        if self.relay is not None:
            self.relay.scopes_changed()

    async def _keep(self) -> None:
        """Write the progress of peers that has changed."""
        changed = self.peers.take_changes()
        if not changed:
            return
        try:
            await self._parts.store.write("peers", lambda unit: store_peers(unit, changed))
        except EdgeError as error:
            # Peers tell their progress again; a full disk is reported by the writes that fail.
            log.warn("How far peers are could not be written down: {error}", error=str(error))

    def _rows(self) -> Iterator[dict[str, Value]]:
        """Yield the rows of ``system:data_sync_info``; safe in any thread, for it copies first."""
        node = self._node
        connected = () if node is None else tuple(node.peers)
        return self.peers.rows(dict.fromkeys(connected, "Connected"))


def _transit_of(configuration: model.DatabaseConfig) -> TransitStore | None:
    most = configuration.transit_mb
    return None if most is None else TransitStore(most * MEBIBYTE)


def _closed(parameters: ParameterValues) -> frozenset[str]:
    return closed_collections(parameters.mapping("user_collection_sync_scopes"))

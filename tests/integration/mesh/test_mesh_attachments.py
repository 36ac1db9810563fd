# SPDX-License-Identifier: Apache-2.0
"""Attachments over the links of real nodes: each carrier with TLS, stores on disk."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

from attrs import define
from cryptography.hazmat.primitives.asymmetric import ec
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IListeningPort
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from edge_twisted.config.model import DatabaseConfig as DatabaseConfiguration
from edge_twisted.config.model import Secret, SmallPeerOnly, TemporaryFolder
from edge_twisted.database.database import Database, TimeAndChance
from edge_twisted.documents.ids import DocumentId
from edge_twisted.mesh.carriers.carrier import PeerAddress
from edge_twisted.mesh.links.connectors import Connector, LinkAcceptor
from edge_twisted.mesh.links.dialer import Dialer, DialParts
from edge_twisted.mesh.ports.effects import Received
from edge_twisted.mesh.trust.authority import Authority, authority_of
from edge_twisted.mesh.trust.identity import PeerIdentity
from edge_twisted.mesh.trust.tls import MeshTls
from edge_twisted.services.attachments import StoredBlobReferences
from edge_twisted.services.listening import stop_listening
from edge_twisted.services.mesh_attachments import MeshAttachments
from edge_twisted.store.blobs.interface import BlobWriter
from edge_twisted.store.interface import Store, UnitOfWork
from edge_twisted.store.sqlite.files import Layout
from edge_twisted.store.sqlite.store import SqliteStore
from tests.integration.reactor import reactor
from tests.support.carriers import TriedCarrier, TriedTcp, TriedUnix
from tests.support.mesh_peers import TestPeer, test_peer

DB_ID = "12345678-1234-4123-1234-123456789012"
CONTENT = random.Random(4).randbytes(1_500_000)


@define(eq=False)
class Server:
    """A store, a node, and what brings attachments."""

    store: Store
    references: StoredBlobReferences
    attachments: MeshAttachments
    peer: TestPeer
    dialer: Dialer
    ports: Sequence[IListeningPort]
    address: PeerAddress

    async def add(self, content: bytes) -> str:
        writer: BlobWriter = await self.store.blobs.upload()
        await writer.write(content)
        return (await writer.finish()).id

    async def name_blob(self, attachment: str) -> None:
        def work(unit: UnitOfWork) -> None:
            key = DocumentId.of("d").key
            unit.put("c", key, body=b"{}", state=b"", attachments=[attachment])

        await self.store.write("name", work)

    async def stop(self) -> None:
        self.dialer.stop()
        await stop_listening(self.ports)
        for link in self.peer.node.stop():
            await link.done
        await self.attachments.stop()
        await self.store.close()


class AttachmentSuite(TestCase):
    """Servers in a line; a subclass for each carrier is at the end of this module."""

    timeout = 60

    def make_carrier(self) -> TriedCarrier:
        raise NotImplementedError

    def setUp(self) -> None:
        self.tried = self.make_carrier()
        self.addCleanup(self.tried.close)

    async def server(self, name: str, *, fetches_unasked: bool = False) -> Server:
        folder = Path(self.mktemp())
        folder.mkdir(parents=True)
        store = cast(
            Store,
            SqliteStore(
                Layout(folder, "test"),
                threads=reactor,
                clock=reactor,
                now_ms=lambda: int(time.time() * 1000),
                entropy=os.urandom,
            ),
        )
        await store.open()
        surroundings = TimeAndChance(
            now_ms=lambda: int(time.time() * 1000),
            monotonic=time.monotonic,
            new_id=lambda: os.urandom(8).hex(),
        )
        references = StoredBlobReferences(store, Database(store, DB_ID, surroundings, {}))
        attachments = MeshAttachments(
            store, references, reactor, os.urandom, fetches_unasked=fetches_unasked
        )
        server = self._linked(name, store, references, attachments)
        attachments.start(server.peer.node)
        self.addCleanup(lambda: Deferred.fromCoroutine(server.stop()))
        return server

    def _linked(
        self,
        name: str,
        store: Store,
        references: StoredBlobReferences,
        attachments: MeshAttachments,
    ) -> Server:
        auth = SmallPeerOnly(offline_license_token=Secret("secret"), key_b64=None)
        authority = authority_of(
            DatabaseConfiguration(
                db_id=DB_ID, device_name=name, auth=auth, persistence_dir=TemporaryFolder()
            )
        )
        assert isinstance(authority, Authority)
        identity = PeerIdentity.of(ec.generate_private_key(ec.SECP256R1()))
        peer = test_peer(identity, name, reactor, told=attachments)
        tls = MeshTls(authority, identity, datetime.now(UTC))
        carrier = self.tried.carrier
        acceptor = LinkAcceptor(peer.node, tls, reactor, carrier)
        ports = self.successResultOf(
            Deferred.fromCoroutine(carrier.listen(self.tried.free(), acceptor))
        )
        connector = Connector(peer.node, tls, reactor, [carrier])
        dialer = Dialer(
            DialParts(connect=connector.connect, peers=peer.node, clock=reactor, draw=lambda: 0.5),
            0.2,
        )
        address = self.tried.address_of(ports[0])
        return Server(store, references, attachments, peer, dialer, ports, address)

    async def line(self, *, fetches_unasked: bool = False) -> list[Server]:
        servers = [await self.server(name, fetches_unasked=fetches_unasked) for name in "abc"]
        a, b, c = servers
        a.dialer.add(b.address)
        b.dialer.add(c.address)
        while len(b.peer.node.peers) < 2:
            await deferLater(reactor, 0.01)
        attachment = await c.add(CONTENT)
        for server in servers:
            await server.name_blob(attachment)
        self.attachment = attachment
        return servers

    async def test_a_blob_comes_over_two_links(self) -> None:
        a, b, _c = await self.line()
        await a.references.fetch(self.attachment, 30)
        reader = await a.store.blobs.open(self.attachment)
        self.addCleanup(reader.close)
        self.assertEqual(await reader.read(0, len(CONTENT) + 1), CONTENT)
        self.assertIsNotNone(b.store.blobs.find(self.attachment))

    async def test_blobs_of_received_documents_come_unasked(self) -> None:
        _a, b, _c = await self.line(fetches_unasked=True)
        link = next(iter(b.peer.node.peers.values()))
        b.attachments.told(link, Received(documents=1, attachments=(self.attachment,)))
        while b.store.blobs.find(self.attachment) is None:
            await deferLater(reactor, 0.01)

    async def test_nonsense_ends_the_link(self) -> None:
        a, _b, _c = await self.line()
        link = next(iter(a.peer.node.peers.values()))
        link.run(lambda session: session.send_blob(b"nonsense"))
        await link.done
        self.assertEqual(link.outcome, "protocol_violation")


class AttachmentsOverTcp(AttachmentSuite):
    def make_carrier(self) -> TriedCarrier:
        return TriedTcp(reactor)


class AttachmentsOverUnixSockets(AttachmentSuite):
    def make_carrier(self) -> TriedCarrier:
        return TriedUnix(reactor)


# What collects tests takes the suite by its base class too.
del AttachmentSuite

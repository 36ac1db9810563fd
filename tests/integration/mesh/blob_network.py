# SPDX-License-Identifier: Apache-2.0
"""Servers with stores in memory that exchange attachments over links in memory."""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64encode
from collections import deque
from collections.abc import Callable
from itertools import count, pairwise
from typing import Any, cast

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from edge_twisted.database.database import Database, TimeAndChance
from edge_twisted.documents.ids import DocumentId
from edge_twisted.documents.versions import Replica, SiteId
from edge_twisted.mesh.blobs.messages import Chunk, decode, encode
from edge_twisted.mesh.links.blob_transfer import BlobTransfer, BlobTransferParts
from edge_twisted.services.attachments import StoredBlobReferences
from edge_twisted.store.blobs.interface import BlobWriter
from edge_twisted.store.interface import UnitOfWork
from edge_twisted.store.memory.data import Data
from edge_twisted.store.memory.store import MemoryStore
from tests.integration.database.harness import Everything

KEY = DocumentId.of("d").key


def blob_id(content: bytes) -> str:
    return urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


@define(eq=False)
class Network:
    """Cables between servers; messages arrive when `deliver` is called, or are altered before."""

    clock: Clock = field(factory=Clock)
    cables: set[frozenset[str]] = field(factory=set)
    busy: set[str] = field(factory=set)
    servers: dict[str, Server] = field(factory=dict)
    waiting: deque[tuple[str, str, bytes]] = field(factory=deque)
    refused: list[tuple[str, str]] = field(factory=list)
    tamper: Callable[[str, Chunk], Chunk] = lambda sender, chunk: chunk
    #: Bytes of content on their way, by (sender, receiver), at their most.
    most: dict[tuple[str, str], int] = field(factory=dict)
    chunks: int = 0

    def server(self, name: str) -> Server:
        made = self.servers[name] = Server(name, self)
        made.transfer.start()
        return made

    def line(self, *names: str) -> list[Server]:
        """Make servers in a line."""
        made = [self.server(name) for name in names]
        for one, other in pairwise(names):
            self.plug(one, other)
        return made

    def plug(self, one: str, other: str) -> None:
        self.cables.add(frozenset((one, other)))
        self.servers[one].transfer.connected(other)
        self.servers[other].transfer.connected(one)

    def cut(self, one: str, other: str) -> None:
        self.cables.discard(frozenset((one, other)))
        self.waiting = deque(each for each in self.waiting if {*each[:2]} != {one, other})
        self.servers[one].transfer.disconnected(other)
        self.servers[other].transfer.disconnected(one)

    def send(self, sender: str, receiver: str, message: bytes) -> None:
        if frozenset((sender, receiver)) not in self.cables:
            return
        decoded = decode(message)
        if isinstance(decoded, Chunk):
            message = encode(self.tamper(sender, decoded))
            self.chunks += 1
        self.waiting.append((sender, receiver, message))
        under_way = sum(len(m) for s, r, m in self.waiting if (s, r) == (sender, receiver))
        key = (sender, receiver)
        self.most[key] = max(under_way, self.most.get(key, 0))

    def deliver(self, most: int = 1_000_000) -> None:
        """Deliver what waits and what comes of it, at most so many messages."""
        for _ in range(most):
            if not self.waiting:
                return
            sender, receiver, message = self.waiting.popleft()
            self.servers[receiver].transfer.heard(sender, message)

    def deliver_chunks(self, number: int) -> None:
        """Deliver until so many chunks have been sent."""
        until = self.chunks + number
        while self.waiting and self.chunks < until:
            self.deliver(1)

    def pass_time(self, seconds: float) -> None:
        """Let time pass, delivering what is said meanwhile."""
        for _ in range(round(seconds * 2)):
            self.deliver()
            self.clock.advance(0.5)
        self.deliver()


class Server:
    """One of them, also its own `Neighbours`."""

    def __init__(self, name: str, network: Network) -> None:
        self.name = name
        self._network = network
        self.data = Data(Replica(SiteId(name.encode().ljust(16, b"\0")), 0))
        self.store = MemoryStore(self.data, lambda: 1_700_000_000_000)
        self.store.open()
        numbers = count()
        database = Database(
            self.store,
            "test",
            TimeAndChance(
                now_ms=lambda: 1_700_000_000_000,
                monotonic=network.clock.seconds,
                new_id=lambda: str(next(numbers)),
                later=network.clock.callLater,
            ),
            {},
        )
        database.start()
        self.database = database
        self.references = StoredBlobReferences(self.store, database)
        self.transfer = BlobTransfer(
            BlobTransferParts(
                blobs=self.store.blobs,
                may_send=self.references.may_send,
                neighbours=self,
                clock=network.clock,
                entropy=lambda length: (name.encode() + b"%d" % next(numbers)).ljust(length, b"-"),
            )
        )
        self.references.fetcher = self.transfer.fetch

    # -- content

    def add(self, content: bytes) -> str:
        """Put a blob here."""
        self._upload(content)
        return blob_id(content)

    def _upload(self, content: bytes) -> None:
        def go_on(writer: BlobWriter) -> Deferred[object]:
            return writer.write(content).addCallback(lambda _: writer.finish())

        self.store.blobs.upload().addCallback(go_on)

    def name_blob(self, attachment: str, collection: str = "c") -> None:
        """Let a live document name a blob."""

        def work(unit: UnitOfWork) -> None:
            unit.put(collection, KEY, body=b"{}", state=b"", attachments=[attachment])

        self.store.write("name", work)

    def delete(self, attachment: str) -> None:
        """Make a tombstone of the document, which still names the blob."""

        def work(unit: UnitOfWork) -> None:
            unit.put("c", KEY, body=None, state=b"", attachments=[attachment])

        self.store.write("delete", work)

    def set_scope(self, scope: str) -> None:
        """Set the sync scope of the collection."""
        call = self.database.execute(
            f"ALTER SYSTEM SET USER_COLLECTION_SYNC_SCOPES = {{'c': '{scope}'}}",
            {},
            access=cast(Any, Everything()),
            request_id="test",
            timeout_seconds=None,
        )
        assert call.called

    def has(self, attachment: str) -> bool:
        return self.store.blobs.find(attachment) is not None

    # -- Neighbours

    def send(self, peer: str, message: bytes) -> None:
        self._network.send(self.name, peer, message)

    def has_room(self, peer: str) -> bool:
        return self.name not in self._network.busy

    def refuse(self, peer: str, detail: str) -> None:
        self._network.refused.append((self.name, peer))
        self._network.cut(self.name, peer)

# SPDX-License-Identifier: Apache-2.0
"""Attachments between stores on disk, with their threads."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path
from typing import cast

from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import TestCase

from edge_twisted.mesh.blobs.messages import CHUNK_BYTES, Chunk, decode
from edge_twisted.mesh.links.blob_transfer import BlobTransfer, BlobTransferParts
from edge_twisted.store.blobs.interface import BlobWriter
from edge_twisted.store.interface import Store
from edge_twisted.store.sqlite.files import Layout
from edge_twisted.store.sqlite.store import SqliteStore
from tests.integration.reactor import reactor

CONTENT = random.Random(2).randbytes(30 * CHUNK_BYTES + 5)


class Server:
    """A store on disk with a transfer and one neighbour, to which messages go by the reactor."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.store = SqliteStore(
            Layout(folder, "test"),
            threads=reactor,
            clock=reactor,
            now_ms=lambda: int(time.time() * 1000),
            entropy=os.urandom,
        )
        self.other: Server | None = None
        self.chunks = 0
        self.cut_after: int | None = None
        self.transfer = BlobTransfer(
            BlobTransferParts(
                blobs=cast(Store, self.store).blobs,
                may_send=lambda peer, attachment: succeed(True),
                neighbours=self,
                clock=reactor,
                entropy=os.urandom,
            )
        )

    def join(self, other: Server) -> None:
        self.other, other.other = other, self
        self.transfer.connected("other")
        other.transfer.connected("other")

    def cut(self) -> None:
        assert self.other is not None
        other = self.other
        self.other = other.other = None
        self.transfer.disconnected("other")
        other.transfer.disconnected("other")

    def send(self, peer: str, message: bytes) -> None:
        self.chunks += isinstance(decode(message), Chunk)
        other = self.other
        if self.chunks == self.cut_after:
            self.cut_after = None
            reactor.callLater(0, self.cut)
        elif other is not None:
            reactor.callLater(0, self._arrive, other, message)

    def _arrive(self, other: Server, message: bytes) -> None:
        if self.other is other:
            other.transfer.heard("other", message)

    def has_room(self, peer: str) -> bool:
        return True

    def refuse(self, peer: str, detail: str) -> None:
        raise AssertionError(detail)


class DiskTests(TestCase):
    """Two servers."""

    timeout = 30

    async def setUp(self) -> None:  # type: ignore[override]
        self.a, self.b = Server(Path(self.mktemp())), Server(Path(self.mktemp()))
        for server in (self.a, self.b):
            await server.store.open()
            server.transfer.start()
            self.addCleanup(server.store.close)
            self.addCleanup(
                lambda transfer: Deferred.fromCoroutine(transfer.stop()), server.transfer
            )
        writer: BlobWriter = await self.b.store.blobs.upload()
        await writer.write(CONTENT)
        self.attachment = (await writer.finish()).id

    async def content(self, server: Server) -> bytes:
        reader = await server.store.blobs.open(self.attachment)
        self.addCleanup(reader.close)
        return await reader.read(0, len(CONTENT) + 1)

    async def test_a_blob_comes(self) -> None:
        self.a.join(self.b)
        self.assertTrue(await self.a.transfer.fetch(self.attachment, 20))
        self.assertEqual(await self.content(self.a), CONTENT)

    async def test_a_cut_is_resumed_from_what_is_on_disk(self) -> None:
        self.a.join(self.b)
        self.b.cut_after = 20
        self.assertFalse(await self.a.transfer.fetch(self.attachment, 20))
        await Deferred.fromCoroutine(self.a.transfer.stop())
        self.a.transfer.start()
        self.a.join(self.b)
        self.assertTrue(await self.a.transfer.fetch(self.attachment, 20))
        self.assertEqual(await self.content(self.a), CONTENT)
        self.assertLessEqual(self.b.chunks, 31 + 5)

    async def test_stopping_in_the_middle_leaves_nothing_open(self) -> None:
        self.a.join(self.b)
        self.a.transfer.fetch(self.attachment, None)
        while self.b.chunks < 5:
            waiting: Deferred[None] = Deferred()
            reactor.callLater(0, waiting.callback, None)
            await waiting
        await Deferred.fromCoroutine(self.b.transfer.stop())
        await Deferred.fromCoroutine(self.a.transfer.stop())
        self.assertIsNone(self.a.store.blobs.find(self.attachment))

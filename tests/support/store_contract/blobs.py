# SPDX-License-Identifier: Apache-2.0
"""The contract on blobs: how they come in, who may read them, and when they are collected."""

from __future__ import annotations

from hashlib import sha256

from edge_twisted.store.blobs import ledger
from edge_twisted.store.blobs.names import id_of
from edge_twisted.store.errors import BlobCorrupt, BlobUnavailable, StoreError
from edge_twisted.store.interface import Store, UnitOfWork
from edge_twisted.store.rows import BlobInfo
from tests.support.store_contract.base import StoreTestCase
from tests.support.stored_documents import key

CONTENT = b"some bytes" * 50
BLOB = BlobInfo(id_of(sha256(CONTENT).digest()), len(CONTENT))


def naming(unit: UnitOfWork) -> None:
    """Store a document that names the blob."""
    unit.put("c", key(1), body=b"{}", state=b"", attachments=(BLOB.id,))


def removing(unit: UnitOfWork) -> None:
    """Remove that document without a tombstone."""
    unit.remove("c", key(1))


class BlobContract(StoreTestCase):
    """Blobs: whole or not there, and kept as long as a document names them."""

    async def with_blob(self, uploader: str | None = None) -> Store:
        """Return a store with one blob, uploaded in two pieces."""
        store = await self.opened()
        upload = await store.blobs.upload(uploader)
        await upload.write(CONTENT[:100])
        self.assertIsNone(store.blobs.find(BLOB.id))
        await upload.write(CONTENT[100:])
        self.assertEqual(await upload.finish(), BLOB)
        return store

    async def test_an_upload_is_read_back(self) -> None:
        """A blob is found and read by its id, in pieces, also after the store was reopened."""
        store = await self.reopen(await self.with_blob())
        self.addCleanup(lambda: store.close())
        self.assertEqual(store.blobs.find(BLOB.id), BLOB)
        reader = await store.blobs.open(BLOB.id)
        self.assertEqual(reader.info, BLOB)
        self.assertEqual(await reader.read(0, 7) + await reader.read(7, 1 << 20), CONTENT)
        self.assertEqual(await reader.read(len(CONTENT), 7), b"")
        reader.close()
        reader.close()

    async def test_an_aborted_upload_leaves_nothing(self) -> None:
        """What was aborted is not found; aborting twice does no harm."""
        store = await self.opened()
        upload = await store.blobs.upload()
        await upload.write(CONTENT)
        await upload.abort()
        await upload.abort()
        self.assertIsNone(store.blobs.find(BLOB.id))
        for name in (BLOB.id, "no id"):
            with self.assertRaises(BlobUnavailable):
                await store.blobs.open(name)

    async def test_a_paused_download_goes_on(self) -> None:
        """What arrived is kept over a restart; one download of a blob at a time."""
        store = await self.opened()
        download = await store.blobs.resume(BLOB.id)
        with self.assertRaises(StoreError):
            await store.blobs.resume(BLOB.id)
        await download.write(CONTENT[:100])
        await download.pause()
        store = await self.reopen(store)
        self.addCleanup(lambda: store.close())
        download = await store.blobs.resume(BLOB.id)
        self.assertEqual(download.received, 100)
        await download.write(CONTENT[100:])
        self.assertEqual(await download.finish(), BLOB)

    async def test_a_download_of_other_bytes_is_refused(self) -> None:
        """Bytes that do not hash to the id are thrown away, so that a download begins anew."""
        store = await self.opened()
        download = await store.blobs.resume(BLOB.id)
        await download.write(b"other bytes")
        with self.assertRaises(BlobCorrupt):
            await download.finish()
        self.assertIsNone(store.blobs.find(BLOB.id))
        download = await store.blobs.resume(BLOB.id)
        self.assertEqual(download.received, 0)
        await download.abort()

    async def test_blobs_that_nothing_names_are_collected(self) -> None:
        """A blob without mentions is noted by one run and deleted by a later one."""
        store = await self.with_blob("alice")
        await store.write("name", naming)
        with store.snapshot() as snapshot:
            self.assertEqual(list(snapshot.referrers(BLOB.id)), [("c", key(1))])
            self.assertEqual(ledger.uploaders(snapshot, BLOB.id), ["alice"])
        self.assertEqual([await store.blobs.collect(0) for _ in range(2)], [0, 0])
        await store.write("remove", removing)
        self.assertEqual(await store.blobs.collect(3600), 0)
        self.assertEqual(await store.blobs.collect(3600), 0)
        self.assertEqual(store.blobs.find(BLOB.id), BLOB)
        self.assertEqual(await store.blobs.collect(0), 1)
        self.assertIsNone(store.blobs.find(BLOB.id))
        with store.snapshot() as snapshot:
            self.assertEqual(list(snapshot.referrers(BLOB.id)), [])

    async def test_a_blob_that_is_named_again_stays(self) -> None:
        """A mention between the two runs keeps the blob."""
        store = await self.with_blob()
        self.assertEqual(await store.blobs.collect(0), 0)
        await store.write("name", naming)
        self.assertEqual(await store.blobs.collect(0), 0)
        self.assertEqual(store.blobs.find(BLOB.id), BLOB)

# SPDX-License-Identifier: Apache-2.0
"""A database over a SQLite store in a folder that tests may harm."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
from twisted.internet.defer import Deferred, gatherResults
from twisted.trial.unittest import TestCase

from edge_twisted.documents.ids import DocumentId
from edge_twisted.records.documents import DocumentWriter, document_of
from edge_twisted.store.interface import Store, UnitOfWork
from edge_twisted.store.rows import IndexDefinition, IndexKey
from edge_twisted.store.sqlite.files import Layout
from edge_twisted.store.sqlite.store import SqliteStore
from tests.integration.reactor import reactor

BLOB = b"a blob " * 1000


def insert(number: int, **fields: Any) -> Callable[[UnitOfWork], None]:
    """Return a unit of work that inserts a document as the database does."""
    id_ = DocumentId.of(number)

    def work(unit: UnitOfWork) -> None:
        DocumentWriter(unit).save_fresh("c", id_, {"_id": number, "n": number % 7, **fields})

    return work


class SqliteTestCase(TestCase):
    """Opens stores on a layout of the test's own."""

    timeout = 60

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir(parents=True)
        self.layout = Layout(self.folder / "data", "test")

    async def opened(self, layout: Layout | None = None, vfs: str | None = None) -> Store:
        store = SqliteStore(
            layout or self.layout,
            threads=reactor,
            clock=reactor,
            now_ms=lambda: time.time_ns() // 1_000_000,
            entropy=os.urandom,
            vfs=vfs,
        )
        await store.open()
        self.addCleanup(lambda: store.close())
        return store

    async def filled(self) -> tuple[Store, str]:
        """Return a store with all kinds of things in it, and the id of its blob."""
        store = await self.opened()
        upload = await store.blobs.upload()
        await upload.write(BLOB)
        info = await upload.finish()
        token = {"id": info.id, "len": info.length, "metadata": {"name": "x"}}
        definition = IndexDefinition(collection="c", name="by_n", keys=(IndexKey(path=("n",)),))
        await gatherResults([store.write("insert", insert(n)) for n in range(100)])
        await store.write("index", lambda unit: unit.create_index(definition))
        await store.index_ready("c", "by_n")
        await store.write("insert", insert(100, file=token))
        await store.write("delete", delete(5))
        await store.write("fact", lambda unit: unit.put_fact("s", b"k", b"v"))
        return store, info.id

    def tamper(self, sql: str, *bindings: Any) -> None:
        """Change the file behind the store's back."""
        connection = apsw.Connection(str(self.layout.database))
        connection.execute(sql, bindings).fetchall()
        assert connection.changes() or "PRAGMA" in sql, "nothing was harmed"
        connection.close()


def delete(number: int) -> Callable[[UnitOfWork], None]:
    """Return a unit of work that deletes a document as the database does."""
    from edge_twisted.documents.writes import delete as deleted

    def work(unit: UnitOfWork) -> None:
        writer, id_ = DocumentWriter(unit), DocumentId.of(number)
        state = writer.load("c", id_.key)
        assert state is not None
        writer.save("c", id_, deleted(state, writer.stamp()))

    return work


def ids_in(store: Store) -> set[Any]:
    """Return the ids of all live documents of "c"."""
    with store.snapshot() as snapshot:
        return {document_of(body)["_id"] for batch in snapshot.scan("c") for _, body in batch}


__all__ = ["BLOB", "Deferred", "SqliteTestCase", "delete", "ids_in", "insert"]

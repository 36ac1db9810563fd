# SPDX-License-Identifier: Apache-2.0
"""The contract on indexes and collections: what units of work may create, and what is refused."""

from __future__ import annotations

from twisted.internet.defer import gatherResults

from edge_twisted.store.errors import IndexExists, UnknownIndex
from edge_twisted.store.index_read import IndexRead
from edge_twisted.store.interface import Store, UnitOfWork
from edge_twisted.store.rows import IndexDefinition, IndexKey
from tests.support.store_contract.base import StoreTestCase, UnitFailure, flat
from tests.support.stored_documents import key, put, putting

BY_V = IndexDefinition(collection="c", name="by_v", keys=(IndexKey(path=("v",)),))


def creating(unit: UnitOfWork) -> None:
    unit.create_index(BY_V)


def dropping(unit: UnitOfWork) -> None:
    unit.drop_index("c", "by_v")


class IndexContract(StoreTestCase):
    """Indexes come and go with units of work, and older documents are added on their own."""

    async def with_index(self) -> Store:
        """Return a store with three documents and a ready index of them."""
        store = await self.opened()
        await gatherResults([store.write("put", putting("c", n, v=9 - n)) for n in range(3)])
        await store.write("create", creating)
        await store.index_ready("c", "by_v")
        return store

    async def test_a_ready_index_has_older_and_newer_documents(self) -> None:
        """`index_ready` fires when every document is in the index; writes keep it so."""
        store = await self.with_index()
        await store.write("put", putting("c", 3, v=0))
        with store.snapshot() as snapshot:
            (info,) = snapshot.indexes("c")
            self.assertEqual((info.definition, info.ready, info.exact), (BY_V, True, True))
            found = flat(snapshot.index_ids(IndexRead("c", "by_v")))
            self.assertEqual(found, [key(3), key(2), key(1), key(0)])

    async def test_names_of_indexes_are_unique(self) -> None:
        """A second index of a name is refused, and the unit that wants it is undone."""
        store = await self.with_index()

        def again(unit: UnitOfWork) -> None:
            put(unit, "c", 7, {})
            unit.create_index(BY_V)

        with self.assertRaises(IndexExists):
            await store.write("again", again)
        with store.snapshot() as snapshot:
            self.assertIsNone(snapshot.get("c", key(7)))
            self.assertEqual(len(snapshot.indexes("c")), 1)

    async def test_a_dropped_index_is_unknown(self) -> None:
        """Nothing reads, awaits or drops an index that is gone or never was."""
        store = await self.with_index()
        with store.snapshot() as snapshot:
            version = snapshot.catalog_version
        await store.write("drop", dropping)
        with self.assertRaises(UnknownIndex):
            await store.write("drop", dropping)
        with self.assertRaises(UnknownIndex):
            await store.index_ready("c", "by_v")
        with store.snapshot() as snapshot:
            self.assertNotEqual(snapshot.catalog_version, version)
            self.assertEqual(list(snapshot.indexes("c")), [])
            with self.assertRaises(UnknownIndex):
                flat(snapshot.index_ids(IndexRead("c", "by_v")))

    async def test_a_failed_unit_leaves_indexes_as_they_were(self) -> None:
        """Neither a new index nor a drop outlives the unit that fails."""
        store = await self.with_index()

        def failing(unit: UnitOfWork) -> None:
            dropping(unit)
            unit.create_index(BY_V)
            dropping(unit)
            raise UnitFailure

        with self.assertRaises(UnitFailure):
            await store.write("fail", failing)
        await store.index_ready("c", "by_v")
        with store.snapshot() as snapshot:
            self.assertEqual(snapshot.index_count(IndexRead("c", "by_v")), 3)

    async def test_only_new_collections_need_admission(self) -> None:
        """Old names, and new ones while there is room, are admitted; asking makes no collection."""
        store = await self.with_index()

        def admitting(unit: UnitOfWork) -> None:
            unit.admit_collection("c")
            unit.admit_collection("new")

        await store.write("admit", admitting)
        with store.snapshot() as snapshot:
            self.assertEqual([info.name for info in snapshot.collections()], ["c"])

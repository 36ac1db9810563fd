# SPDX-License-Identifier: Apache-2.0
"""CREATE INDEX, DROP INDEX, and the indexes that ADVISE AND PROVISION creates."""

from __future__ import annotations

from attrs import frozen

from edge_twisted.database.index_advice import create_statement, wanted_keys_of
from edge_twisted.database.permissions import Access, check_verb
from edge_twisted.database.virtual_collections import VirtualCollections
from edge_twisted.documents.values import Value
from edge_twisted.dql import syntax
from edge_twisted.dql.errors import SemanticError
from edge_twisted.dql.plan.query import QueryPlan
from edge_twisted.store.errors import IndexExists, UnknownIndex
from edge_twisted.store.interface import Store, UnitOfWork
from edge_twisted.store.rows import IndexDefinition, IndexKey


@frozen
class IndexStatements:
    """Changes the indexes of a store; `create` and `drop` return the lsn after the change."""

    _store: Store
    _virtual: VirtualCollections

    async def create(
        self, statement: syntax.CreateIndex, access: Access, include_missing: bool
    ) -> int:
        """
        Create an index, and wait until it is complete; return the lsn after that.

        :param include_missing: whether documents without the first key have an entry.
        :raises IndexExists: the collection has an index of that name, and IF NOT EXISTS is absent.
        :raises StatementForbidden: the caller may not run CREATE INDEX.
        :raises SemanticError: the collection is virtual.
        """
        lsn = await self._create(statement, access, include_missing)
        return self._store.lsn if lsn is None else lsn

    async def _create(
        self, statement: syntax.CreateIndex, access: Access, include_missing: bool
    ) -> int | None:
        """Create an index; return the lsn of its commit, None if an index of the name exists."""
        check_verb(access, "create_index")
        self._check(statement.collection)
        definition = IndexDefinition(
            collection=statement.collection.name,
            name=statement.name,
            keys=tuple(
                IndexKey(path=key.path.names, direction="desc" if key.descending else "asc")
                for key in statement.keys
            ),
            include_missing=include_missing,
        )
        lsn: int | None = None
        try:
            committed = await self._store.write(
                "create index", lambda unit: _create(unit, definition)
            )
            lsn = committed.lsn
        except IndexExists:
            if not statement.if_not_exists:
                raise
        await self._store.index_ready(definition.collection, definition.name)
        return lsn

    async def drop(self, statement: syntax.DropIndex, access: Access) -> int:
        """
        Drop an index; return the lsn after that.

        :raises UnknownIndex: no such index, and IF EXISTS is absent.
        :raises StatementForbidden: the caller may not run DROP INDEX.
        :raises SemanticError: the collection is virtual.
        """
        check_verb(access, "drop_index")
        self._check(statement.collection)
        try:
            committed = await self._store.write(
                "drop index",
                lambda unit: unit.drop_index(statement.collection.name, statement.name),
            )
        except UnknownIndex:
            if not statement.if_exists:
                raise
            return self._store.lsn
        return committed.lsn

    async def provision(
        self, plan: QueryPlan | None, access: Access, include_missing: bool
    ) -> dict[str, Value]:
        """
        Create the index that a plan lacks; return what ADVISE AND PROVISION adds to its row.

        That is ``{"createdIndexes": names, "failedIndexes": []}``.

        :raises StatementForbidden: the caller may not run CREATE INDEX.
        """
        check_verb(access, "create_index")
        created: list[Value] = []
        source = plan.statement.source if plan is not None else None
        keys = wanted_keys_of(plan) if plan is not None else ()
        if plan is not None and source is not None and keys and len(plan.terms) == 1:
            statement = create_statement(source.collection.name, keys)
            if await self._create(statement, access, include_missing) is not None:
                created.append(statement.name)
        return {"createdIndexes": created, "failedIndexes": []}

    def _check(self, collection: syntax.CollectionRef) -> None:
        self._virtual.check(collection)
        if collection.namespace == "system":
            raise SemanticError("a virtual collection has no indexes", collection.span)


def _create(unit: UnitOfWork, definition: IndexDefinition) -> None:
    unit.admit_collection(definition.collection)
    unit.create_index(definition)

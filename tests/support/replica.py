# SPDX-License-Identifier: Apache-2.0
"""A server without network: store, database and replication; and syncing without sessions."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any, TypeVar

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from edge_twisted.database.database import Database, TimeAndChance
from edge_twisted.documents.json_text import from_text
from edge_twisted.documents.values import Value
from edge_twisted.documents.versions import VersionVector
from edge_twisted.dql.result import Result
from edge_twisted.mesh.ports.requests import (
    Applied,
    ApplyBatch,
    Changes,
    CursorUnknown,
    DeleteGone,
    Digests,
    Fates,
    FindGone,
    FindPosition,
    FindSeen,
    Lacking,
    ReadChanges,
    ReadDigests,
    ReadDocuments,
    Scope,
    ScopeClosed,
    StreamPosition,
)
from edge_twisted.mesh.wire.items import Item, Whole
from edge_twisted.replication.scopes import closed_collections
from edge_twisted.replication.stored_documents import StoredDocuments
from edge_twisted.replication.transit import TransitStore
from edge_twisted.store.interface import Store
from tests.support.callers import Everything

T = TypeVar("T")


class ReplicaServer:
    """One server's data, on an opened store."""

    def __init__(
        self,
        name: str,
        store: Store,
        now_ms: Callable[[], int],
        *,
        drop_moved_out: bool = False,
        transit_bytes: int | None = None,
    ) -> None:
        self.name = name
        self.store = store
        numbers = count(1)
        surroundings = TimeAndChance(
            now_ms=now_ms,
            monotonic=lambda: 0.0,
            new_id=lambda: f"{name}-{next(numbers)}",
        )
        self.database = Database(store, "db", surroundings, {})
        transit = None if transit_bytes is None else TransitStore(transit_bytes)
        self.documents = StoredDocuments(
            store, now_ms, drop_moved_out=drop_moved_out, transit=transit
        )
        self.database.start()
        self.documents.start()
        self.database.watch_parameters(
            lambda values: self.documents.close_collections(
                closed_collections(values.mapping("user_collection_sync_scopes"))
            )
        )

    async def run(self, statement: str, **arguments: Value) -> Result:
        """Run one statement."""
        return await self.database.execute(
            statement, arguments, access=Everything(), request_id="r", timeout_seconds=None
        )

    async def rows(self, statement: str, **arguments: Value) -> list[Any]:
        """Return the rows of a query, decoded."""
        result = await self.run(statement, **arguments)
        if result.texts is not None:
            return [from_text(text) for text in result.texts]
        return list(result.items or ())

    async def insert(self, collection: str, *documents: dict[str, Value]) -> None:
        """Insert documents."""
        await self.run(f"INSERT INTO {collection} DOCUMENTS (:d)", d=list(documents))


@define(kw_only=True)
class ReplicaStream:
    """
    One direction between two replicas, as a session keeps it, without a wire.

    :ivar applied: what became of each batch.
    """

    receiver: ReplicaServer
    sender: ReplicaServer
    scope: Scope
    announce_above: int | None = None
    limit_bytes: int = 256 * 1024
    #: What the receiver is known to have, once it caught up on this stream.
    base: VersionVector | None = None
    applied: list[Applied] = field(factory=list)
    items: list[Item] = field(factory=list)
    repairs: int = 0
    #: Documents that the receiver had to ask for.
    refetched: int = 0
    #: What the sender said in a repair that it knows.
    vouched: VersionVector | None = None

    async def sync(self) -> bool:
        """Bring the receiver up to date; False if the sender may not send, or doubts are left."""
        position = await self._ask(
            self.receiver, FindPosition(scope=self.scope, sender=self.sender.documents.replica)
        )
        assert isinstance(position, StreamPosition)
        if position.lsn is None and position.held:
            if not await self._repair(position.lsn):
                return False
            position = await self._position()
        after = position.lsn
        while True:
            changes = await self._ask(
                self.sender,
                ReadChanges(
                    scope=self.scope,
                    after=after or 0,
                    base=self.base,
                    announce_above=self.announce_above,
                    limit_bytes=self.limit_bytes,
                ),
            )
            if isinstance(changes, ScopeClosed):
                return False
            if isinstance(changes, CursorUnknown):
                if not await self._repair(after):
                    return False
                after = (await self._position()).lsn
                continue
            assert isinstance(changes, Changes)
            knowledge = changes.knowledge if self.scope.is_whole else None
            applied = await self._apply(
                changes.items, changes.lsn, after, knowledge, changes.knowledge
            )
            if applied.doubtful:
                return await self._repair(None)
            after = changes.lsn
            if not changes.more:
                self.base = changes.knowledge
                return True

    async def _position(self) -> StreamPosition:
        found = await self._ask(
            self.receiver, FindPosition(scope=self.scope, sender=self.sender.documents.replica)
        )
        assert isinstance(found, StreamPosition)
        return found

    async def _apply(
        self,
        items: tuple[Item, ...],
        lsn: int | None,
        after: int | None,
        knowledge: VersionVector | None,
        base: VersionVector | None = None,
    ) -> Applied:
        self.items.extend(items)
        while True:
            answer = await self._ask(
                self.receiver,
                ApplyBatch(
                    scope=self.scope,
                    sender=self.sender.documents.replica,
                    items=items,
                    lsn=lsn,
                    after=after,
                    knowledge=knowledge,
                    base=base,
                    vouched=self.vouched,
                ),
            )
            if isinstance(answer, Applied):
                break
            assert isinstance(answer, Lacking)
            wholes = await self._read(self.sender, id_keys=answer.id_keys)
            lacking = set(answer.id_keys)
            self.refetched += len(lacking)
            items = (*(item for item in items if item.id_key not in lacking), *wholes)
        self.applied.append(answer)
        if answer.gone:
            await self._ask(
                self.sender, DeleteGone(collection=self.scope.collection, seen=answer.gone)
            )
        return answer

    async def _repair(self, after: int | None) -> bool:
        self.repairs += 1
        theirs = await self._ask(self.sender, ReadDigests(scope=self.scope))
        if isinstance(theirs, ScopeClosed):
            return False
        ours = await self._ask(self.receiver, ReadDigests(scope=self.scope, for_peer=False))
        assert isinstance(theirs, Digests)
        assert isinstance(ours, Digests)
        only_theirs = tuple(sorted(set(theirs.values) - set(ours.values)))
        only_ours = tuple(sorted(set(ours.values) - set(theirs.values)))
        seen = await self._ask(self.receiver, FindSeen(scope=self.scope, digests=only_ours))
        fates = await self._ask(self.sender, FindGone(scope=self.scope, seen=seen))
        assert isinstance(fates, Fates)
        wholes = await self._read(self.sender, digests=only_theirs)
        have = {item.id_key for item in wholes}
        moved = tuple(id_key for id_key in fates.moved_out if id_key not in have)
        wholes = (*wholes, *await self._read(self.sender, id_keys=moved))
        self.vouched = theirs.vouched
        if fates.is_unsure:
            applied = await self._apply(wholes, None, None, None)
        else:
            applied = await self._apply(wholes, theirs.lsn, after, theirs.knowledge)
        if fates.gone:
            await self._ask(
                self.receiver, DeleteGone(collection=self.scope.collection, seen=fates.gone)
            )
        return not fates.is_unsure and not applied.doubtful

    async def _read(self, replica: ReplicaServer, **which: Any) -> tuple[Whole, ...]:
        answer = await self._ask(replica, ReadDocuments(scope=self.scope, **which))
        assert isinstance(answer, tuple)
        return answer

    async def _ask(self, replica: ReplicaServer, request: Any) -> Any:
        return await replica.documents.perform(request)


def now(work: Any) -> Any:
    """Return the result of a coroutine that never waits, as none does over stores in memory."""
    found: list[Any] = []
    Deferred.fromCoroutine(work).addBoth(found.append)
    assert found, "it waits"
    if isinstance(found[0], Failure):
        found[0].raiseException()
    return found[0]

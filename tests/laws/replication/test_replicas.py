# SPDX-License-Identifier: Apache-2.0
"""Whatever three servers write, and whichever of them hear of each other, they end the same."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from edge_twisted.documents.versions import Replica as ReplicaName
from edge_twisted.documents.versions import SiteId
from edge_twisted.errors import EdgeError
from edge_twisted.store.interface import Store
from edge_twisted.store.memory.data import Data
from edge_twisted.store.memory.store import MemoryStore
from tests.integration.replication.base import everything
from tests.support.replica import ReplicaServer, ReplicaStream, now
from tests.support.strategies_documents import fields

SERVERS = 3
QUERIES = ("SELECT * FROM c", "SELECT * FROM c WHERE a = 1", "SELECT * FROM c WHERE b IS MISSING")
server = st.integers(0, SERVERS - 1)
id_ = st.sampled_from(["x", "y"])
path = st.sampled_from(["a", "b", "a.b", "b.c"])

steps = st.lists(
    st.one_of(
        st.tuples(st.just("insert"), server, id_, fields),
        st.tuples(st.just("initial"), server, id_, st.sampled_from([{"a": 1}, {"a": 2, "b": 3}])),
        st.tuples(st.just("set"), server, id_, path, st.integers(1, 3)),
        st.tuples(st.just("unset"), server, id_, path),
        st.tuples(st.just("increment"), server, id_, path),
        st.tuples(st.just("restart"), server, id_, path),
        st.tuples(st.just("delete"), server, id_),
        st.tuples(st.just("sync"), server, server, st.sampled_from(QUERIES), st.booleans()),
        st.tuples(st.just("sync"), server, server, st.just(QUERIES[0]), st.booleans()),
        st.tuples(st.just("evict"), server, id_),
        st.tuples(st.just("renew"), server),
    ),
    max_size=25,
)


class World:
    """Three servers in memory, a clock, and the streams between them."""

    def __init__(self) -> None:
        self.moment = 1_790_000_000_000
        self.servers = [self._server(number) for number in range(SERVERS)]
        self.streams: dict[tuple[int, int, str], ReplicaStream] = {}

    def _now(self) -> int:
        self.moment += 1
        return self.moment

    def _server(self, number: int) -> ReplicaServer:
        data = Data(ReplicaName(SiteId(bytes([number]) * 16), 1))
        store = MemoryStore(data, self._now)
        now(_open(store))
        return ReplicaServer(str(number), store, self._now)

    def run(self, at: int, statement: str, **arguments: Any) -> None:
        with suppress(EdgeError):
            now(self.servers[at].run(statement, **arguments))

    def sync(self, sender: int, receiver: int, query: str, small: bool) -> None:
        if sender == receiver:
            return
        stream = self.streams.get((sender, receiver, query))
        if stream is None:
            scope = self.servers[receiver].documents.scope(query, {})
            stream = ReplicaStream(
                receiver=self.servers[receiver], sender=self.servers[sender], scope=scope
            )
            self.streams[sender, receiver, query] = stream
        stream.limit_bytes = 1 if small else 1 << 20
        stream.announce_above = 60 if small else None
        now(stream.sync())

    def step(self, name: str, at: int, *rest: Any) -> None:
        match name, rest:
            case "insert", (who, what):
                self.run(at, "INSERT INTO c DOCUMENTS (:d)", d={**what, "_id": who})
            case "initial", (who, what):
                self.run(at, "INSERT INTO c INITIAL DOCUMENTS (:d)", d={**what, "_id": who})
            case "set", (who, where, value):
                self.run(at, f"UPDATE c SET {where} = :v WHERE _id = :id", v=value, id=who)
            case "unset", (who, where):
                self.run(at, f"UPDATE c UNSET {where} WHERE _id = :id", id=who)
            case "increment", (who, where):
                self.run(at, f"UPDATE c APPLY {where} INCREMENT BY 1 WHERE _id = :id", id=who)
            case "restart", (who, where):
                self.run(at, f"UPDATE c APPLY {where} RESTART WITH 9 WHERE _id = :id", id=who)
            case "delete", (who,):
                self.run(at, "DELETE FROM c WHERE _id = :id", id=who)
            case "evict", (who,):
                self.run(at, "EVICT FROM c WHERE _id = :id", id=who)
            case "renew", ():
                now(_renew(self.servers[at]))
            case "sync", (other, query, small):
                self.sync(at, other, query, small)

    def settle(self) -> None:
        """Sync everybody with everybody until nothing changes any more."""
        for _ in range(8):
            before = [each.store.lsn for each in self.servers]
            for sender in range(SERVERS):
                for receiver in range(SERVERS):
                    self.sync(sender, receiver, QUERIES[0], False)
            if before == [each.store.lsn for each in self.servers]:
                return
        raise AssertionError("it never ends")


async def _open(store: Store) -> None:
    await store.open()


async def _renew(replica: ReplicaServer) -> None:
    await replica.store.write("renew", lambda unit: unit.renew_epoch())


@settings(max_examples=150, deadline=None)
@given(steps)
def test_all_end_the_same(history: list[tuple[Any, ...]]) -> None:
    world = World()
    for step in history:
        world.step(*step)
    world.settle()
    found = [everything(each) for each in world.servers]
    assert found[0] == found[1] == found[2]


@settings(max_examples=80, deadline=None)
@given(steps)
def test_what_everybody_deleted_and_forgot_stays_deleted(history: list[tuple[Any, ...]]) -> None:
    """After a common past, one is cut off; the others delete and reap; it comes back."""
    world = World()
    for step in history:
        world.step(*step)
    world.settle()
    for who in ("x", "y"):
        world.run(0, "DELETE FROM c WHERE _id = :id", id=who)
    for _ in range(2):
        world.sync(0, 1, QUERIES[0], False)
        world.sync(1, 0, QUERIES[0], False)
    for each in world.servers[:2]:
        now(_reap(each, world.moment + 10))
    world.moment += 20
    world.settle()
    for each in world.servers:
        assert now(each.rows("SELECT * FROM c")) == []


async def _reap(replica: ReplicaServer, before: int) -> None:
    await replica.store.reap(before, 1000)

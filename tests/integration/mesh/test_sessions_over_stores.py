# SPDX-License-Identifier: Apache-2.0
"""Two sessions over real stores in memory: documents, deltas and deletes as they are stored."""

from __future__ import annotations

from typing import Any, cast

import pytest
from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from edge_twisted.documents.versions import Replica as ReplicaName
from edge_twisted.documents.versions import SiteId
from edge_twisted.mesh.ports.requests import Answer, ApplyBatch, DocumentRequest, TransitRoute
from edge_twisted.mesh.session.bases import BaseMemory
from edge_twisted.mesh.session.handshake import LocalServer
from edge_twisted.mesh.session.pulls import Pulls
from edge_twisted.mesh.session.session import Session
from edge_twisted.mesh.wire.features import VERSIONS
from edge_twisted.store.hidden import shown_name
from edge_twisted.store.memory.data import Data
from edge_twisted.store.memory.store import MemoryStore
from edge_twisted.store.rows import Commit
from tests.support.mesh_pair import LinkEnd, LinkPair
from tests.support.replica import ReplicaServer, now

QUERY = "SELECT * FROM tasks"


class Site:
    """A server without network, and what its commits were since somebody asked."""

    def __init__(
        self, number: int, *, drop_moved_out: bool = False, transit_bytes: int | None = None
    ) -> None:
        self.now_ms = 1_790_000_000_000
        data = Data(ReplicaName(SiteId(bytes([number]) * 16), 1))
        store = MemoryStore(data, self.tick)
        store.open()
        self.key = f"pk{number}"
        self.replica = ReplicaServer(
            f"s{number}",
            store,
            self.tick,
            drop_moved_out=drop_moved_out,
            transit_bytes=transit_bytes,
        )
        self.changed: set[str] = set()
        #: What a restart forgets.
        self.bases = BaseMemory()
        self.versions: tuple[int, ...] = VERSIONS
        store.on_commit(self._committed)

    def tick(self) -> int:
        self.now_ms += 1
        return self.now_ms

    def run(self, statement: str, **arguments: Any) -> None:
        now(self.replica.run(statement, **arguments))

    def rows(self, statement: str) -> list[Any]:
        return cast("list[Any]", now(self.replica.rows(statement)))

    def moved_out(self) -> list[Any]:
        """Return the ids in ``system:moved_out``."""
        with self.replica.store.snapshot() as snapshot:
            return [row["document_id"] for row in self.replica.documents.moved_out(snapshot)]

    def _committed(self, commit: Commit) -> None:
        self.changed |= {shown_name(name) for name in commit.collections}


class StoredEnd(LinkEnd):
    """An end whose questions a store answers."""

    site: Site

    @classmethod
    def of(cls, site: Site, peer: Site, queries: tuple[str, ...]) -> StoredEnd:
        documents = site.replica.documents
        us = LocalServer(
            home=documents,
            database=b"d" * 32,
            peer_key=site.key,
            device_name=site.key,
            now_ms=lambda: site.now_ms,
            entropy=lambda size: b"s" * size,
            versions=site.versions,
        )
        scopes = [documents.scope(query, {}) for query in queries]
        if documents.transit is None:
            documents.subscribe(scopes)
        else:
            scopes = [evolve(scope, route=TransitRoute(())) for scope in scopes]
        session = Session(us, peer.key, scopes, pulls=Pulls(), bases=site.bases)
        end = cls(cast(Any, documents), session)
        end.site = site
        return end

    def perform(self, request: DocumentRequest) -> Answer:
        found: list[object] = []
        asked: Deferred[Answer] = self.site.replica.documents.perform(request)
        asked.addBoth(found.append)
        assert found, "stores in memory never wait"
        if isinstance(found[0], Failure):
            found[0].raiseException()
        return cast(Answer, found[0])

    def tell_commits(self, now: float) -> None:
        changed, self.site.changed = frozenset(self.site.changed), set()
        if changed:
            lsn = self.site.replica.documents.lsn
            self.take(self.session.committed(lsn, changed, now))


def linked(a: Site, b: Site, *queries: str) -> LinkPair:
    wanted = queries or (QUERY,)
    return LinkPair(StoredEnd.of(a, b, wanted), StoredEnd.of(b, a, wanted)).start()


def same(a: Site, b: Site, collection: str = "tasks") -> list[Any]:
    query = f"SELECT * FROM {collection} ORDER BY _id"
    assert a.rows(query) == b.rows(query)
    return a.rows(query)


def insert(site: Site, count: int) -> None:
    documents = [
        {"_id": f"task{n:08d}", "title": f"pump {n % 97}", "priority": n % 5, "done": False}
        for n in range(count)
    ]
    site.run("INSERT INTO tasks DOCUMENTS (:docs)", docs=documents)


def test_two_servers_converge_over_concurrent_changes_and_deletes() -> None:
    a, b = Site(1), Site(2)
    insert(a, 20)
    linked(a, b).wait(3)
    assert len(same(a, b)) == 20
    a.run("UPDATE tasks SET priority = 7 WHERE _id = 'task00000001'")
    b.run("UPDATE tasks SET title = 'both' WHERE _id = 'task00000001'")
    a.run("DELETE FROM tasks WHERE _id = 'task00000002'")
    b.run("INSERT INTO tasks DOCUMENTS ({'_id': 'new', 'priority': 1})")
    pair = linked(a, b).wait(3)
    found = {row["_id"]: row for row in same(a, b)}
    assert found["task00000001"]["title"] == "both" and found["task00000001"]["priority"] == 7
    assert "task00000002" not in found and "new" in found
    pair.wait(30)
    assert pair.left.closed is pair.right.closed is None
    quiet = pair.total_bytes
    pair.wait(30)
    assert pair.total_bytes - quiet < 40 * 20, "keep-alives, and no repair"


def test_a_thousand_changes_of_one_field_are_small() -> None:
    a, b = Site(1), Site(2)
    insert(a, 1000)
    pair = linked(a, b).wait(3)
    before = pair.total_bytes
    a.run("UPDATE tasks SET priority = 9 WHERE priority < 9")
    pair.wait(3)
    together = pair.total_bytes - before
    before = pair.total_bytes
    for n in range(1000):
        a.run("UPDATE tasks SET priority = 8 WHERE _id = :id", id=f"task{n:08d}")
        if n % 4 == 3:
            pair.settle()
    pair.wait(3)
    alone = pair.total_bytes - before
    assert {row["priority"] for row in same(a, b)} == {8}
    assert together <= 60_000
    assert alone <= 60_000


def test_servers_in_sync_reconnect_for_three_hundred_bytes() -> None:
    a, b = Site(1), Site(2)
    insert(a, 500)
    linked(a, b).wait(3)
    pair = LinkPair(StoredEnd.of(a, b, (QUERY,)), StoredEnd.of(b, a, (QUERY,)))
    for end in (pair.left, pair.right):
        end.take(end.session.start(0.0))
    hellos = pair.total_bytes
    pair.settle()
    assert pair.left.session.is_caught_up and pair.right.session.is_caught_up
    assert pair.total_bytes - hellos <= 300


def test_what_moves_out_of_a_condition_is_seen_to_leave() -> None:
    a, b = Site(1), Site(2)
    insert(a, 10)
    pair = linked(a, b, "SELECT * FROM tasks WHERE done = false").wait(2)
    assert len(b.rows(QUERY)) == 10
    a.run("UPDATE tasks SET done = true WHERE _id = 'task00000003'")
    pair.wait(2)
    done = "SELECT * FROM tasks WHERE done = true"
    assert a.rows(done) == b.rows(done)
    a.run("DELETE FROM tasks WHERE _id = 'task00000004'")
    pair.wait(2)
    assert len(same(a, b)) == 9
    assert pair.left.closed is pair.right.closed is None


def test_servers_that_never_met_repair_each_other() -> None:
    a, b = Site(1), Site(2)
    insert(a, 300)
    linked(a, b).wait(2)
    c = Site(3)
    linked(a, c).wait(2)
    b.run("DELETE FROM tasks WHERE _id = 'task00000007'")
    c.run("INSERT INTO tasks DOCUMENTS ({'_id': 'c', 'priority': 1})")
    pair = linked(b, c).wait(3)
    assert len(same(b, c)) == 300
    assert pair.left.closed is pair.right.closed is None
    assert pair.total_bytes < 8000


#: Of three documents in four, two match each of two scopes, and one all three.
OVERLAPPING = (
    "SELECT * FROM tasks WHERE priority < 3",
    "SELECT * FROM tasks WHERE priority < 4",
    "SELECT * FROM tasks WHERE priority < 5",
)


def cost_of(*queries: str) -> tuple[int, int]:
    """Return the bytes of a first sync of 300 documents, and of a change of each of them."""
    a, b = Site(1), Site(2)
    insert(a, 300)
    pair = linked(a, b, *queries).wait(3)
    assert len(same(a, b)) == 300
    first = pair.total_bytes
    for n in range(0, 300, 5):
        a.run(
            "UPDATE tasks SET title = 'valve' WHERE _id >= :a AND _id < :z",
            a=f"task{n:08d}",
            z=f"task{n + 5:08d}",
        )
        pair.settle()
    pair.wait(3)
    assert len(b.rows("SELECT * FROM tasks WHERE title = 'valve'")) == 300
    assert pair.left.closed is pair.right.closed is None
    return first, pair.total_bytes - first


def test_overlapping_scopes_cost_as_the_widest_of_them() -> None:
    first_of_one, live_of_one = cost_of(OVERLAPPING[2])
    first, live = cost_of(*OVERLAPPING)
    assert first <= 1.1 * first_of_one
    assert live <= 1.1 * live_of_one


def test_a_whole_scope_and_parts_of_it_cost_as_the_whole() -> None:
    first_of_one, live_of_one = cost_of(QUERY)
    first, live = cost_of(OVERLAPPING[0], QUERY, OVERLAPPING[1])
    assert first <= 1.1 * first_of_one
    assert live <= 1.1 * live_of_one


@pytest.mark.parametrize("drops", [False, True])
def test_leaving_one_scope_of_a_link_is_no_leaving(drops: bool) -> None:
    a, b = Site(1), Site(2, drop_moved_out=drops)
    insert(a, 10)
    scopes = "SELECT * FROM tasks WHERE priority < 3", "SELECT * FROM tasks WHERE done = false"
    pair = linked(a, b, *scopes).wait(2)
    a.run("UPDATE tasks SET priority = 9 WHERE _id = 'task00000001'")
    pair.wait(2)
    assert b.rows("SELECT _id FROM tasks WHERE priority = 9") == [{"_id": "task00000001"}]
    assert b.moved_out() == []
    a.run("UPDATE tasks SET done = true WHERE _id = 'task00000001'")
    pair.wait(2)
    left = [] if drops else ["task00000001"]
    assert b.moved_out() == left
    assert [r["_id"] for r in b.rows("SELECT _id FROM tasks WHERE priority = 9")] == left


def test_a_first_sync_of_several_batches_from_a_server_that_has_reaped() -> None:
    """Its first batches end before the newest reaped tombstone: that is no stale cursor."""
    a, b = Site(1), Site(2)
    for start in range(0, 1200, 300):
        documents = [{"_id": f"t{n}", "notes": "x" * 500} for n in range(start, start + 300)]
        a.run("INSERT INTO tasks DOCUMENTS (:d)", d=documents)
    a.run("DELETE FROM tasks WHERE _id = 't7'")
    a.now_ms += 200 * 3_600_000
    b.now_ms = a.now_ms
    a.replica.store.reap(a.now_ms - 168 * 3_600_000, 1000)
    pair = linked(a, b)
    assert len(same(a, b)) == 1199
    applied = [each for each in pair.right.requests if isinstance(each, ApplyBatch)]
    assert 2 <= len(applied) < 10


def test_a_cursor_from_before_what_was_reaped_is_stale_all_the_same() -> None:
    a, b = Site(1), Site(2)
    a.run("INSERT INTO tasks DOCUMENTS (:d)", d=[{"_id": "one"}, {"_id": "two"}])
    linked(a, b)
    a.run("DELETE FROM tasks WHERE _id = 'one'")
    a.now_ms += 200 * 3_600_000
    b.now_ms = a.now_ms
    a.replica.store.reap(a.now_ms - 168 * 3_600_000, 1000)
    linked(a, b).wait(5)
    assert same(a, b) == [{"_id": "two"}]


def test_what_left_a_condition_comes_before_the_cursor_of_a_repair() -> None:
    """Else a link that ends in between would leave the receiver with the old document for good."""
    a, b = Site(1), Site(2)
    insert(a, 100)
    query = "SELECT * FROM tasks WHERE done = false"
    linked(a, b, query).wait(2)
    a.run("UPDATE tasks SET done = true WHERE _id < 'task00000080'")
    b.run("EVICT FROM tasks WHERE _id = 'task00000099'")
    pair = LinkPair(StoredEnd.of(a, b, (query,)), StoredEnd.of(b, a, (query,)))
    for end in (pair.left, pair.right):
        end.take(end.session.start(pair.now))

    def has_moved() -> bool:
        return any(isinstance(each, ApplyBatch) and each.lsn for each in pair.right.requests)

    while not has_moved():
        assert pair.step()
    linked(a, b, query).wait(2)
    assert len(b.rows("SELECT * FROM tasks WHERE done = true")) == 80


# -- a server in transit


def drop(transit: Site, most_bytes: int) -> None:
    """Let a server in transit keep no more bytes than this, and drop what is more."""
    documents = transit.replica.documents
    assert documents.transit is not None and documents.upkeep is not None
    documents.transit.most_bytes = most_bytes
    while now(documents.upkeep.make_room({})).more:
        pass


def fetch_again(transit: Site) -> None:
    """Do what the relay does when a neighbour lacks what was dropped."""
    upkeep = transit.replica.documents.upkeep
    assert upkeep is not None
    now(upkeep.want_again("tasks"))


@pytest.mark.parametrize("has_passed", [False, True])
def test_a_dropped_document_that_has_left_the_condition_is_fetched_again(has_passed: bool) -> None:
    """
    B has a document that was dropped at T and has left the condition at A since.

    :param has_passed: whether the change came to T while B was away, and was dropped as well.
    """
    a, t, b = Site(1), Site(2, transit_bytes=1 << 20), Site(3)
    query = "SELECT * FROM tasks WHERE done = false"
    insert(a, 10)
    linked(a, t, query).wait(2)
    linked(t, b, query).wait(2)
    assert len(b.rows(QUERY)) == 10
    a.run("UPDATE tasks SET done = true WHERE _id < 'task00000005'")
    if has_passed:
        linked(a, t, query).wait(2)
    drop(t, 1)
    t.run("INSERT INTO tasks DOCUMENTS ({'_id': 'of T'})")
    drop(t, 1 << 20)
    fetch_again(t)
    linked(a, t, query).wait(2)
    linked(t, b, query).wait(2)
    done = "SELECT * FROM tasks WHERE done = true ORDER BY _id"
    assert len(b.rows(done)) == 5
    assert a.rows(done) == b.rows(done)
    assert t.rows(QUERY) == [{"_id": "of T"}]

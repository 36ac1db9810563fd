# SPDX-License-Identifier: Apache-2.0
"""Sessions over real stores, one of which remembers reaped deletes only as a summary."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar
from unittest.mock import patch

import pytest
from twisted.internet.defer import Deferred

from edge_twisted.mesh.ports.requests import FindPosition, StreamPosition
from edge_twisted.mesh.wire.frames import FrameReader
from edge_twisted.mesh.wire.messages import RepairBegin, decode
from edge_twisted.records import folded_deletes
from edge_twisted.replication import reaped
from edge_twisted.store.interface import UnitOfWork
from tests.integration.mesh.test_sessions_over_stores import QUERY, Site, StoredEnd, linked
from tests.support.mesh_pair import LinkEnd, LinkPair
from tests.support.replica import now

T = TypeVar("T")

SOME = "SELECT * FROM tasks WHERE v = 1"
MORE = "SELECT * FROM tasks WHERE v > 0"


@pytest.fixture(autouse=True)
def one_bucket() -> Iterator[None]:
    """Nothing is remembered one by one, and every id may be meant."""
    with (
        patch.object(reaped, "MOST_REAPED", 0),
        patch.object(folded_deletes, "_hash", lambda id_key: bytes(16)),
    ):
        yield


def link(a: Site, b: Site, a_wants: tuple[str, ...], b_wants: tuple[str, ...]) -> LinkPair:
    return LinkPair(StoredEnd.of(a, b, a_wants), StoredEnd.of(b, a, b_wants)).start()


def forgetful() -> tuple[Site, Site]:
    """`b` has deleted x of `a`, and forgotten; it may have deleted `old`, which it never saw."""
    a, b = Site(1), Site(2)
    a.run("INSERT INTO tasks DOCUMENTS ({'_id': 'old', 'v': 2})")
    a.run("INSERT INTO tasks DOCUMENTS ({'_id': 'x', 'v': 1})")
    link(a, b, (), (SOME,)).wait(1)
    b.run("DELETE FROM tasks")
    return a, b


def reap(site: Site) -> None:
    def acknowledge(unit: UnitOfWork) -> None:
        unit.put_fact("acknowledged", b"", (10**6).to_bytes(8, "big"))

    store = site.replica.store
    done(store.write("acknowledge", acknowledge))
    done(store.reap(site.now_ms + 10, 1000))


def done(work: Deferred[T]) -> T:
    """Return what a store in memory answers, which is at once."""

    async def wait() -> T:
        return await work

    found: T = now(wait())
    return found


def ids(site: Site) -> list[object]:
    return [row["_id"] for row in site.rows("SELECT _id FROM tasks ORDER BY _id")]


def cursor(receiver: Site, sender: Site, query: str) -> int | None:
    documents = receiver.replica.documents
    scope = documents.scope(query, {})
    request = FindPosition(scope=scope, sender=sender.replica.documents.replica)
    found = done(documents.perform(request))
    assert isinstance(found, StreamPosition)
    return found.lsn


def repairs(end: LinkEnd) -> int:
    reader = FrameReader()
    reader.limit_bytes = 1 << 25
    for data in end.log:
        reader.feed(data)
    return sum(isinstance(decode(each), RepairBegin) for each in reader.messages())


def test_what_lives_comes_with_a_repair_in_which_the_sender_vouches() -> None:
    a, b = forgetful()
    link(a, b, (QUERY,), ()).wait(1)
    reap(b)
    pair = link(a, b, (), (MORE,)).wait(5)
    assert pair.left.closed is pair.right.closed is None
    assert (ids(a), ids(b)) == (["old"], ["old"])
    assert repairs(pair.right) == 1
    assert cursor(b, a, MORE) == a.replica.store.lsn
    a.run("UPDATE tasks SET w = 1")
    pair.wait(2)
    assert b.rows(QUERY) == [{"_id": "old", "v": 2, "w": 1}]
    assert cursor(b, a, MORE) == a.replica.store.lsn, "it moves again"
    again = link(a, b, (), (MORE,)).wait(5)
    assert repairs(again.right) == 0


def test_who_does_not_vouch_is_asked_again_ever_more_rarely_and_the_stream_goes_on() -> None:
    a, b = forgetful()
    reap(b)
    pair = link(a, b, (), (MORE,)).wait(5)
    assert (ids(b), repairs(pair.right)) == ([], 1)
    a.run("INSERT INTO tasks DOCUMENTS ({'_id': 'new', 'v': 3})")
    pair.wait(25)
    assert (ids(b), repairs(pair.right)) == (["new"], 1)
    assert cursor(b, a, MORE) is None, "a restart begins with a repair"
    pair.wait(600)
    assert 3 <= repairs(pair.right) <= 6
    assert pair.left.closed is pair.right.closed is None


def test_it_is_taken_once_the_sender_knows() -> None:
    a, b = forgetful()
    link(a, b, (QUERY,), ()).wait(1)
    reap(b)
    c = Site(3)
    # c has `old` from a, but not what a knows: it wants a part of it.
    link(a, c, (), (MORE,)).wait(1)
    pair = link(c, b, (), (MORE,)).wait(5)
    assert ids(b) == []
    link(a, c, (), (QUERY,)).wait(5)
    pair.wait(60)
    assert ids(b) == ["old"]
    assert cursor(b, c, MORE) == c.replica.store.lsn


def test_a_zombie_stays_alone_until_somebody_knows_of_its_delete() -> None:
    a, b, c = *forgetful(), Site(3)
    link(b, c, (), (QUERY,)).wait(1)
    reap(b)
    # b may have deleted x, or not: it says so, and a does not take what b knows for its own.
    pair = linked(a, b).wait(100)
    assert pair.left.closed is pair.right.closed is None
    assert (ids(a), ids(b)) == (["old", "x"], [])
    assert cursor(a, b, QUERY) is None
    # c has the tombstone.
    linked(a, c).wait(5)
    assert ids(a) == ids(c) == ["old"]
    pair.wait(600)
    assert ids(b) == ["old"]
    assert cursor(a, b, QUERY) == b.replica.store.lsn

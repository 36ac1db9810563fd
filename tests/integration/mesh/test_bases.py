# SPDX-License-Identifier: Apache-2.0
"""What deltas build on survives: changes made while a link is down travel as changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from edge_twisted.mesh.session.bases import BaseMemory
from edge_twisted.mesh.wire import messages as m
from edge_twisted.mesh.wire.frames import FrameReader
from edge_twisted.records.facts import BASES, CURSORS
from tests.integration.mesh.test_sessions_over_stores import (
    QUERY,
    Site,
    StoredEnd,
    insert,
    linked,
    same,
)
from tests.support.mesh_pair import LinkEnd, LinkPair

CHANGES = 200
#: The target is 60 kB for 1,000 changes.
MOST_BYTES = 60 * CHANGES
OPEN = "SELECT * FROM tasks WHERE open = true"


def long_documents(site: Site, count: int) -> None:
    """Insert documents of about 370 bytes, with ids of 12 characters."""
    documents = [
        {
            "_id": f"task{n:08d}",
            "open": True,
            "priority": 0,
            "notes": f"{n * 2654435761 % 2**32:08x}" * 32,
            "site": {"dock": n % 40, "crew": f"crew-{n % 89}"},
        }
        for n in range(count)
    ]
    site.run("INSERT INTO tasks DOCUMENTS (:docs)", docs=documents)


def link(sender: Site, receiver: Site, query: str = QUERY) -> LinkPair:
    """Link two servers, one of which subscribes to the other."""
    ends = StoredEnd.of(sender, receiver, ()), StoredEnd.of(receiver, sender, (query,))
    return LinkPair(*ends).start()


def said(end: LinkEnd) -> Iterator[m.Message]:
    """Yield the messages that an end sent."""
    reader = FrameReader()
    reader.limit_bytes = 1 << 25
    for data in end.log:
        reader.feed(data)
        yield from filter(None, map(m.decode, reader.messages()))


def items_of(end: LinkEnd) -> tuple[int, int]:
    """Return how many documents an end sent whole in batches, and how many as deltas."""
    batches = [each.items for each in said(end) if isinstance(each, m.Batch)]
    return sum(len(each.whole) for each in batches), sum(len(each.partial) for each in batches)


def kinds(end: LinkEnd) -> set[type]:
    return {type(each) for each in said(end)}


def facts(site: Site, space: str) -> int:
    with site.replica.store.snapshot() as snapshot:
        return len(snapshot.facts(space))


# -- ways of being absent: of the sender and the receiver


def cut(sender: Site, receiver: Site) -> None:
    """Nothing is forgotten."""


def restart_sender(sender: Site, receiver: Site) -> None:
    sender.bases = BaseMemory()


def restart_receiver(sender: Site, receiver: Site) -> None:
    receiver.bases = BaseMemory()


def replace_link(sender: Site, receiver: Site) -> None:
    """The second link begins while the first one is still there."""
    link(sender, receiver)


def one_statement(site: Site) -> None:
    site.run("UPDATE tasks SET priority = 9")


def many_statements(site: Site) -> None:
    for n in range(CHANGES):
        site.run("UPDATE tasks SET priority = 9 WHERE _id = :id", id=f"task{n:08d}")


@pytest.fixture(scope="module")
def in_sync() -> tuple[Site, Site]:
    """Two servers that have synced; every test changes all documents, and syncs again."""
    a, b = Site(1), Site(2)
    long_documents(a, CHANGES)
    link(a, b).wait(1)
    return a, b


@pytest.mark.parametrize("change", [one_statement, many_statements])
@pytest.mark.parametrize("absence", [cut, restart_sender, restart_receiver, replace_link])
def test_changes_after_an_absence_cost_what_they_cost_live(
    in_sync: tuple[Site, Site],
    absence: Callable[[Site, Site], None],
    change: Callable[[Site], None],
) -> None:
    a, b = in_sync
    a.run("UPDATE tasks SET priority = 0")
    link(a, b).wait(1)
    absence(a, b)
    change(a)
    pair = link(a, b).wait(1)
    assert {row["priority"] for row in same(a, b)} == {9}
    assert items_of(pair.left) == (0, CHANGES)
    assert pair.total_bytes <= MOST_BYTES
    assert (m.BaseWanted in kinds(pair.left)) == (absence is restart_sender)
    assert m.Want not in kinds(pair.right)


def test_who_is_in_sync_is_not_asked() -> None:
    a, b = Site(1), Site(2)
    long_documents(a, 5)
    linked(a, b).wait(1)
    a.bases, b.bases = BaseMemory(), BaseMemory()
    pair = linked(a, b)
    asked = kinds(pair.left) | kinds(pair.right)
    assert not asked & {m.BaseWanted, m.Base}
    # What was learned from the digest alone is a base like any other.
    a.run("UPDATE tasks SET priority = 1")
    pair.wait(1)
    assert items_of(pair.left) == (0, 5)


def test_a_condition_has_a_base_live_and_after_an_absence() -> None:
    a, b = Site(1), Site(2)
    long_documents(a, 20)
    pair = link(a, b, OPEN).wait(1)
    a.run("UPDATE tasks SET priority = 1")
    pair.wait(1)
    assert items_of(pair.left) == (20, 20)
    restart_sender(a, b)
    a.run("UPDATE tasks SET priority = 2")
    pair = link(a, b, OPEN).wait(1)
    assert items_of(pair.left) == (0, 20)
    assert {row["priority"] for row in same(a, b)} == {2}


def test_what_moves_into_a_condition_is_asked_for_whole() -> None:
    a, b = Site(1), Site(2)
    long_documents(a, 5)
    a.run("UPDATE tasks SET open = false")
    link(a, b, OPEN).wait(1)
    assert b.rows(QUERY) == []
    a.run("UPDATE tasks SET open = true")
    pair = link(a, b, OPEN).wait(1)
    assert m.Want in kinds(pair.right)
    assert len(same(a, b)) == 5


def test_what_was_written_on_both_sides_meanwhile_is_merged() -> None:
    a, b = Site(1), Site(2)
    long_documents(a, 5)
    linked(a, b).wait(1)
    a.run("UPDATE tasks SET priority = 1")
    b.run("UPDATE tasks SET open = false")
    pair = linked(a, b).wait(3)
    assert {(row["priority"], row["open"]) for row in same(a, b)} == {(1, False)}
    assert items_of(pair.left)[0] == items_of(pair.right)[0] == 0
    assert m.Want not in kinds(pair.left) | kinds(pair.right)


def test_evict_drops_the_base_with_the_cursor() -> None:
    a, b = Site(1), Site(2)
    long_documents(a, 3)
    link(a, b).wait(1)
    assert (facts(b, CURSORS), facts(b, BASES)) == (1, 1)
    b.run("EVICT FROM tasks WHERE _id = 'task00000001'")
    assert (facts(b, CURSORS), facts(b, BASES)) == (0, 0)
    a.run("UPDATE tasks SET priority = 3")
    pair = link(a, b).wait(2)
    assert items_of(pair.left)[1] == 0
    assert {row["priority"] for row in same(a, b)} == {3}


@pytest.mark.parametrize("old", [0, 1, 2], ids=["sender", "receiver", "both"])
def test_a_link_with_an_older_version_goes_as_it_did(old: int) -> None:
    a, b = Site(1), Site(2)
    for number, site in enumerate((a, b)):
        if old in (number, 2):
            site.versions = (1,)
    insert(a, 10)
    linked(a, b).wait(1)
    a.run("UPDATE tasks SET priority = 9")
    b.run("UPDATE tasks SET title = 'b' WHERE _id = 'task00000001'")
    pair = linked(a, b).wait(3)
    assert len(same(a, b)) == 10
    for end in (pair.left, pair.right):
        assert end.closed is None
        assert not kinds(end) & {m.BaseWanted, m.Base}
        for each in said(end):
            assert not isinstance(each, m.Subscribe | m.Batch) or each.base is None
    assert items_of(pair.left)[0] == 10


def test_who_becomes_newer_has_its_base_already() -> None:
    a, b = Site(1), Site(2)
    b.versions = (1,)
    long_documents(a, 10)
    link(a, b).wait(1)
    b.versions = (1, 2)
    a.run("UPDATE tasks SET priority = 9")
    pair = link(a, b).wait(1)
    assert items_of(pair.left) == (0, 10)
    assert {row["priority"] for row in same(a, b)} == {9}

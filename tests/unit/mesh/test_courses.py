# SPDX-License-Identifier: Apache-2.0
"""Subscriptions of one collection that travel together: what it costs, and how they part."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import TypeVar

import pytest

from edge_twisted.mesh.ports.requests import (
    Answer,
    ApplyBatch,
    CursorUnknown,
    DocumentRequest,
    ReadChanges,
)
from edge_twisted.mesh.session import course
from edge_twisted.mesh.session.handshake import hello
from edge_twisted.mesh.session.session import Session
from edge_twisted.mesh.wire import messages as m
from edge_twisted.mesh.wire.frames import FrameReader, FrameWriter
from edge_twisted.mesh.wire.messages import Batch, RepairBegin, RepairPull, Unsubscribe
from tests.support.fake_documents import FakeDocuments, fake_scope
from tests.support.mesh_pair import LinkEnd, LinkPair, fake_key, fake_us, two

RED, BLUE, GREEN = "tasks red", "tasks blue", "tasks green"
THREE = [RED, BLUE, GREEN]
ALL = "red blue green"

R = TypeVar("R")
M = TypeVar("M", bound=m.Message)


def asked(end: LinkEnd, kind: type[R]) -> list[R]:
    return [request for request in end.requests if isinstance(request, kind)]


def said(end: LinkEnd, kind: type[M]) -> list[M]:
    """Return the messages of a kind that an end sent."""
    return [message for message in _messages(end) if isinstance(message, kind)]


def _messages(end: LinkEnd) -> Iterator[m.Message]:
    reader = FrameReader()
    reader.limit_bytes = 1 << 25
    for data in end.log:
        reader.feed(data)
        for payload in reader.messages():
            message = m.decode(payload)
            assert message is not None
            yield message


def is_open(pair: LinkPair) -> bool:
    return pair.left.closed is None and pair.right.closed is None


def fill(documents: FakeDocuments, numbers: range, words: str = ALL, seed: int = 1) -> None:
    """Write documents that no deflater makes small."""
    random = Random(seed)
    documents.write("tasks", {f"task {n}": f"{words} {random.random()}" for n in numbers})


def change(pair: LinkPair, count: int, words: str = ALL) -> int:
    """Change documents one after the other; return the bytes that it cost."""
    before = pair.total_bytes
    for number in range(count):
        fill(pair.left.documents, range(number, number + 1), words, seed=number + 7)
        pair.settle()
    pair.wait(3)
    return pair.total_bytes - before


def synced(wants: list[str], versions: tuple[int, ...] = (1, 2)) -> tuple[LinkPair, int]:
    """Return a link over which 200 documents came, and the bytes that they cost."""
    left, right = two()
    fill(left, range(200))
    pair = LinkPair.of(left, right, right_wants=wants, versions=versions).start().wait(3)
    assert right.shown("tasks") == left.shown("tasks")
    return pair, pair.total_bytes


# -- what it costs


@pytest.mark.parametrize("wants", [THREE, ["tasks", *THREE], [*THREE, "tasks"]])
def test_overlapping_scopes_cost_as_one(wants: list[str]) -> None:
    alone = ["tasks"] if "tasks" in wants else [RED]
    (one, first_of_one), (several, first) = synced(alone), synced(wants)
    assert first <= 1.1 * first_of_one
    assert change(several, 100) <= 1.1 * change(one, 100)
    assert several.right.documents.shown("tasks") == several.left.documents.shown("tasks")


def test_the_log_is_read_once_and_what_came_is_applied_once() -> None:
    def asked_for(wants: list[str]) -> tuple[int, int]:
        pair, _ = synced(wants)
        before = len(asked(pair.left, ReadChanges)), len(asked(pair.right, ApplyBatch))
        change(pair, 20)
        after = len(asked(pair.left, ReadChanges)), len(asked(pair.right, ApplyBatch))
        return after[0] - before[0], after[1] - before[1]

    assert asked_for(THREE) == asked_for([RED])
    assert asked_for(THREE)[0] == 20


def test_a_peer_of_an_older_version_gets_a_batch_for_each_scope() -> None:
    pair, first = synced(THREE, versions=(1,))
    assert first > 2 * synced([RED])[1]
    assert not any(batch.others for batch in said(pair.left, Batch))


def test_a_document_in_one_scope_of_several_comes_and_leaves() -> None:
    left, right = two()
    left.write("tasks", {"a": "red", "b": "blue", "c": "white"})
    pair = LinkPair.of(left, right, right_wants=[RED, BLUE]).start()
    assert right.shown("tasks") == {"a": "red", "b": "blue"}
    left.write("tasks", {"a": "blue", "b": "white", "c": "red"})
    pair.wait(2)
    # `a` is in another scope of the link now, and `b` in none: the leaving change comes.
    assert right.shown("tasks") == {"a": "blue", "b": "white", "c": "red"}
    assert is_open(pair)


# -- how they come together


def test_a_scope_that_is_added_later_brings_only_what_is_not_here() -> None:
    pair, first = synced([RED])
    left, right = pair.left.documents, pair.right.documents
    left.write("tasks", {"blue": "blue alone"})
    before = pair.total_bytes
    pair.right.take(pair.right.session.subscribe(fake_scope(BLUE), pair.now))
    pair.settle()
    assert right.shown("tasks") == left.shown("tasks")
    assert pair.total_bytes - before < first / 5
    pair.wait(3)
    assert change(pair, 50) <= 1.1 * change(synced([RED])[0], 50)


@pytest.mark.parametrize("near", [0, course.NEAR_COMMITS])
def test_what_another_scope_brought_is_left_out_while_streaming_from_the_beginning(
    near: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(course, "NEAR_COMMITS", near)
    pair, _ = synced([RED])
    left, right = pair.left.documents, pair.right.documents
    # A third of the new scope is here, so reconciling would cost more than streaming it.
    left.write("tasks", {f"blue {n}": f"blue {Random(n).random()}" for n in range(400)})
    pair.settle()
    before = len(said(pair.left, Batch))
    pair.right.take(pair.right.session.subscribe(fake_scope(BLUE), pair.now))
    pair.wait(3)
    assert right.shown("tasks") == left.shown("tasks")
    batches = said(pair.left, Batch)[before:]
    assert sum(len(batch.items.whole) for batch in batches) == 400
    assert any(batch.number == (1 if near else 2) for batch in batches if batch.items.whole)


def test_scopes_that_caught_up_apart_meet_although_commits_go_on() -> None:
    pair, _ = synced([RED])
    left = pair.left.documents
    pair.right.take(pair.right.session.subscribe(fake_scope(BLUE), pair.now))
    for number in range(300):
        # There is a batch on its way at every moment.
        left.write("tasks", {f"new {number}": f"{ALL} {number}"})
        for _ in range(3):
            pair.step()
    pair.settle()
    late = said(pair.left, Batch)[-50:]
    assert all(batch.others for batch in late)
    assert pair.right.documents.shown("tasks") == left.shown("tasks")


def test_scopes_whose_cursors_are_far_apart_come_together_one_after_the_other() -> None:
    left, right = two()
    for number in range(5):
        left.lsn += 10 * course.NEAR_COMMITS
        left.write("tasks", {f"task {number}": ALL})
    wants = ["tasks a", "tasks e", "tasks g", "tasks l", "tasks"]
    right.docs["tasks"] = dict(left.docs["tasks"])
    for number, query in enumerate(wants):
        right.cursors[left.replica, query.encode()] = 10 * course.NEAR_COMMITS * (number + 1)
    pair = LinkPair.of(left, right, right_wants=wants).start()
    left.write("tasks", {"task 9": ALL})
    pair.wait(2)
    assert len(said(pair.left, Batch)[-1].others) == 4
    assert right.shown("tasks") == left.shown("tasks")
    assert is_open(pair)


def test_repairs_of_overlapping_scopes_pull_once() -> None:
    left, right = two()
    fill(left, range(300))
    LinkPair.of(left, right, right_wants=THREE).start()
    fill(left, range(60), seed=2)
    right.cursors.clear()
    pair = LinkPair.of(left, right, right_wants=THREE).start().wait(3)
    assert right.shown("tasks") == left.shown("tasks")
    assert {repair.number for repair in said(pair.right, RepairBegin)} == {1, 2, 3}
    assert sum(len(pull.digests) for pull in said(pair.right, RepairPull)) == 60
    assert is_open(pair)


def test_repairs_that_stream_everything_stream_it_once() -> None:
    left, right = two()
    right.write("tasks", {"ours": ALL})
    fill(left, range(600))
    pair = LinkPair.of(left, right, right_wants=THREE).start().wait(5)
    assert right.shown("tasks") == {**left.shown("tasks"), "ours": ALL}
    assert sum(len(batch.items.whole) for batch in said(pair.left, Batch)) <= 601
    assert is_open(pair)


def test_who_has_not_said_ready_waits_for_nothing_on_a_link_of_the_first_version() -> None:
    left, right = two()
    left.write("tasks", {"a": ALL})
    for versions, reads in (((1,), 1), ((2,), 0)):
        us = fake_us(left, versions=versions)
        end, peer = LinkEnd(left, Session(us, fake_key(right))), FrameWriter()
        end.take(end.session.start(0.0))
        greeting = hello(fake_us(right, versions=versions), right.replica, None)
        for message in (greeting, m.Subscribe(1, RED, b"\x80", None, 0)):
            end.take(end.session.receive(peer.message(m.encode(message)), 0.0))
        while end.step(0.0):
            pass
        assert len(asked(end, ReadChanges)) == reads
        end.take(end.session.receive(peer.message(m.encode(m.Ready())), 0.0))
        while end.step(0.0):
            pass
        assert len(asked(end, ReadChanges)) == 1


# -- how they part


def send(pair: LinkPair) -> None:
    """Change documents on the left, and let it send them."""
    fill(pair.left.documents, range(50), seed=3)
    pair.left.tell_commits(pair.now)
    while not pair.left.to_peer:
        assert pair.left.step(pair.now)


def deliver(pair: LinkPair) -> None:
    """Let what is on its way come to the right."""
    while pair.left.to_peer:
        pair.right.take(pair.right.session.receive(pair.left.to_peer.popleft(), pair.now))


@pytest.mark.parametrize("query", THREE)
@pytest.mark.parametrize("moment", ["on its way", "being applied"])
def test_a_scope_that_goes_while_a_batch_is_on_its_way_stops_nobody(
    query: str, moment: str
) -> None:
    pair, _ = synced(THREE)
    left, right = pair.left.documents, pair.right.documents

    send(pair)
    if moment == "being applied":
        deliver(pair)
    pair.right.take(pair.right.session.unsubscribe(fake_scope(query).key, pair.now))
    pair.wait(3)
    assert right.shown("tasks") == left.shown("tasks")
    assert is_open(pair)
    change(pair, 5)
    assert right.shown("tasks") == left.shown("tasks")
    assert len(said(pair.left, Batch)[-1].others) == 1


@pytest.mark.parametrize("query", THREE)
def test_a_scope_that_goes_while_documents_are_asked_for_stops_nobody(query: str) -> None:
    pair, _ = synced(["tasks", *THREE])
    left, right = pair.left.documents, pair.right.documents
    # The deltas of the next batch build on what is not here any more.
    right.docs["tasks"].clear()
    right.knowledge.clear()

    send(pair)
    deliver(pair)
    assert pair.right.step(pair.now)
    assert said(pair.right, m.Want)
    for gone in ("tasks", query):
        pair.right.take(pair.right.session.unsubscribe(fake_scope(gone).key, pair.now))
    pair.wait(3)
    wanted = {want.number for want in said(pair.right, m.Want)}
    assert len(wanted) == 2, "what was asked for under the first number is asked for again"
    assert right.shown("tasks") == {
        key: body for key, body in left.shown("tasks").items() if int(key.split()[1]) < 50
    }
    assert is_open(pair)


def test_all_begin_anew_after_an_eviction() -> None:
    pair, _ = synced(THREE)
    left, right = pair.left.documents, pair.right.documents

    send(pair)
    right.evict("tasks")
    right.knowledge.clear()
    pair.right.take(pair.right.session.cursors_dropped(frozenset({"tasks"}), pair.now))
    pair.wait(3)
    assert right.shown("tasks") == left.shown("tasks")
    assert len(said(pair.right, Unsubscribe)) == 3
    assert is_open(pair)
    assert change(pair, 50) <= 1.1 * change(synced([RED])[0], 50)


def test_a_scope_that_is_added_after_an_eviction_waits_for_the_others_to_begin_anew() -> None:
    pair, _ = synced([RED])
    left, right = pair.left.documents, pair.right.documents
    right.evict("tasks")
    right.knowledge.clear()
    # The link has not heard of the eviction; the sender believes that the documents are there.
    pair.right.take(pair.right.session.subscribe(fake_scope(BLUE), pair.now))
    pair.settle()
    assert right.shown("tasks") == {}
    pair.right.take(pair.right.session.cursors_dropped(frozenset({"tasks"}), pair.now))
    pair.right.take(pair.right.session.unsubscribe(fake_scope(RED).key, pair.now))
    pair.wait(3)
    assert right.shown("tasks") == left.shown("tasks")


def test_a_first_batch_that_was_sent_before_an_eviction_moves_no_cursor() -> None:
    left, right = two()
    fill(left, range(20))
    pair = LinkPair.of(left, right, right_wants=[RED])
    for end in (pair.left, pair.right):
        end.take(end.session.start(pair.now))
    while not any(isinstance(each, ApplyBatch) for each in _waiting(pair.right)):
        if not pair.right.step(pair.now):
            while pair.right.to_peer:
                received = pair.right.to_peer.popleft()
                pair.left.take(pair.left.session.receive(received, pair.now))
            while pair.left.step(pair.now):
                pass
            deliver(pair)
    right.write("tasks", {"ours": "red"})
    right.evict("tasks")
    pair.settle()
    assert len(said(pair.right, Unsubscribe)) == 1
    assert right.shown("tasks") == left.shown("tasks")
    assert is_open(pair)


def _waiting(end: LinkEnd) -> list[object]:
    return [getattr(each, "request", None) for each in end.asked]


@pytest.mark.parametrize("kind", ["stale", "closed"])
def test_all_stop_when_the_log_cannot_be_read(kind: str) -> None:
    pair, _ = synced(THREE)
    left, right = pair.left.documents, pair.right.documents
    failed: list[DocumentRequest] = []

    def perform(request: DocumentRequest) -> Answer:
        if isinstance(request, ReadChanges) and not failed:
            failed.append(request)
            if kind == "stale":
                return CursorUnknown(reason="reaped")
            left.closed.add("tasks")
        return left.answer(request)

    pair.left.perform = perform  # type: ignore[method-assign]
    fill(left, range(50), seed=3)
    pair.wait(3)
    assert failed
    if kind == "closed":
        assert len(said(pair.left, m.Closed)) == 3
        left.closed.clear()
        pair.left.take(pair.left.session.committed(left.lsn, frozenset({"tasks"}), pair.now))
        pair.wait(3)
    else:
        assert len(said(pair.left, m.Stale)) == 3
        assert {repair.number for repair in said(pair.right, RepairBegin)} == {1, 2, 3}
    assert right.shown("tasks") == left.shown("tasks")
    assert is_open(pair)
    assert change(pair, 50) <= 1.1 * change(synced([RED])[0], 50)


# -- peers that lie


def receiver(wants: list[str]) -> tuple[LinkEnd, FrameWriter]:
    """Return an end that subscribed to scopes, and what its peer writes with."""
    left, right = two()
    session = Session(fake_us(left), fake_key(right), [fake_scope(each) for each in wants])
    end, peer = LinkEnd(left, session), FrameWriter()
    end.take(end.session.start(0.0))
    tell(end, peer, hello(fake_us(right), right.replica, None))
    while end.step(0.0):
        pass
    return end, peer


def tell(end: LinkEnd, peer: FrameWriter, *messages: m.Message) -> None:
    for message in messages:
        end.take(end.session.receive(peer.message(m.encode(message)), 0.0))


def batch(number: int, others: list[int], lsn: int = 5) -> Batch:
    items = m.Items(whole=[(b"a", b"red", b"\x90")])
    return Batch(number, items, lsn, True, False, None, others)


@pytest.mark.parametrize(
    ("others", "detail"),
    [
        ([1], "twice"),
        ([2, 2], "twice"),
        ([7], "never given"),
        ([3], "several collections"),
        ([2, 3], "several collections"),
        (list(range(1025)), "malformed"),
    ],
)
def test_a_batch_for_what_is_not_one_collection_of_ours_ends_the_link(
    others: list[int], detail: str
) -> None:
    end, peer = receiver([RED, BLUE, "others"])
    tell(end, peer, batch(1, others))
    assert end.closed is not None
    assert end.closed.reason == "protocol_violation"
    assert detail in end.closed.detail
    assert not asked(end, ApplyBatch)


def test_batches_that_wait_apart_do_not_come_together() -> None:
    end, peer = receiver([RED, BLUE])
    tell(end, peer, batch(1, []), batch(2, []), batch(1, [2], lsn=6))
    assert end.closed is not None
    assert end.closed.reason == "protocol_violation"


def test_a_batch_that_goes_back_for_one_of_its_subscriptions_ends_the_link() -> None:
    end, peer = receiver([RED, BLUE])
    tell(end, peer, batch(2, [], lsn=9))
    while end.step(0.0):
        pass
    assert len(asked(end, ApplyBatch)) == 1
    tell(end, peer, batch(1, [2], lsn=5))
    assert end.closed is not None
    assert end.closed.reason == "protocol_violation"


@pytest.mark.parametrize("number", [2, 3])
def test_an_acknowledgement_under_another_number_ends_the_link(number: int) -> None:
    pair, _ = synced(THREE)
    fill(pair.left.documents, range(50), seed=3)
    pair.left.tell_commits(pair.now)
    while not pair.left.to_peer:
        assert pair.left.step(pair.now)
    (sent,) = said(pair.left, Batch)[-1:]
    assert sent.number == 1
    assert sent.others == [2, 3]
    writer = pair.right.session._writer
    lie = writer.message(m.encode(m.Ack(number, sent.lsn)), deflated=True)
    pair.left.take(pair.left.session.receive(lie, pair.now))
    assert pair.left.closed is not None
    assert pair.left.closed.reason == "protocol_violation"

# SPDX-License-Identifier: Apache-2.0
"""Two sessions over tiny databases: what streams, what is asked for, what it costs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

import pytest

from edge_twisted.documents.clock import ClockSkew
from edge_twisted.mesh.ports.effects import (
    Ask,
    Established,
    ScopeRefused,
    Send,
    StreamProgress,
    Withheld,
)
from edge_twisted.mesh.ports.requests import (
    Answer,
    ApplyBatch,
    DocumentRequest,
    FindGone,
    FindPosition,
    FindSeen,
    Observe,
    ReadChanges,
    ReadDigests,
    ReadDocuments,
)
from edge_twisted.mesh.session import batch_queue
from edge_twisted.mesh.session.credit import WINDOW_BYTES
from edge_twisted.mesh.session.pulls import Pulls
from edge_twisted.mesh.wire import values
from edge_twisted.mesh.wire.end_reasons import EndReason
from edge_twisted.mesh.wire.features import Features
from edge_twisted.mesh.wire.frames import FrameReader
from edge_twisted.mesh.wire.messages import Batch, Message, Want, decode
from tests.support.fake_documents import FakeDocuments, fake_scope
from tests.support.mesh_pair import LinkEnd, LinkPair, two


def both(left: FakeDocuments, right: FakeDocuments) -> LinkPair:
    """A link on which both want all tasks."""
    return LinkPair.of(left, right, left_wants=["tasks"], right_wants=["tasks"])


R = TypeVar("R")


def asked(end: LinkEnd, kind: type[R]) -> list[R]:
    return [request for request in end.requests if isinstance(request, kind)]


def said(end: LinkEnd) -> Iterator[Message]:
    """Yield the messages that an end sent, if they were recorded."""
    reader = FrameReader()
    reader.limit_bytes = 1 << 25
    for data in end.log:
        reader.feed(data)
        for payload in reader.messages():
            message = decode(payload)
            assert message is not None
            yield message


def is_open(pair: LinkPair) -> bool:
    return pair.left.closed is None and pair.right.closed is None


# -- steady state


def test_a_subscription_brings_what_is_there_and_what_comes() -> None:
    left, right = two()
    left.write("tasks", {"a": "1", "b": "2"})
    pair = LinkPair.of(left, right, right_wants=["tasks"]).start()
    assert right.shown("tasks") == {"a": "1", "b": "2"}
    assert pair.right.told(Established) == [
        Established("pk1", "device 1", left.replica, Features(2))
    ]
    left.write("tasks", {"a": "3"})
    left.write("tasks", {"b": None})
    left.write("others", {"b": "not wanted"})
    pair.settle()
    assert right.shown("tasks") == {"a": "3"}
    assert right.shown("others") == {}
    assert pair.right.session.is_caught_up
    assert pair.left.told(StreamProgress)[-1] == StreamProgress(4), (
        "what is not wanted counts as passed"
    )


def test_a_commit_counts_as_passed_only_once_the_streams_have_heard_of_it() -> None:
    left, right = two()
    left.write("tasks", {"a": "1"})
    pair = LinkPair.of(left, right, right_wants=["tasks"]).start()
    assert pair.left.told(StreamProgress)[-1] == StreamProgress(1)
    left.write("tasks", {"a": "2"})
    pair.left.take(pair.left.session.tick(pair.now))
    assert pair.left.told(StreamProgress)[-1] == StreamProgress(1)
    pair.settle()
    assert pair.left.told(StreamProgress)[-1] == StreamProgress(2)


def test_both_ways_and_nothing_goes_back() -> None:
    left, right = two()
    left.write("tasks", {"a": "1"})
    pair = both(left, right).start()
    right.write("tasks", {"b": "3", "c": "4"})
    pair.settle()
    left.write("tasks", {"a": "2"})
    pair.wait(3)
    assert left.shown("tasks") == right.shown("tasks") == {"a": "2", "b": "3", "c": "4"}
    sent = [item for request in asked(pair.left, ApplyBatch) for item in request.items]
    assert sorted(item.id_key for item in sent) == [b"b", b"c"]
    quiet = pair.total_bytes
    pair.wait(3)
    assert pair.total_bytes - quiet < 100, "only keep-alives"
    assert is_open(pair)


def test_echoes_are_known_before_the_commit_is_read() -> None:
    left, right = two()
    pair = both(left, right).start()
    left.write("tasks", {"a": "1"})
    # The commit of what was applied is told before the answer that says what was applied.
    while not asked(pair.right, ApplyBatch) or pair.right.documents.lsn == 0:
        pair.step()
    reads = [
        e for e in pair.right.asked if isinstance(e, Ask) and isinstance(e.request, ReadChanges)
    ]
    assert all(b"a" in e.request.skip for e in reads if isinstance(e.request, ReadChanges))
    pair.wait(2)
    assert not any(r.items for r in asked(pair.left, ApplyBatch))


def test_a_burst_gathers_into_few_batches_while_one_is_on_its_way() -> None:
    left, right = two()
    pair = LinkPair.of(left, right, right_wants=["tasks"]).start()
    before = len(asked(pair.right, ApplyBatch))
    for number in range(200):
        left.write("tasks", {f"task {number:08d}": str(number)})
        pair.left.tell_commits(pair.now)
        if number % 10 == 0:
            pair.step()
    pair.settle()
    assert len(right.shown("tasks")) == 200
    assert len(asked(pair.right, ApplyBatch)) - before <= 25
    assert pair.right.session.is_caught_up


def test_later_changes_come_as_deltas() -> None:
    left, right = two()
    left.write("tasks", {"a": "1"})
    pair = LinkPair.of(left, right, right_wants=["tasks"]).start()
    left.write("tasks", {"a": "2"})
    pair.settle()
    assert [len(m.items.partial) for m in said(pair.left) if isinstance(m, Batch)] == [0, 1]
    assert right.shown("tasks") == {"a": "2"}


def test_an_in_sync_reconnect_is_small_and_takes_one_round_trip() -> None:
    left, right = two()
    for number in range(500):
        left.write("tasks", {f"{number}": "body"})
    both(left, right).start().wait(3)
    again = both(left, right)
    for end in (again.left, again.right):
        end.take(end.session.start(0.0))
    hellos = again.total_bytes
    again.settle()
    assert is_open(again)
    assert again.left.session.is_caught_up and again.right.session.is_caught_up
    assert again.total_bytes - hellos <= 300
    assert not any(r.items for e in (again.left, again.right) for r in asked(e, ApplyBatch))
    # HELLO; SUBSCRIBE; BATCH; ACK: what it takes to be in sync is the first three.
    assert [type(m).__name__ for m in said(again.left)] == [
        "Hello", "Met", "Subscribe", "Ready", "Batch", "Ack",
    ]  # fmt: skip


def test_first_subscriptions_with_a_condition_bring_what_matches() -> None:
    left, right = two()
    left.write("tasks", {"a": "red", "b": "blue"})
    pair = LinkPair.of(left, right, right_wants=["tasks red"]).start()
    assert right.shown("tasks") == {"a": "red"}
    left.write("tasks", {"a": "blue"})
    pair.settle()
    assert right.shown("tasks") == {"a": "blue"}, "the change that makes it leave arrives"
    left.write("tasks", {"a": "green"})
    pair.settle()
    assert right.shown("tasks") == {"a": "blue"}
    assert is_open(pair)


# -- lacking, offers, deletes


def test_a_delta_without_its_base_is_replaced_by_the_document() -> None:
    left, right = two()
    left.write("tasks", {"a": "1", "b": "1"})
    pair = LinkPair.of(left, right, right_wants=["tasks"]).start()
    del right.docs["tasks"][b"a"]
    right.knowledge.clear()
    left.write("tasks", {"a": "2", "b": "2"})
    pair.settle()
    assert right.shown("tasks") == {"a": "2", "b": "2"}
    assert pair.right.session.is_caught_up and is_open(pair)


def test_what_is_lacking_and_not_there_any_more_is_left_out() -> None:
    left, right = two()
    left.write("tasks", {"a": "1", "b": "1"})
    pair = LinkPair.of(left, right, right_wants=["tasks"]).start()
    right.docs["tasks"].clear()
    right.knowledge.clear()
    left.write("tasks", {"a": "2", "b": "2"})

    def perform(request: DocumentRequest) -> Answer:
        if isinstance(request, ReadDocuments):
            left.docs["tasks"].pop(b"a", None)
        return left.answer(request)

    pair.left.perform = perform  # type: ignore[method-assign]
    pair.settle()
    assert right.shown("tasks") == {"b": "2"}
    assert is_open(pair)
    # It may have been evicted there: to know its writes would make it one that was deleted.
    assert asked(pair.right, ApplyBatch)[-1].knowledge is None


def test_many_lacking_documents_are_asked_for_in_several_wants(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(batch_queue, "WANT_AT_ONCE", 7)
    left, right = two()
    bodies = {f"{n:03d}": "1" for n in range(100)}
    left.write("tasks", dict(bodies))
    pair = LinkPair.of(left, right, right_wants=["tasks"]).start()
    right.docs["tasks"].clear()
    right.knowledge.clear()
    left.write("tasks", dict.fromkeys(bodies, "2"))
    pair.settle()
    assert right.shown("tasks") == dict.fromkeys(bodies, "2")
    assert [len(m.id_keys) for m in said(pair.right) if isinstance(m, Want)] == [7] * 14 + [2]


def test_a_forgotten_delete_is_told_to_who_missed_it() -> None:
    left, right = two()
    left.write("tasks", {"a": "1"})
    both(left, right).start().wait(2)
    left.write("tasks", {"a": None})
    left.reap("tasks")
    left.cursors.clear()
    left.evict("tasks")
    assert right.shown("tasks") == {"a": "1"}
    pair = both(left, right).start().wait(2)
    assert left.shown("tasks") == right.shown("tasks") == {}
    assert is_open(pair)


def test_an_older_version_is_answered_with_ours() -> None:
    left, right = two()
    pair = both(left, right).start()
    right.write("tasks", {"a": "1"})
    pair.settle()
    old = left.docs["tasks"][b"a"]
    left.write("tasks", {"a": "2"})
    pair.wait(1)
    # The left one fell back to an older version, as a new commit.
    left.lsn += 1
    left._put("tasks", b"a", type(old)(old.version, old.body, left.lsn))
    pair.wait(3)
    assert left.shown("tasks") == right.shown("tasks") == {"a": "2"}


# -- announcing


def test_large_documents_are_announced_to_who_has_other_sources() -> None:
    left, right = two()
    large = "x" * 2000
    left.write("tasks", {"a": large, "b": "small"})
    pair = LinkPair.of(left, right, right_wants=["tasks"])
    pair.right.session._has_other_sources = lambda: True
    pair.start()
    assert right.shown("tasks") == {"a": large, "b": "small"}
    announced = [m.items.announced for m in said(pair.left) if isinstance(m, Batch)]
    assert [len(each) for each in announced] == [1]


def test_two_links_pull_a_version_once() -> None:
    left, right = two()
    middle = FakeDocuments(right.replica)
    third, _ = two()
    third.replica = third.replica._replace(epoch=9)
    large = "x" * 2000
    left.write("tasks", {"a": large})
    third.docs, third.lsn, third.knowledge = left.docs, left.lsn, left.knowledge
    pairs = [LinkPair.of(source, middle, right_wants=["tasks"]) for source in (left, third)]
    pulls = Pulls()

    def tell_commits(now: float) -> None:
        changed = middle.take_changed()
        for pair in pairs:
            if changed:
                pair.right.take(pair.right.session.committed(middle.lsn, changed, now))

    for pair in pairs:
        pair.right.tell_commits = tell_commits  # type: ignore[method-assign]
        pair.right.session._has_other_sources = lambda: True
        pair.right.session._pulls = pulls
        for end in (pair.left, pair.right):
            end.take(end.session.start(0.0))
    while True:
        moved = [pair.step() for pair in pairs]
        if not any(moved):
            break
    assert middle.shown("tasks") == {"a": large}
    assert sum(isinstance(m, Want) for pair in pairs for m in said(pair.right)) == 1
    assert all(pair.right.session.is_caught_up for pair in pairs)


def test_a_pull_that_does_not_come_is_taken_over() -> None:
    pulls, first, second = Pulls(), object(), object()
    assert pulls.claim(first, 7, 0.0)
    assert not pulls.claim(second, 7, 4.9)
    assert pulls.claim(second, 7, 5.0)
    pulls.release(first, [7])
    assert not pulls.claim(first, 7, 5.1)
    pulls.release(second, [7])
    assert pulls.claim(first, 7, 5.2)


# -- repair


@pytest.mark.parametrize("damage", ["no cursor", "beyond the log", "before the horizon"])
def test_a_useless_cursor_is_repaired(damage: str) -> None:
    left, right = two()
    for number in range(300):
        left.write("tasks", {f"{number:03d}": f"body {number}"})
    both(left, right).start().wait(2)
    for number in range(0, 300, 50):
        left.docs["tasks"].pop(f"{number:03d}".encode())
        right.docs["tasks"].pop(f"{number + 1:03d}".encode())
    left.write("tasks", {"gone": "x"})
    left.write("tasks", {"gone": None})
    left.reap("tasks")
    key = next(iter(right.cursors))
    match damage:
        case "no cursor":
            right.cursors.clear()
        case "beyond the log":
            right.cursors[key] = 10_000
        case _:
            assert 0 < right.cursors[key] < left.reaped["tasks"]
    right.knowledge.clear()
    left.knowledge.clear()
    pair = both(left, right).start()
    assert asked(pair.right, ReadDigests)
    assert len(right.shown("tasks")) == 300
    # The cursor there is a good one: only fingerprints show what is missing.
    pair.wait(12)
    assert left.shown("tasks") == right.shown("tasks")
    assert right.cursors[key] == left.lsn
    left.write("tasks", {"new": "new"})
    pair.settle()
    assert right.shown("tasks")["new"] == "new"
    assert is_open(pair)


def test_all_that_only_the_receiver_has_is_asked_after_however_long_its_ids() -> None:
    left, right = two()
    left.write("tasks", {f"same{n}": "1" for n in range(2000)})
    LinkPair.of(left, right, right_wants=["tasks"]).start().wait(20)
    right.write("tasks", {f"{n}" * 1500: "0" for n in range(100, 500)})
    right.cursors.clear()
    pair = LinkPair.of(left, right, right_wants=["tasks"]).start().wait(20)
    assert sum(len(each.seen) for each in asked(pair.left, FindGone)) == 400
    assert is_open(pair)


@pytest.mark.parametrize(("times", "repairs"), [(0, 1), (1, 2), (100, 3)])
def test_who_could_not_ask_after_all_that_only_it_has_repairs_again(
    times: int, repairs: int
) -> None:
    left, right = two()
    left.write("tasks", {"a": "1"})
    pair = LinkPair.of(left, right, right_wants=["tasks"]).start()
    right.write("tasks", {"ours": "0"})
    right.cursors.clear()
    pair = LinkPair.of(left, right, right_wants=["tasks"])
    changed = 0

    def perform(request: DocumentRequest) -> Answer:
        nonlocal changed
        if isinstance(request, FindSeen) and changed < times:
            # Its digest is another one by now: whether the sender saw it deleted is not known.
            changed += 1
            right.write("tasks", {"ours": f"{changed}"})
        return right.answer(request)

    pair.right.perform = perform  # type: ignore[method-assign]
    pair.start().wait(20)
    assert len(asked(pair.right, ReadDigests)) == repairs
    assert len(asked(pair.left, FindGone)) == (times < 100)
    assert is_open(pair)


@pytest.mark.parametrize("changes", [False, True])
def test_what_changes_during_a_repair_is_not_known_before_it_comes(changes: bool) -> None:
    left, right = two()
    left.write("tasks", {"a": "1"})
    right.write("tasks", {"own": "1"})
    pair = LinkPair.of(left, right, right_wants=["tasks"])

    def perform(request: DocumentRequest) -> Answer:
        if changes and isinstance(request, ReadDocuments) and left.shown("tasks")["a"] == "1":
            left.write("tasks", {"a": "2"})
        return left.answer(request)

    pair.left.perform = perform  # type: ignore[method-assign]
    pair.start()
    after_repair = next(each for each in asked(pair.right, ApplyBatch) if each.lsn == 1)
    assert (after_repair.knowledge is None) is changes
    assert right.shown("tasks") == {"a": "2" if changes else "1", "own": "1"}
    assert right.heard_of(left.replica) == left.sequence


def test_sets_that_differ_by_too_much_are_streamed() -> None:
    left, right = two()
    for number in range(2000):
        left.write("tasks", {f"l{number}": "left"})
    for number in range(1200):
        right.write("tasks", {f"r{number}": "right"})
    pair = both(left, right).start().wait(2)
    assert len(left.shown("tasks")) == 3200
    assert left.shown("tasks") == right.shown("tasks")
    assert is_open(pair)


def test_silent_damage_is_found_by_fingerprints_and_repaired_once() -> None:
    left, right = two()
    for number in range(50):
        left.write("tasks", {f"{number}": "body"})
    both(left, right).start().wait(3)
    del right.docs["tasks"][b"7"]
    right.knowledge.clear()
    pair = both(left, right).start()
    assert len(right.shown("tasks")) == 49
    pair.wait(12)
    assert left.shown("tasks") == right.shown("tasks")
    repairs = len(asked(pair.right, ReadDigests)) + len(asked(pair.left, ReadDigests))
    pair.wait(120)
    assert len(asked(pair.right, ReadDigests)) + len(asked(pair.left, ReadDigests)) == repairs


def test_a_receiver_that_rightly_has_more_settles() -> None:
    left, right = two()
    left.write("tasks", {"a": "1"})
    right.write("tasks", {"own": "2"})
    pair = LinkPair.of(left, right, right_wants=["tasks"]).start().wait(60)
    repairs = len(asked(pair.right, ReadDigests))
    assert repairs <= 3
    pair.wait(120)
    assert len(asked(pair.right, ReadDigests)) == repairs
    assert right.shown("tasks") == {"a": "1", "own": "2"}


# -- cursors dropped, scopes, subscriptions


def test_what_is_evicted_comes_again() -> None:
    left, right = two()
    left.write("tasks", {"a": "1"})
    left.write("others", {"a": "1"})
    pair = LinkPair.of(left, right, right_wants=["tasks", "others"]).start()
    right.evict("tasks")
    right.knowledge.clear()
    pair.right.take(pair.right.session.cursors_dropped(frozenset({"tasks"}), pair.now))
    pair.settle()
    assert right.shown("tasks") == {"a": "1"}
    assert len(asked(pair.right, FindPosition)) == 3
    assert pair.right.session.is_caught_up and is_open(pair)


def test_eviction_while_batches_are_on_their_way_loses_nothing() -> None:
    for steps in range(40):
        left, right = two()
        left.write("tasks", {"a": "1"})
        pair = LinkPair.of(left, right, right_wants=["tasks"]).start()
        left.write("tasks", {"b": "2"})
        for _ in range(steps):
            pair.step()
        right.evict("tasks")
        right.knowledge.clear()
        pair.right.take(pair.right.session.cursors_dropped(frozenset({"tasks"}), pair.now))
        left.write("tasks", {"c": "3"})
        pair.settle()
        assert right.shown("tasks") == {"a": "1", "b": "2", "c": "3"}, steps
        assert is_open(pair)


def test_what_is_evicted_while_the_peer_stores_it_comes_back() -> None:
    left, right = two()
    pair = both(left, right).start()
    right.write("tasks", {"own": "1"})
    answer_next = pair.left.step
    pair.left.step = lambda now: False  # type: ignore[method-assign]
    pair.settle()
    right.evict("tasks")
    right.knowledge.clear()
    pair.right.take(pair.right.session.cursors_dropped(frozenset({"tasks"}), pair.now))
    pair.settle()
    # The stream that begins anew is read before what comes back with it is stored.
    applies = [
        e for e in pair.left.asked if isinstance(e, Ask) and isinstance(e.request, ApplyBatch)
    ]
    assert applies
    others = [each for each in pair.left.asked if each not in applies]
    pair.left.asked.clear()
    pair.left.asked.extend([*others, *applies])
    pair.left.step = answer_next  # type: ignore[method-assign]
    pair.settle()
    assert right.shown("tasks") == left.shown("tasks") == {"own": "1"}
    assert is_open(pair)


def test_a_query_that_is_none_is_refused_alone() -> None:
    left, right = two()
    left.write("tasks", {"a": "1"})
    pair = LinkPair.of(left, right, right_wants=["tasks"])
    strange = fake_scope("tasks x").__class__(
        key=fake_scope("z").key, query="a b c", arguments={}, collection="tasks", is_whole=True
    )
    pair.right.take(pair.right.session.subscribe(strange, 0.0))
    pair.start()
    assert right.shown("tasks") == {"a": "1"}
    assert len(pair.right.told(ScopeRefused)) == 1
    assert is_open(pair)


def test_subscriptions_change_at_run_time_and_leave_others_alone() -> None:
    left, right = two()
    left.write("tasks", {"a": "1"})
    left.write("others", {"o": "1"})
    pair = LinkPair.of(left, right, right_wants=["tasks"]).start()
    finds = len(asked(pair.right, FindPosition))
    pair.right.take(pair.right.session.subscribe(fake_scope("others"), pair.now))
    pair.right.take(pair.right.session.subscribe(fake_scope("tasks"), pair.now))
    pair.settle()
    assert right.shown("others") == {"o": "1"}
    assert len(asked(pair.right, FindPosition)) == finds + 1
    pair.right.take(pair.right.session.unsubscribe(fake_scope("tasks").key, pair.now))
    left.write("tasks", {"b": "2"})
    left.write("others", {"p": "2"})
    pair.settle()
    assert right.shown("tasks") == {"a": "1"}
    assert right.shown("others") == {"o": "1", "p": "2"}
    assert is_open(pair)


# -- windows


def test_unacknowledged_bytes_keep_to_the_window_over_several_scopes() -> None:
    left, right = two()
    names = ["one", "two", "three", "four"]
    for name in names:
        for number in range(40):
            left.write(name, {f"{number}": "x" * 50_000})
    pair = LinkPair.of(left, right, right_wants=names)
    most = 0
    order: list[str] = []

    def perform(request: DocumentRequest) -> Answer:
        nonlocal most
        assert pair.right.session._streams is not None
        most = max(most, pair.right.session._streams._credit.pending_bytes)
        if isinstance(request, ApplyBatch):
            order.append(request.scope.query)
        return right.answer(request)

    pair.right.perform = perform  # type: ignore[method-assign]
    for end in (pair.left, pair.right):
        end.take(end.session.start(0.0))
    while any(len(right.shown(name)) < 40 for name in names):
        for _ in range(5):
            # The receiver is slow: the sender could send far more.
            pair.left.step(0.0)
            if pair.left.to_peer:
                pair.right.take(pair.right.session.receive(pair.left.to_peer.popleft(), 0.0))
        pair.step()
    assert WINDOW_BYTES // 2 < most <= WINDOW_BYTES
    assert set(order[: len(order) // 2]) == set(names), "all streams get on"
    assert is_open(pair)


def test_a_commit_larger_than_the_window_comes_alone_and_whole() -> None:
    left, right = two()
    left.write("tasks", {f"{number}": "x" * 100_000 for number in range(30)})
    pair = LinkPair.of(left, right, right_wants=["tasks"]).start()
    assert len(right.shown("tasks")) == 30
    assert [len(r.items) for r in asked(pair.right, ApplyBatch)] == [30]
    assert is_open(pair)


def test_a_commit_beyond_a_message_is_split_and_moves_the_cursor_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(values, "MAX_ITEMS", 10)
    left, right = two()
    left.write("tasks", {f"{number}": "x" for number in range(25)})
    pair = LinkPair.of(left, right, right_wants=["tasks"]).start()
    applies = [(len(r.items), r.lsn) for r in asked(pair.right, ApplyBatch)]
    assert applies == [(10, None), (10, None), (5, 1)]
    assert len(right.shown("tasks")) == 25
    left.write("tasks", {"new": "1"})
    pair.settle()
    assert right.shown("tasks")["new"] == "1"
    assert is_open(pair)


def test_a_document_beyond_any_message_stays_and_is_named() -> None:
    left, right = two()
    left.write("tasks", {"a": "1", "huge": "x" * (31 << 20)})
    pair = LinkPair.of(left, right, right_wants=["tasks"]).start()
    assert right.shown("tasks") == {"a": "1"}
    assert [e.id_key for e in pair.left.told(Withheld)] == [b"huge"]
    assert is_open(pair)


# -- the database


def test_clock_skew_in_a_batch_ends_the_link_and_leaves_the_cursor() -> None:
    left, right = two()
    left.write("tasks", {"a": "1"})
    pair = LinkPair.of(left, right, right_wants=["tasks"])

    def perform(request: DocumentRequest) -> Answer:
        if isinstance(request, ApplyBatch):
            raise ClockSkew(700_000)
        return right.answer(request)

    pair.right.perform = perform  # type: ignore[method-assign]
    pair.start()
    assert pair.left.closed and pair.right.closed
    assert pair.left.closed.reason == pair.right.closed.reason == "clock_skew"
    assert right.cursors == {}


def test_what_fails_here_is_not_told_in_detail() -> None:
    left, right = two()
    left.write("tasks", {"a": "1"})
    pair = LinkPair.of(left, right, right_wants=["tasks"])

    def perform(request: DocumentRequest) -> Answer:
        raise OSError("disk /secret/path")

    pair.right.perform = perform  # type: ignore[method-assign]
    pair.start()
    assert pair.left.closed and pair.left.closed.reason == "internal_error"
    assert "secret" not in pair.left.closed.detail


def test_a_renewed_epoch_ends_the_link_and_sequences_are_told() -> None:
    left, right = two()
    left.write("tasks", {"a": "1"})
    both(left, right).start().wait(2)
    pair = both(left, right).start()
    assert [o.of_us for o in left.observed] == [0, 1]
    assert isinstance(left.observed[-1], Observe)
    left.replica = left.replica._replace(epoch=2)
    pair.wait(0.5)
    assert pair.left.closed and pair.left.closed.reason == "goodbye"
    assert pair.right.closed and pair.right.closed.reason == "goodbye"


def test_nothing_comes_out_after_the_end() -> None:
    left, right = two()
    pair = both(left, right).start()
    effects = pair.left.session.refuse(EndReason.DUPLICATE_LINK, "there is one")
    assert isinstance(effects[0], Send)
    session = pair.left.session
    for more in (
        session.refuse(EndReason.GOODBYE),
        session.tick(1.0),
        session.receive(b"anything", 1.0),
        session.committed(9, frozenset({"tasks"}), 1.0),
        session.send_presence((b"x",)),
        session.send_blob(b"x"),
        session.subscribe(fake_scope("more"), 1.0),
    ):
        assert more == []

# SPDX-License-Identifier: Apache-2.0
"""A member that floods: what it can make a server hold at a time is bounded."""

from __future__ import annotations

import pytest

from edge_twisted.documents.versions import Replica, SiteId, VersionVector
from edge_twisted.mesh.ports.effects import Ask, Close, PresenceHeard
from edge_twisted.mesh.ports.requests import DeleteGone, ReadDigests, ReadDocuments
from edge_twisted.mesh.session.handshake import hello
from edge_twisted.mesh.session.session import (
    MAX_ASKED,
    MAX_ASKED_BYTES,
    MAX_READING,
    Session,
)
from edge_twisted.mesh.session.streams import LOOKS_AT_ONCE, MESSAGES_AT_ONCE
from edge_twisted.mesh.wire import messages as m
from edge_twisted.mesh.wire.frames import FrameReader, FrameWriter
from edge_twisted.mesh.wire.items import Seen
from edge_twisted.mesh.wire.messages import MAX_SCOPES
from edge_twisted.mesh.wire.values import read_seen, write_seen
from edge_twisted.replication import scopes
from tests.support.fake_documents import fake_scope
from tests.support.mesh_pair import LinkEnd, fake_key, fake_us, two


def met() -> tuple[LinkEnd, FrameWriter]:
    """Return an end that wants tasks, and what its peer writes with; both have said hello."""
    left, right = two()
    session = Session(fake_us(left), fake_key(right), [fake_scope("tasks")])
    end, peer = LinkEnd(left, session), FrameWriter()
    end.take(end.session.start(0.0))
    greeting = peer.message(m.encode(hello(fake_us(right), right.replica, None)))
    end.take(end.session.receive(greeting, 0.0))
    while end.step(0.0):
        pass
    return end, peer


def gone(number: int, size: int = 1) -> m.Gone:
    """Return a message of about so many bytes, which deflates well."""
    vector = [(number.to_bytes(16, "big"), 1, 7)]
    return m.Gone(1, False, [m.WireSeen(b"\1" * size, vector)])


def deletions(end: LinkEnd) -> int:
    return sum(isinstance(each, Ask) and isinstance(each.request, DeleteGone) for each in end.asked)


@pytest.mark.parametrize(("size", "count", "at_once"), [(1, 500, MAX_ASKED), (1 << 20, 40, 8)])
def test_questions_of_one_read_are_bounded_and_all_are_asked_in_the_end(
    size: int, count: int, at_once: int
) -> None:
    end, peer = met()
    assert size * at_once <= MAX_ASKED_BYTES
    flood = b"".join(peer.message(m.encode(gone(n, size))) for n in range(count))
    assert len(flood) < 1 << 18, "it comes in few reads"
    end.take(end.session.receive(flood, 0.0))
    most = 0
    while end.asked:
        most = max(most, deletions(end))
        end.step(0.0)
    assert end.closed is None
    assert most <= at_once
    assert len([each for each in end.requests if isinstance(each, DeleteGone)]) == count


def test_ever_new_subscriptions_cost_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scopes, "MAX_COMPILED", 8)
    kept = scopes.Scopes()
    made = [kept.scope(f"SELECT * FROM tasks WHERE n = {n}", {}) for n in range(50)]
    assert len(kept._compiled) <= 8
    assert [kept.matches(made[n], b'{"_id":"a","n":3}') for n in range(5)] == [
        False, False, False, True, False,
    ]  # fmt: skip


def test_messages_behind_a_refusal_are_not_heard() -> None:
    end, peer = met()
    bad = m.encode(m.Ack(77, 1))
    data = b"".join(peer.message(each) for each in (bad, m.encode(gone(1))))
    before = end.documents.lsn
    end.take(end.session.receive(data, 0.0))
    assert end.closed is not None and end.closed.reason == "protocol_violation"
    assert not end.asked and end.documents.lsn == before


def test_a_large_message_without_documents_is_refused_before_it_is_decoded() -> None:
    end, writer = met()
    large = m.Presence([b"r" * 60_000] * 80)
    effects = end.session.receive(writer.message(m.encode(large)), 0.0)
    assert [each.reason for each in effects if isinstance(each, Close)] == ["protocol_violation"]


def test_what_one_side_says_of_many_versions_is_cut_to_size() -> None:
    version = VersionVector({Replica(SiteId(bytes([n]) * 16), 1): n + 1 for n in range(200)})
    seen = [Seen(f"{n:08d}".encode(), version) for n in range(1000)]
    lists = list(write_seen(seen))
    assert [each for some in lists for each in read_seen(some)] == seen
    assert len(lists) > 3
    assert all(len(m.encode(m.Gone(0, True, some))) < m.MAX_PLAIN_BYTES for some in lists)


# -- rates


def pour(
    end: LinkEnd, peer: FrameWriter, messages: list[m.Message], now: float = 0.0
) -> str | None:
    """Send messages, and let all be answered; return how the link ended, if it did."""
    end.take(end.session.receive(b"".join(peer.message(m.encode(each)) for each in messages), now))
    while end.closed is None and end.step(now):
        pass
    return None if end.closed is None else end.closed.reason


def test_subscribing_and_unsubscribing_in_a_loop_ends_the_link() -> None:
    end, peer = met()
    loop: list[m.Message] = []
    for n in range(10_000):
        loop += [m.Subscribe(n, "tasks", b"\x80", None, 0), m.Unsubscribe(n)]
    assert pour(end, peer, loop) == "rate_exceeded"


def test_a_thousand_scopes_at_the_beginning_are_no_flood() -> None:
    end, peer = met()
    start: list[m.Message] = []
    for n in range(MAX_SCOPES):
        start += [m.Subscribe(n, "tasks", b"\x80", None, 1), m.RepairBegin(n, b"s" * 16)]
    assert pour(end, peer, start) is None


def test_beginning_a_repair_in_a_loop_reads_once_at_a_time_and_ends_the_link() -> None:
    end, peer = met()
    pour(end, peer, [m.Subscribe(n, "tasks", b"\x80", None, 1) for n in range(8)])
    begin = [m.RepairBegin(n % 8, n.to_bytes(16, "big")) for n in range(400)]
    end.take(end.session.receive(b"".join(peer.message(m.encode(x)) for x in begin), 0.0))
    most = 0
    while end.asked:
        asked = [x for x in end.asked if isinstance(x, Ask) and isinstance(x.request, ReadDigests)]
        most = max(most, len(asked))
        end.step(0.0)
    assert most <= MAX_READING
    read = [each for each in end.requests if isinstance(each, ReadDigests) and each.for_peer]
    assert 8 <= len(read) < 100, "what was void before it began is not read"
    flood: list[m.Message] = [m.RepairBegin(0, b"s" * 16)] * 92_000
    assert pour(end, peer, flood) == "rate_exceeded"


def test_one_step_takes_few_messages_and_the_rest_comes_after_others() -> None:
    end, peer = met()
    end.events.clear()
    flood = b"".join(peer.message(m.encode(m.Presence([b"r"]))) for _ in range(1000))
    end.take(end.session.receive(flood, 0.0))
    assert len(end.events) == MESSAGES_AT_ONCE and not end.session.wants_bytes
    while end.step(0.0):
        pass
    assert len(end.events) == 1000 and end.session.wants_bytes


def test_one_step_takes_fewer_messages_where_there_are_many_subscriptions() -> None:
    """Many messages concern all other subscriptions of the link, so each costs more."""
    end, peer = met()
    pour(end, peer, [m.Subscribe(n, "tasks", b"\x80", 0, 0) for n in range(MAX_SCOPES)])
    pour(end, peer, [m.Ready()])
    end.events.clear()
    flood = b"".join(peer.message(m.encode(m.Presence([b"r"]))) for _ in range(100))
    end.take(end.session.receive(flood, 0.0))
    heard = end.told(PresenceHeard)
    assert len(heard) == LOOKS_AT_ONCE // MAX_SCOPES and not end.session.wants_bytes
    while end.step(0.0):
        pass
    assert len(end.told(PresenceHeard)) == 100 and end.session.wants_bytes


def test_a_second_word_on_our_writes_ends_the_link() -> None:
    end, peer = met()
    assert pour(end, peer, [m.Met(0)]) is None
    assert pour(end, peer, [m.Met(1 << 40)]) == "protocol_violation"


def test_documents_can_be_pulled_once() -> None:
    end, peer = met()
    end.documents.write("tasks", {"a": "1", "b": "2"})
    pour(end, peer, [m.Subscribe(1, "tasks", b"\x80", None, 1), m.RepairBegin(1, b"s" * 16)])
    assert pour(end, peer, [m.RepairPull(1, [1, 2])]) is None
    assert pour(end, peer, [m.RepairPull(1, [1])]) == "protocol_violation"
    assert sum(isinstance(each, ReadDocuments) for each in end.requests) == 1


def test_who_evicts_in_a_loop_does_not_flood_its_peers() -> None:
    end, peer = met()
    said = 0
    for step in range(20_000):
        now = step / 1000
        before = len(end.to_peer)
        end.take(end.session.cursors_dropped(frozenset({"tasks"}), now))
        while end.step(now):
            pass
        said += len(end.to_peer) > before
        if step % 500 == 0:
            end.take(end.session.receive(peer.message(m.encode(m.KeepAlive([]))), now))
            end.take(end.session.tick(now))
    reader = FrameReader()
    reader.limit_bytes = 1 << 20
    reader.feed(b"".join(end.log))
    subscribed = [x for x in map(m.decode, reader.messages()) if isinstance(x, m.Subscribe)]
    assert 1280 <= len(subscribed) <= 1280 + 32 * 21
    end.take(end.session.tick(now + 1.0))
    while end.step(now + 1.0):
        pass
    assert end.closed is None and end.session._streams is not None

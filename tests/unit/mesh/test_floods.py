# SPDX-License-Identifier: Apache-2.0
"""A member that floods: what it can make a server hold at a time is bounded."""

from __future__ import annotations

import pytest

from edge_twisted.documents.versions import Replica, SiteId, VersionVector
from edge_twisted.mesh import messages as m
from edge_twisted.mesh.effects import Ask, Close
from edge_twisted.mesh.frames import FrameWriter
from edge_twisted.mesh.handshake import hello
from edge_twisted.mesh.items import Seen
from edge_twisted.mesh.requests import DeleteGone
from edge_twisted.mesh.session import MAX_ASKED, MAX_ASKED_BYTES, Session
from edge_twisted.mesh.wire_values import read_seen, write_seen
from edge_twisted.replication import scopes
from edge_twisted.testing.fake_documents import fake_scope
from edge_twisted.testing.mesh_pair import End, fake_key, fake_us, two


def met() -> tuple[End, FrameWriter]:
    """Return an end that wants tasks, and what its peer writes with; both have said hello."""
    left, right = two()
    session = Session(fake_us(left), fake_key(right), [fake_scope("tasks")])
    end, peer = End(left, session), FrameWriter()
    end.take(end.session.start(0.0))
    greeting = peer.message(m.encode(hello(fake_us(right), right.replica)))
    end.take(end.session.receive(greeting, 0.0))
    while end.step(0.0):
        pass
    return end, peer


def gone(number: int, size: int = 1) -> m.Gone:
    """Return a message of about so many bytes, which deflates well."""
    vector = [(number.to_bytes(16, "big"), 1, 7)]
    return m.Gone(1, False, [m.WireSeen(b"\1" * size, vector)])


def deletions(end: End) -> int:
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

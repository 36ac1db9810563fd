# SPDX-License-Identifier: Apache-2.0
"""Bases of deltas: the sender's memory, claims that are wrong, and answers that are not wanted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_twisted.documents.versions import VersionVector
from edge_twisted.mesh.ports.requests import ApplyBatch
from edge_twisted.mesh.session.bases import AnswerBudget, BaseMemory, ReceiverBase, base_digest
from edge_twisted.mesh.session.incoming import IncomingStream
from edge_twisted.mesh.wire import messages as m
from edge_twisted.mesh.wire.features import Features
from edge_twisted.mesh.wire.items import Partial, ScopeKey, Whole
from edge_twisted.mesh.wire.values import write_vector
from edge_twisted.mesh.wire.violations import PeerViolation
from tests.support.fake_documents import FakeDocuments, fake_replica, fake_scope
from tests.support.mesh_pair import LinkPair, two

ONE, TWO = fake_replica(1), fake_replica(2)
KEY = ScopeKey(b"tasks")

WireVector = list[tuple[bytes, int, int]]


def vector(*numbers: int) -> VersionVector:
    return VersionVector({fake_replica(at): n for at, n in enumerate(numbers, 1) if n})


vectors = st.lists(st.integers(0, 3), min_size=1, max_size=3).map(lambda n: vector(*n))


# -- the memory


@given(vectors, vectors)
def test_a_digest_names_one_vector(one: VersionVector, other: VersionVector) -> None:
    assert (base_digest(one) == base_digest(other)) == (one == other)


@given(st.lists(st.tuples(st.sampled_from((ONE, TWO)), vectors), max_size=20))
def test_the_last_two_of_each_receiver_are_found(told: list[tuple[object, VersionVector]]) -> None:
    memory = BaseMemory()
    kept: dict[object, list[VersionVector]] = {}
    for replica, base in told:
        site = replica.site  # type: ignore[attr-defined]
        memory.add(site, KEY, base)
        if base not in kept.setdefault(site, []):
            kept[site] = [*kept[site], base][-2:]
    for site, bases in kept.items():
        for base in bases:
            assert memory.find(site, KEY, base_digest(base)) == base  # type: ignore[arg-type]
        assert memory.find(site, ScopeKey(b"others"), base_digest(bases[0])) is None  # type: ignore[arg-type]


def test_the_memory_is_bounded_and_forgets_the_oldest() -> None:
    memory = BaseMemory(most_entries=10)
    for number in range(1, 10):
        memory.confirm(fake_replica(number).site, KEY, vector(number))
    found = [
        number
        for number in range(1, 10)
        if memory.find(fake_replica(number).site, KEY, base_digest(vector(number)))
    ]
    assert found == [5, 6, 7, 8, 9]


# -- wrong claims


def test_a_link_takes_a_bounded_number_of_entries_as_answers() -> None:
    """A peer may invent them; beyond the bound its documents travel whole."""
    memory, budget = BaseMemory(), AnswerBudget(left=10)
    features = Features(2)
    streams = [
        ReceiverBase(memory, fake_replica(2).site, fake_scope("tasks"), features, budget)
        for _ in range(3)
    ]
    for number, stream in enumerate(streams):
        base = vector(*range(number + 1, number + 5))
        stream.begin(resumes=True, digest=base_digest(base))
        stream.is_awaited = True
        stream.take(base)
        assert not stream.is_awaited
    assert [each.current is not None for each in streams] == [True, True, False]
    assert not streams[2].is_needed_for([Whole(b"k", b"{}", b"")])


def in_sync() -> tuple[FakeDocuments, FakeDocuments]:
    left, right = two()
    left.write("tasks", {"a": "1", "b": "1"})
    LinkPair.of(left, right, right_wants=["tasks"]).start().wait(1)
    return left, right


def test_who_claims_a_base_that_it_never_had_asks_for_whole_documents() -> None:
    left, right = in_sync()
    left.write("tasks", {"a": "2"})
    left.write("tasks", {"c": "2"})
    (place,) = right.bases
    right.bases[place] = vector(99)
    pair = LinkPair.of(left, right, right_wants=["tasks"]).start().wait(1)
    assert right.shown("tasks") == left.shown("tasks")
    assert any(
        isinstance(item, Partial)
        for request in pair.right.requests
        if isinstance(request, ApplyBatch)
        for item in request.items
    )
    assert pair.left.closed is pair.right.closed is None


def answering(monkeypatch: pytest.MonkeyPatch, base: WireVector | None) -> LinkPair:
    """Link servers of which the sender has forgotten the base; the receiver answers so, or not."""
    left, right = in_sync()
    left.write("tasks", {"a": "2"})

    def tell_base(stream: IncomingStream) -> None:
        if base is not None:
            stream.port.send(m.Base(stream.number or 0, base))

    monkeypatch.setattr(IncomingStream, "tell_base", tell_base)
    return LinkPair.of(left, right, right_wants=["tasks", "others"]).start()


@pytest.mark.parametrize(
    "base",
    [[], write_vector(vector(1)), write_vector(vector(9, 9))],
    ids=["empty", "older", "other"],
)
def test_a_base_that_is_not_the_one_that_was_named_ends_the_link(
    monkeypatch: pytest.MonkeyPatch, base: WireVector
) -> None:
    pair = answering(monkeypatch, base)
    assert pair.left.closed is not None
    assert pair.left.closed.reason == "protocol_violation"
    assert "not the one that SUBSCRIBE named" in pair.left.closed.detail


def test_who_does_not_answer_waits_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    pair = answering(monkeypatch, None)
    pair.left.documents.write("others", {"x": "1"})
    pair.wait(3)
    assert pair.right.documents.shown("others") == {"x": "1"}
    assert pair.right.documents.shown("tasks")["a"] == "1"
    assert pair.left.closed is None


@pytest.mark.parametrize("message", [m.Base(1, []), m.BaseWanted(1)], ids=["base", "wanted"])
def test_nobody_waits_for_these(message: m.Message) -> None:
    left, right = in_sync()
    pair = LinkPair.of(left, right, right_wants=["tasks"]).start()
    pair.right.session.send(message)
    pair.wait(1)
    assert pair.left.closed is not None
    assert pair.left.closed.reason == "protocol_violation"


def test_a_base_is_bounded() -> None:
    entries = [(bytes(16), number, 1) for number in range(m.MAX_BASE + 1)]
    assert m.decode(m.encode(m.Base(1, entries[1:]))) is not None
    with pytest.raises(PeerViolation):
        m.decode(m.encode(m.Base(1, entries)))

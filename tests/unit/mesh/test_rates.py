# SPDX-License-Identifier: Apache-2.0
"""What of each kind of message a link takes."""

from __future__ import annotations

from typing import get_args

import pytest

from edge_twisted.mesh.limits.rates import (
    ANSWERS,
    ONCE,
    OWN_PRESENCE,
    OWN_SUBSCRIPTIONS,
    RATES,
    Intake,
    answers_to,
    cost,
)
from edge_twisted.mesh.presence.graph import MAX_RECORDS
from edge_twisted.mesh.presence.spread import PresenceSpread
from edge_twisted.mesh.trust.peer_key import PeerKey
from edge_twisted.mesh.wire import messages as m
from edge_twisted.mesh.wire.violations import PeerViolation, Refused
from tests.support.mesh_vectors import examples

MORE: tuple[m.Message, ...] = (
    m.Offer(1, []), m.Closed(1, ""), m.Presence([b"r"]), m.Blob(b"b"), m.Announce(True),
    m.Stale(1, ""), m.Opened(1), m.RepairSummary(1, 1, b"", None), m.RepairAnswer(1, b""),
    m.RepairItems(1, []), m.RepairFates(1),
)  # fmt: skip
EXAMPLES = {type(message): message for message in (*examples(), *MORE)}
#: Kinds that have a bound elsewhere: see the head of `rates`.
ELSEWHERE = {
    m.Hello, m.Unsubscribe, m.Batch, m.RepairCells, m.RepairPull, m.RepairHave, m.RepairDone, m.Bye,
}  # fmt: skip


def test_every_kind_has_one_bound() -> None:
    for kind in get_args(m.Message):
        places = [kind in ONCE, kind in ANSWERS, kind in RATES, kind in ELSEWHERE]
        # GONE answers, and comes unasked.
        assert sum(places) == (2 if kind is m.Gone else 1), kind


@pytest.mark.parametrize("kind", RATES)
def test_a_flood_is_refused_by_name_and_a_pause_makes_room(kind: type) -> None:
    message, rate, intake = EXAMPLES[kind], RATES[kind], Intake()
    for _ in range(rate.burst):
        intake.take(message, 40, 0.0)
    with pytest.raises(Refused) as refused:
        intake.take(message, 40, 0.0)
    assert refused.value.reason == "rate_exceeded" and kind.__name__ in refused.value.detail
    for _ in range(int(rate.per_second)):
        intake.take(message, 40, 1.0)
    with pytest.raises(Refused):
        intake.take(message, 40, 1.0)


def test_large_messages_count_for_several() -> None:
    assert cost(m.Gone(1, True, []), 40) == 1
    assert cost(m.Gone(1, True, []), 4 << 20) == 65
    assert cost(m.Presence([b"a"] * 1024), 9000) == 1026
    assert cost(m.Offer(1, []), 1 << 20) == 1


@pytest.mark.parametrize("kind", ONCE)
def test_what_comes_once_comes_once(kind: type) -> None:
    intake = Intake()
    intake.take(EXAMPLES[kind], 3, 0.0)
    with pytest.raises(PeerViolation, match="a second"):
        intake.take(EXAMPLES[kind], 3, 1e9)


@pytest.mark.parametrize(
    ("answer", "question"), [(a, q) for a, qs in ANSWERS.items() if a not in RATES for q in qs]
)
def test_answers_come_as_often_as_was_asked(answer: type, question: type) -> None:
    intake = Intake()
    message = EXAMPLES[answer]
    with pytest.raises(PeerViolation, match="answers nothing"):
        intake.take(message, 3, 0.0)
    intake.said(question, 3)
    for _ in range(3):
        intake.take(message, 3, 0.0)
    with pytest.raises(PeerViolation, match="answers nothing"):
        intake.take(message, 3, 0.0)


def test_word_of_deletions_that_was_to_be_expected_does_not_count() -> None:
    intake = Intake()
    intake.said(m.RepairHave, 10_000)
    for _ in range(10_000 + RATES[m.Gone].burst):
        intake.take(m.Gone(1, True, []), 40, 0.0)
    with pytest.raises(Refused):
        intake.take(m.Gone(1, True, []), 40, 0.0)


def test_a_question_for_many_documents_may_be_answered_by_each_alone() -> None:
    assert answers_to(m.Want(1, [b"a", b"b", b"c"])) == 3
    assert answers_to(m.RepairPull(1, [1, 2])) == 2
    assert answers_to(m.RepairHave(1, [])) == 1


def test_unknown_kinds_are_ignored_at_a_rate() -> None:
    intake = Intake()
    with pytest.raises(Refused, match="unknown"):
        for _ in range(10_000):
            intake.take_unknown(0.0)


def test_what_we_keep_to_is_half_of_what_is_taken() -> None:
    for ours, theirs in (
        (OWN_SUBSCRIPTIONS, RATES[m.Subscribe]),
        (OWN_PRESENCE, RATES[m.Presence]),
    ):
        assert 2 * ours.burst <= theirs.burst and 2 * ours.per_second <= theirs.per_second
    assert OWN_SUBSCRIPTIONS.burst >= m.MAX_SCOPES and OWN_PRESENCE.burst >= MAX_RECORDS


# -- what goes out


def test_presence_beyond_the_pace_waits_and_the_newest_of_a_peer_goes() -> None:
    spreading: PresenceSpread[str] = PresenceSpread()
    spreading.begins("link", OWN_PRESENCE.burst - 1, 0.0)
    a, b = PeerKey("pka"), PeerKey("pkb")
    assert spreading.goes_now("link", a, b"a1", 0.0)
    assert not spreading.goes_now("link", a, b"a2", 0.0)
    assert not spreading.goes_now("link", b, b"b1", 0.0)
    assert not spreading.goes_now("link", a, b"a3", 0.5), "in order behind what waits"
    assert spreading.goes_now("other", a, b"a3", 0.5)
    assert spreading.due("link", 0.5) == (b"a3", b"b1")
    assert spreading.due("link", 0.6) == ()
    assert spreading.goes_now("link", a, b"a4", 1.0)

# SPDX-License-Identifier: Apache-2.0
"""The exchange of attachments as a machine: what it asks for, bounds, and refuses."""

from __future__ import annotations

from itertools import count

import pytest

from edge_twisted.mesh.blobs.credits import CreditPool
from edge_twisted.mesh.blobs.effects import (
    Begin,
    Blame,
    Effect,
    Finish,
    Look,
    Pause,
    Read,
    Say,
    Settle,
    Shut,
    Write,
)
from edge_twisted.mesh.blobs.errors import MalformedBlobMessage
from edge_twisted.mesh.blobs.exchange import BlobExchange
from edge_twisted.mesh.blobs.fetches import MOST_ACTIVE, MOST_CORRUPTIONS, PATIENT_SECONDS
from edge_twisted.mesh.blobs.messages import (
    CHUNK_BYTES,
    MOST_HOPS,
    WINDOW_BYTES,
    Chunk,
    Coming,
    Credit,
    Gone,
    Have,
    Message,
    Pull,
    Stop,
    Unavailable,
    Want,
    decode,
    encode,
)

ID = "A" * 43
OTHER = "B" * 42 + "A"
FOUR = 4 * CHUNK_BYTES
SEARCH = b"s" * 16


def exchange(*peers: str) -> BlobExchange:
    numbers = count()
    made = BlobExchange(lambda: b"%016d" % next(numbers))
    for peer in peers:
        made.joined(peer, 0.0)
    return made


def chunk(number: int, length: int = CHUNK_BYTES) -> Chunk:
    return Chunk(ID, number * CHUNK_BYTES, b"x" * length)


def pulling(length: int = 8 * CHUNK_BYTES, *peers: str) -> BlobExchange:
    """An exchange that pulls ID from "p", which "p" and `peers` say they have."""
    made = exchange("p", *peers)
    search = made.want(ID, 0.0, urgent=True)[0]
    assert isinstance(search, Say) and isinstance(search.message, Want)
    for peer in ("p", *peers):
        made.heard(peer, Have(search.message.search, length), 0.0)
    effects = made.begun(ID, 0, 0.0)
    assert effects == [Say("p", Pull(ID, 0, min(WINDOW_BYTES, FOUR)))]
    return made


# -- messages


@pytest.mark.parametrize(
    "message",
    [
        Want(SEARCH, ID, MOST_HOPS),
        Have(SEARCH, 0),
        Unavailable(SEARCH),
        Pull(ID, 7, WINDOW_BYTES),
        Credit(ID, 1),
        Chunk(ID, 0, b"x" * CHUNK_BYTES),
        Coming(ID),
        Gone(ID),
        Stop(ID),
    ],
)
def test_messages_cross(message: Message) -> None:
    assert decode(encode(message)) == message


@pytest.mark.parametrize(
    "message",
    [
        Want(b"short", ID, 0),
        Want(SEARCH, ID, MOST_HOPS + 1),
        Want(SEARCH, "A" * 42 + "B", 0),
        Want(SEARCH, ID + "\n", 0),
        Have(SEARCH, -1),
        Pull(ID, 0, WINDOW_BYTES + 1),
        Credit(ID, 0),
        Chunk(ID, 0, b""),
        Chunk(ID, 0, b"x" * (CHUNK_BYTES + 1)),
        Stop("../../etc/passwd"),
    ],
)
def test_messages_beyond_their_limits_are_refused(message: Message) -> None:
    with pytest.raises(MalformedBlobMessage):
        decode(encode(message))


# -- searching


def test_everybody_is_asked_and_unavailable_ends_it() -> None:
    made = exchange("p", "q")
    asked = made.want(ID, 0.0, urgent=True)
    number = b"%016d" % 0
    assert asked == [Say(peer, Want(number, ID, MOST_HOPS)) for peer in ("p", "q")]
    assert made.heard("p", Unavailable(number), 0.0) == []
    assert made.heard("p", Unavailable(number), 0.0) == []
    assert made.heard("stranger", Unavailable(number), 0.0) == []
    assert made.heard("q", Unavailable(number), 0.0) == [Settle(ID, is_here=False)]


def test_a_neighbour_that_says_nothing_is_not_waited_for_for_ever() -> None:
    made = exchange("p")
    made.want(ID, 0.0, urgent=True)
    assert made.tick(1.0) == []
    assert made.tick(60.0) == [Settle(ID, is_here=False)]


def test_a_neighbour_that_leaves_counts_as_unavailable() -> None:
    made = exchange("p")
    made.want(ID, 0.0, urgent=True)
    assert made.left("p", 0.0) == [Settle(ID, is_here=False)]


def test_searches_of_others_go_on_until_hops_are_used_up() -> None:
    made = exchange("p", "q")
    look = made.heard("p", Want(SEARCH, ID, 1), 0.0)
    assert look == [Look("p", ID, SEARCH)]
    asked = made.looked(Look("p", ID, SEARCH), True, None, 0.0)
    assert asked == [Say("q", Want(SEARCH, ID, 0))]
    assert made.heard("q", Have(SEARCH, 9), 0.0) == [Say("p", Have(SEARCH, 9))]
    last = Look("p", ID, b"t" * 16)
    made.heard("p", Want(b"t" * 16, ID, 0), 0.0)
    assert made.looked(last, True, None, 0.0) == [Say("p", Unavailable(b"t" * 16))]


def test_a_search_that_was_seen_goes_no_further() -> None:
    made = exchange("p", "q")
    made.heard("p", Want(SEARCH, ID, 3), 0.0)
    assert made.heard("q", Want(SEARCH, ID, 3), 0.0) == [Say("q", Unavailable(SEARCH))]


def test_who_may_not_have_it_learns_nothing() -> None:
    made = exchange("p", "q")
    look = Look("p", ID, SEARCH)
    made.heard("p", Want(SEARCH, ID, 3), 0.0)
    assert made.looked(look, False, 12, 0.0) == [Say("p", Unavailable(SEARCH))]
    made.heard("p", Pull(ID, 0, CHUNK_BYTES), 0.0)
    assert made.looked(Look("p", ID, None), False, 12, 0.0) == [Say("p", Gone(ID))]


def test_searches_of_one_neighbour_are_bounded() -> None:
    made = exchange("p", "q")
    answers: list[Effect] = []
    for number in range(300):
        answers += made.heard("p", Want(b"%016d" % number, ID, 3), 0.0)
    assert 0 < sum(isinstance(answer, Look) for answer in answers) < 300
    assert isinstance(answers[-1], Say) and isinstance(answers[-1].message, Unavailable)


# -- pulling


def test_chunks_are_written_and_paid_for_when_they_are_on_disk() -> None:
    made = pulling()
    assert made.heard("p", chunk(0), 0.0) == [Write(ID, "p", b"x" * CHUNK_BYTES)]
    assert made.written("p", CHUNK_BYTES, 0.0) == [Say("p", Credit(ID, CHUNK_BYTES))]


def test_the_last_chunk_finishes_it() -> None:
    made = pulling(CHUNK_BYTES + 5)
    made.heard("p", chunk(0), 0.0)
    assert made.heard("p", chunk(1, 5), 0.0)[-1] == Finish(ID)
    assert made.finished(ID, CHUNK_BYTES + 5, 0.0) == [Settle(ID, is_here=True)]
    assert not made.is_fetching(ID)


def test_it_goes_on_where_it_was() -> None:
    made = exchange("p")
    made.want(ID, 0.0, urgent=True)
    assert made.heard("p", Have(b"%016d" % 0, FOUR), 0.0) == [Begin(ID)]
    (pull,) = made.begun(ID, 1234, 0.0)
    assert pull == Say("p", Pull(ID, 1234, WINDOW_BYTES))


def test_content_that_nobody_waits_for_is_dropped() -> None:
    made = pulling()
    assert made.heard("p", chunk(3), 0.0) == []
    assert made.heard("q", chunk(0), 0.0) == []
    assert made.heard("p", Chunk(OTHER, 0, b"x"), 0.0) == []


def test_more_than_the_credit_loses_the_source() -> None:
    made = pulling(99 * CHUNK_BYTES, "q")
    for number in range(4):
        made.heard("p", chunk(number), 0.0)
    effects = made.heard("p", chunk(4), 0.0)
    assert Say("p", Stop(ID)) in effects
    assert not any(isinstance(effect, Write) for effect in effects)


def test_more_than_the_length_loses_the_source() -> None:
    made = pulling(10, "q")
    effects = made.heard("p", chunk(0), 0.0)
    assert effects[:2] == [Blame("p", ID), Say("p", Stop(ID))]
    assert Say("q", Pull(ID, 0, WINDOW_BYTES)) in effects


def test_another_source_takes_over_when_one_is_gone_silent_or_lost() -> None:
    for lose in (
        lambda made: made.heard("p", Gone(ID), 1.0),
        lambda made: made.left("p", 1.0),
        lambda made: made.tick(30.0),
    ):
        made = pulling(FOUR, "q")
        made.heard("p", chunk(0), 0.0)
        assert lose(made)[-1] == Say("q", Pull(ID, CHUNK_BYTES, WINDOW_BYTES))


def test_patience_ends() -> None:
    made = pulling()
    now = 0.0
    while now < PATIENT_SECONDS - 10:
        now += 10
        assert made.heard("p", Coming(ID), now) == []
        assert made.tick(now) == []
    made.heard("p", Coming(ID), now + 5)
    assert made.tick(now + 15) == [Say("p", Stop(ID)), Pause(ID), Settle(ID, is_here=False)]


def test_a_liar_is_not_asked_again() -> None:
    made = pulling(CHUNK_BYTES, "q")
    made.heard("p", chunk(0), 0.0)
    assert made.corrupt(ID, 0.0) == [Blame("p", ID), Begin(ID)]
    assert made.begun(ID, 0, 0.0) == [Say("q", Pull(ID, 0, WINDOW_BYTES))]
    made.heard("q", chunk(0), 0.0)
    # Both lied: ask around once more, then rest.
    effects = made.corrupt(ID, 0.0)
    wants = [e.message for e in effects if isinstance(e, Say) and isinstance(e.message, Want)]
    assert Blame("q", ID) in effects
    assert len(wants) == 2
    made.heard("p", Have(wants[0].search, CHUNK_BYTES), 0.0)
    assert made.heard("q", Unavailable(wants[0].search), 0.0) == [Settle(ID, is_here=False)]


def test_nobody_is_blamed_for_what_several_gave() -> None:
    made = pulling(2 * CHUNK_BYTES, "q")
    made.heard("p", chunk(0), 0.0)
    made.heard("p", Gone(ID), 0.0)
    made.heard("q", chunk(1), 0.0)
    assert made.corrupt(ID, 0.0) == [Begin(ID)]


def test_wrong_content_again_and_again_rests() -> None:
    made = exchange("p")
    made.want(ID, 0.0, urgent=True)
    made.heard("p", Have(b"%016d" % 0, 2 * CHUNK_BYTES), 0.0)
    for number in range(MOST_CORRUPTIONS):
        # What was here already is of unknown origin, so nobody can be blamed.
        made.begun(ID, CHUNK_BYTES, 0.0)
        made.heard("p", chunk(1), 0.0)
        is_last = number == MOST_CORRUPTIONS - 1
        again = Settle(ID, is_here=False) if is_last else Begin(ID)
        assert made.corrupt(ID, 0.0) == [again]


def test_a_disk_that_refuses_rests_it() -> None:
    made = pulling()
    made.heard("p", chunk(0), 0.0)
    assert made.broken(ID, 0.0) == [Say("p", Stop(ID)), Settle(ID, is_here=False)]
    assert made.is_fetching(ID)
    assert made.written("p", CHUNK_BYTES, 0.0) == []


def test_only_so_many_are_under_way_unasked() -> None:
    made = exchange("p")
    ids = ["A" * 40 + f"{number:02d}" + "A" for number in range(MOST_ACTIVE + 5)]
    effects = [effect for one in ids for effect in made.want(one, 0.0, urgent=False)]
    assert len(effects) == MOST_ACTIVE
    assert len(made.want(OTHER, 0.0, urgent=True)) == 1


# -- serving


def serving(peer: str = "p", length: int = FOUR, credit: int = CHUNK_BYTES) -> BlobExchange:
    made = exchange("p", "q")
    assert made.heard(peer, Pull(ID, 0, credit), 0.0) == [Look(peer, ID, None)]
    assert made.looked(Look(peer, ID, None), True, length, 0.0) == []
    return made


def test_a_chunk_is_read_when_there_is_room_and_credit() -> None:
    made = serving()
    assert made.is_serving("p")
    assert made.give("p", 0.0) == [Read("p", ID, 0, CHUNK_BYTES)]
    assert not made.is_serving("p")
    assert made.give("p", 0.0) == []
    assert made.read("p", ID, 0, b"x" * CHUNK_BYTES, 0.0) == [Say("p", chunk(0))]
    assert made.give("p", 0.0) == []
    made.heard("p", Credit(ID, 100), 0.0)
    assert made.give("p", 0.0) == [Read("p", ID, CHUNK_BYTES, 100)]


def test_the_end_closes_it() -> None:
    made = serving(length=5)
    made.give("p", 0.0)
    effects = made.read("p", ID, 0, b"12345", 0.0)
    assert effects == [Say("p", Chunk(ID, 0, b"12345")), Shut("p", ID)]


def test_what_cannot_be_read_is_gone() -> None:
    made = serving()
    made.give("p", 0.0)
    assert made.unreadable("p", ID, 0.0) == [Say("p", Gone(ID)), Shut("p", ID)]


def test_a_stop_while_it_is_read() -> None:
    made = serving()
    made.give("p", 0.0)
    assert made.heard("p", Stop(ID), 0.0) == [Shut("p", ID)]
    assert made.read("p", ID, 0, b"x", 0.0) == []
    made.heard("p", Pull(ID, 0, CHUNK_BYTES), 0.0)
    made.looked(Look("p", ID, None), True, FOUR, 0.0)
    assert made.give("p", 0.0) == [Read("p", ID, 0, CHUNK_BYTES)]


def test_blobs_take_turns() -> None:
    made = serving(credit=WINDOW_BYTES)
    made.heard("p", Pull(OTHER, 0, CHUNK_BYTES), 0.0)
    made.looked(Look("p", OTHER, None), True, 5, 0.0)
    made.give("p", 0.0)
    made.read("p", ID, 0, b"x" * CHUNK_BYTES, 0.0)
    assert made.give("p", 0.0) == [Read("p", OTHER, 0, 5)]


def test_a_busy_link_asks_for_patience() -> None:
    made = serving()
    assert made.tick(6.0) == [Say("p", Coming(ID))]
    assert made.tick(6.5) == []


def test_a_neighbour_that_forgot_is_forgotten() -> None:
    made = serving()
    made.give("p", 0.0)
    made.read("p", ID, 0, b"x" * CHUNK_BYTES, 0.0)
    assert made.tick(200.0) == [Shut("p", ID)]


def test_a_neighbour_that_leaves_is_served_no_more() -> None:
    made = serving()
    made.give("p", 0.0)
    assert made.left("p", 0.0) == [Shut("p", ID)]
    assert not made.is_serving("p")


# -- credit


def test_credit_is_never_more_than_the_window() -> None:
    pool = CreditPool()
    pool.join("a")
    assert pool.grants() == {"a": WINDOW_BYTES}
    pool.join("b")
    assert pool.grants() == {}
    assert pool.spend("a", CHUNK_BYTES)
    pool.restore(CHUNK_BYTES)
    assert pool.grants() == {"b": CHUNK_BYTES}
    assert not pool.spend("b", CHUNK_BYTES + 1)
    pool.leave("a")
    assert pool.grants() == {"b": WINDOW_BYTES - CHUNK_BYTES}
    pool.restore(99 * WINDOW_BYTES)
    assert pool.grants() == {}

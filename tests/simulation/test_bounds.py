# SPDX-License-Identifier: Apache-2.0
"""What the oracle of the simulation says of a document of which some writes may be lost."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, combinations
from random import Random
from typing import NamedTuple

import pytest

from edge_twisted.documents.clock import Timestamp
from edge_twisted.documents.entries import Entry, Stamp
from edge_twisted.documents.state import DocumentState, merge
from edge_twisted.documents.values import MISSING
from edge_twisted.documents.versions import Dot, Replica, SiteId
from edge_twisted.documents.writes import delete, initial, insert
from tests.support.simulation.bounds import DocumentBounds


class Recorded(NamedTuple):
    """A state as the oracle takes it."""

    state: DocumentState
    lost: bool = False


def _stamp(site: str, sequence: int) -> Stamp:
    name = Replica(SiteId(site.encode() * 16), 1)
    return Stamp(Timestamp(1000 + sequence), name, sequence)


def _wrote(site: str, sequence: int, *seen: DocumentState) -> DocumentState:
    return insert(_joined(seen), {}, _stamp(site, sequence))


def _deleted(site: str, sequence: int, *seen: DocumentState) -> DocumentState:
    return delete(_joined(seen), _stamp(site, sequence))


def _joined(states: tuple[DocumentState, ...]) -> DocumentState:
    result = DocumentState()
    for each in states:
        result = merge(result, each)
    return result


def _bounds(*records: Recorded) -> DocumentBounds:
    bounds = DocumentBounds()
    for each in records:
        bounds.take(each.state, is_delete=not each.state.is_alive, lost=each.lost)
    return bounds


A3 = _wrote("a", 3)
INITIAL = initial({"a": 1})


def test_what_a_lost_write_superseded_may_live_without_it() -> None:
    """
    It was written over by what is lost, and only that is known to have been deleted: a server that
    had forgotten the document wrote it anew and deleted that.
    """
    over = _wrote("b", 30, A3, _wrote("c", 1))
    anew = _deleted("b", 69, _wrote("b", 64))
    with_it = _bounds(Recorded(A3), Recorded(over), Recorded(anew))
    assert not with_it.may_live()
    bounds = _bounds(Recorded(A3), Recorded(over, lost=True), Recorded(anew))
    assert bounds.may_live()
    assert not bounds.certainly_lives()


def test_a_lost_write_may_be_what_a_document_lives_by() -> None:
    gone = _deleted("b", 4, A3)
    assert not _bounds(Recorded(A3), Recorded(gone)).may_live()
    bounds = _bounds(Recorded(A3), Recorded(gone), Recorded(_wrote("c", 1, A3), lost=True))
    assert bounds.may_live()
    assert not bounds.certainly_lives()


def test_one_lost_write_may_have_superseded_another() -> None:
    """The document lives by the first one if the second one is lost."""
    over = _wrote("b", 30, A3, _wrote("c", 1))
    anew = Recorded(_deleted("b", 69, _wrote("b", 64)))
    assert _bounds(Recorded(A3, lost=True), Recorded(over, lost=True), anew).may_live()


def test_a_lost_delete_may_have_been_lost() -> None:
    bounds = _bounds(Recorded(A3), Recorded(_deleted("b", 4, A3), lost=True))
    assert bounds.may_live()
    assert not bounds.certainly_lives()


def test_two_lost_writes_kill_what_none_of_them_does() -> None:
    """Each supersedes one of two writes, and is deleted itself; a third one lives by itself."""
    c3 = _wrote("c", 3)
    anew = _deleted("b", 69, _wrote("b", 64))
    certain = [Recorded(each) for each in (A3, c3, anew)]
    one, other = (Recorded(_wrote("b", n, each), lost=True) for n, each in ((20, A3), (30, c3)))
    beside = Recorded(_wrote("d", 1), lost=True)
    assert _bounds(*certain, one, beside).certainly_lives()
    assert _bounds(*certain, other, beside).certainly_lives()
    assert not _bounds(*certain, one, other, beside).certainly_lives()


def test_what_no_lost_write_touches_certainly_lives() -> None:
    """It would be a fault if it were gone, whatever else is lost."""
    others = (_wrote("b", 1), _deleted("b", 2, _wrote("b", 1)), _wrote("c", 1))
    assert _bounds(Recorded(A3), *(Recorded(each, lost=True) for each in others)).certainly_lives()


def test_initial_writes_lose_against_a_removal() -> None:
    first = INITIAL
    removed = _deleted("b", 2, _wrote("b", 1))
    assert _bounds(Recorded(first)).certainly_lives()
    assert not _bounds(Recorded(first), Recorded(removed, lost=True)).certainly_lives()
    bounds = _bounds(Recorded(removed), Recorded(first, lost=True))
    assert not bounds.may_live()
    again = _wrote("c", 1, removed, first)
    assert _bounds(Recorded(removed), Recorded(first), Recorded(again, lost=True)).may_live()


def test_initial_writes_are_no_reason_to_leave_a_lost_write_out() -> None:
    """It may still be what kills, with the delete that covers it."""
    over = _wrote("b", 30, A3)
    shown = DocumentState(
        life=(*INITIAL.life, *over.life), version=over.version.join(INITIAL.version)
    )
    anew = Recorded(_deleted("b", 69, _wrote("b", 64)))
    beside = Recorded(_wrote("d", 1), lost=True)
    assert not _bounds(Recorded(A3), Recorded(shown, lost=True), anew, beside).certainly_lives()


def _gave_up(site: str, sequence: int, former: DocumentState) -> DocumentState:
    """Return what INITIAL wrote, once a former life was given up for it: a version, no entry."""
    version = former.version.join(INITIAL.version).with_dot(_stamp(site, sequence).dot)
    return DocumentState(life=INITIAL.life, version=version)


def test_a_lost_delete_of_initial_writes_counts_without_what_superseded_it() -> None:
    removed = _deleted("b", 2, _wrote("b", 1))
    lost = [Recorded(each, lost=True) for each in (removed, _gave_up("c", 1, removed))]
    assert not _bounds(Recorded(INITIAL), *lost).certainly_lives()


def test_lost_states_may_supersede_removals_together() -> None:
    removed = [_deleted(site, 2, _wrote(site, 1)) for site in "bc"]
    certain = [Recorded(each) for each in (INITIAL, *removed)]
    one, other = (Recorded(_gave_up("d", n + 1, each), lost=True) for n, each in enumerate(removed))
    assert not _bounds(*certain, one).may_live()
    assert not _bounds(*certain, other).may_live()
    assert _bounds(*certain, one, other).may_live()


def test_of_a_document_that_only_lost_deletes_tell_of_nothing_is_known() -> None:
    assert _bounds(Recorded(_deleted("b", 4, A3), lost=True)).may_live()


def _history(random: Random, *, initials: bool) -> list[Recorded]:
    """Make up writes of three servers that hear of each other and forget, and what is lost."""
    holdings = [DocumentState(), DocumentState(), DocumentState()]
    written = [0, 0, 0]
    records: list[Recorded] = []
    while len(records) < 7:
        at = random.randrange(3)
        mine = holdings[at]
        match random.choice(("write", "write", "delete", "hear", "hear", "forget", "initial")):
            case "hear":
                holdings[at] = merge(mine, random.choice(holdings))
                continue
            case "forget":
                holdings[at] = DocumentState()
                continue
            case "initial" if not initials or mine.version:
                continue
            case "initial":
                state = initial({"a": 1})
            case kind:
                written[at] += 1
                dot = Dot(Replica(SiteId(bytes([at]) * 16), 1), written[at])
                stamp = Stamp(Timestamp(1000 + sum(written)), *dot)
                value = MISSING if kind == "delete" and mine.is_alive else True
                version = mine.version.with_dot(dot)
                state = DocumentState(life=(Entry(stamp, value),), version=version)
        holdings[at] = state
        records.append(Recorded(state, random.random() < 0.6))
    return records


def _outcomes(records: list[Recorded]) -> Iterator[bool]:
    """
    Yield, for every choice of what is lost, whether the document lives.

    Once after merging in the order of the writes, and once after what may be lost was heard of
    last: where something was forgotten these can differ.
    """
    lost = [each for each in records if each.lost]
    for choice in chain.from_iterable(combinations(lost, n) for n in range(len(lost) + 1)):
        there = [each for each in records if not each.lost or each in choice]
        for order in (there, sorted(there, key=lambda each: each.lost)):
            yield _joined(tuple(each.state for each in order)).is_alive


@pytest.mark.parametrize("initials", [False, True])
def test_the_bounds_are_those_of_all_choices(initials: bool) -> None:
    """Certain is what holds for each of them, possible what holds for one."""
    random = Random(5)
    answers = set()
    for _ in range(1000):
        records = _history(random, initials=initials)
        bounds = _bounds(*records)
        outcomes = set(_outcomes(records))
        assert bounds.certainly_lives() == (outcomes == {True}), records
        if bounds.must.version or any(each.state.is_alive for each in records):
            assert bounds.may_live() == (True in outcomes), records
        answers.add(tuple(sorted(outcomes)))
    assert answers == {(False,), (False, True), (True,)}

# SPDX-License-Identifier: Apache-2.0
"""Which link stays, how long to wait, what the log says of refusals."""

from __future__ import annotations

from itertools import product
from typing import cast

import pytest
from twisted.internet.task import Clock
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher

from edge_twisted.documents.versions import Replica, SiteId
from edge_twisted.mesh.links.backoff import FIRST_SECONDS, Backoff
from edge_twisted.mesh.links.link_choice import LinkEnds, LinkVerdict, judge
from edge_twisted.mesh.links.refusals import (
    MAX_LINES,
    MAX_REMEMBERED,
    REPEAT_SECONDS,
    RefusalLog,
)
from edge_twisted.mesh.trust.peer_key import PeerKey

A, B = PeerKey("pkA"), PeerKey("pkB")
REPLICA_A, REPLICA_B = (Replica(SiteId(bytes([n]) * 16), 1) for n in (1, 2))


def ends(us: PeerKey, *, dialled: bool) -> LinkEnds:
    """A link between A and B as `us` sees it."""
    peer, replica = (B, REPLICA_B) if us == A else (A, REPLICA_A)
    return LinkEnds(peer=peer, replica=replica, dialled_by_us=dialled)


@pytest.mark.parametrize("first", [True, False])
def test_when_both_dial_both_keep_the_link_of_the_smaller_key(first: bool) -> None:
    """Whatever order they come in at either end, A's is the one that stays."""
    by_a_at_a, by_b_at_a = ends(A, dialled=True), ends(A, dialled=False)
    by_a_at_b, by_b_at_b = ends(B, dialled=False), ends(B, dialled=True)
    if first:
        assert judge(by_a_at_a, by_b_at_a, A, REPLICA_A) is LinkVerdict.REPLACE
        assert judge(by_a_at_b, by_b_at_b, B, REPLICA_B) is LinkVerdict.REPLACE
    else:
        assert judge(by_b_at_a, by_a_at_a, A, REPLICA_A) is LinkVerdict.DUPLICATE_LINK
        assert judge(by_b_at_b, by_a_at_b, B, REPLICA_B) is LinkVerdict.DUPLICATE_LINK


def test_who_dialled_twice_knows_best() -> None:
    assert judge(ends(A, dialled=True), ends(A, dialled=True), A, REPLICA_A) is (
        LinkVerdict.DUPLICATE_LINK
    )
    assert (
        judge(ends(B, dialled=False), ends(B, dialled=False), B, REPLICA_B) is LinkVerdict.REPLACE
    )


@pytest.mark.parametrize(("new", "old"), list(product([True, False], repeat=2)))
def test_two_lives_of_one_identity(new: bool, old: bool) -> None:
    other = LinkEnds(peer=B, replica=Replica(SiteId(b"\x03" * 16), 1), dialled_by_us=new)
    assert judge(other, ends(A, dialled=old), A, REPLICA_A) is LinkVerdict.DUPLICATE_PEER
    ours = LinkEnds(peer=A, replica=Replica(REPLICA_A.site, 2), dialled_by_us=new)
    assert judge(ours, None, A, REPLICA_A) is LinkVerdict.DUPLICATE_PEER


def test_our_own_address() -> None:
    own = LinkEnds(peer=A, replica=REPLICA_A, dialled_by_us=True)
    assert judge(own, None, A, REPLICA_A) is LinkVerdict.SELF_LINK


def test_delays_grow_up_to_the_bound_and_are_drawn() -> None:
    longest = Backoff(2.0, lambda: 0.999999)
    assert [round(longest.delay(), 2) for _ in range(6)] == [0.25, 0.5, 1.0, 2.0, 2.0, 2.0]
    shortest = Backoff(2.0, lambda: 0.0)
    assert [shortest.delay() for _ in range(5)] == [0.125, 0.25, 0.5, 1.0, 1.0]
    shortest.reset()
    assert shortest.delay() == FIRST_SECONDS / 2


def test_a_bound_below_the_first_delay_holds() -> None:
    assert Backoff(0.05, lambda: 0.999).delay() <= 0.05


def collected(log: RefusalLog, clock: Clock, calls: list[tuple[str, str, float]]) -> list[LogEvent]:
    events: list[LogEvent] = []
    observer = cast(ILogObserver, events.append)
    globalLogPublisher.addObserver(observer)
    try:
        for refusal, address, seconds in calls:
            clock.advance(seconds)
            log.refused(refusal, address, by_us=True)
    finally:
        globalLogPublisher.removeObserver(observer)
    return [event for event in events if event.get("refusal")]


def test_a_refusal_is_logged_once_a_minute_with_what_was_left_out() -> None:
    clock = Clock()
    calls = [("not_a_member", "192.0.2.1", 0.1)] * 20 + [
        ("not_a_member", "192.0.2.2", 0.0),
        ("clock_skew", "192.0.2.1", 0.0),
        ("not_a_member", "192.0.2.1", REPEAT_SECONDS),
    ]
    events = collected(RefusalLog(clock), clock, calls)
    assert [(e["refusal"], e["address"], e["suppressed"]) for e in events] == [
        ("not_a_member", "192.0.2.1", 0),
        ("not_a_member", "192.0.2.2", 0),
        ("clock_skew", "192.0.2.1", 0),
        ("not_a_member", "192.0.2.1", 19),
    ]
    assert all(event["log_level"].name == "warn" for event in events)


def test_many_addresses_cannot_flood_the_log_or_memory() -> None:
    clock = Clock()
    log = RefusalLog(clock)
    calls = [("not_a_member", f"2001:db8::{n:x}", 0.0) for n in range(1000)]
    assert len(collected(log, clock, calls)) == MAX_LINES
    slow = [("not_a_member", f"2001:db8:1::{n:x}", 1.0) for n in range(600)]
    collected(log, clock, slow)
    assert len(log._seen) <= MAX_REMEMBERED

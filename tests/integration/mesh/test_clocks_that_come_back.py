# SPDX-License-Identifier: Apache-2.0
"""A server whose clock was hours ahead, and is right again, over sessions and real stores."""

from __future__ import annotations

import pytest

from edge_twisted.documents.clock import MAX_DECLARED_AHEAD_MS
from tests.integration.mesh.test_sessions_over_stores import Site, linked, same
from tests.support.mesh_pair import LinkPair

HOURS = 3_600_000
DAYS = 24 * HOURS


def back_from(ahead_ms: int) -> Site:
    """Return a server that wrote while its clock was ahead, and whose clock is right again."""
    site = Site(1)
    site.now_ms += ahead_ms
    site.run("INSERT INTO tasks DOCUMENTS ({'_id': 'a', 'n': 1}, {'_id': 'gone', 'n': 1})")
    site.run("DELETE FROM tasks WHERE _id = 'gone'")
    site.now_ms -= ahead_ms
    return site


def go_on(pair: LinkPair) -> None:
    """Tell both ends that there were commits: a site tells only one of its links by itself."""
    for end in (pair.left, pair.right):
        end.take(end.session.committed(end.documents.lsn, frozenset({"tasks"}), pair.now))
    pair.wait(3)
    assert pair.left.closed is pair.right.closed is None


@pytest.mark.parametrize("ahead_ms", [HOURS, 14 * HOURS, 40 * DAYS, MAX_DECLARED_AHEAD_MS - HOURS])
def test_what_it_wrote_travels_and_others_win_over_it_afterwards(ahead_ms: int) -> None:
    a, b, c = back_from(ahead_ms), Site(2), Site(3)
    a.run("UPDATE tasks SET n = 2 WHERE _id = 'a'")
    pair = linked(a, b).wait(3)
    assert pair.left.closed is pair.right.closed is None
    assert same(a, b) == [{"_id": "a", "n": 2}]
    # Who has it from somebody else, whose clock was never wrong, takes it as well.
    further = linked(b, c).wait(3)
    c.run("UPDATE tasks SET n = 3 WHERE _id = 'a'")
    go_on(further)
    go_on(pair)
    assert same(a, b) == same(b, c) == [{"_id": "a", "n": 3}]


def test_what_comes_while_a_link_is_up_goes_on_over_it() -> None:
    a, b, c = back_from(3 * HOURS), Site(2), Site(3)
    further = linked(b, c).wait(3)
    pair = linked(a, b).wait(3)
    go_on(further)
    assert pair.left.closed is pair.right.closed is None
    assert same(b, c) == [{"_id": "a", "n": 1}]


def test_a_clock_that_is_wrong_now_is_refused_and_heals_by_itself() -> None:
    a, b = Site(1), Site(2)
    a.run("INSERT INTO tasks DOCUMENTS ({'_id': 'a', 'n': 1})")
    pair = linked(a, b).wait(3)
    a.now_ms += 3 * HOURS
    a.run("UPDATE tasks SET n = 2 WHERE _id = 'a'")
    pair.wait(1)
    assert pair.right.closed is not None and pair.right.closed.reason == "clock_skew"
    refused = linked(a, b)
    assert refused.left.closed is not None and refused.left.closed.reason == "clock_skew"
    assert b.rows("SELECT * FROM tasks") == [{"_id": "a", "n": 1}]
    a.now_ms -= 3 * HOURS
    linked(a, b).wait(3)
    assert same(a, b) == [{"_id": "a", "n": 2}]


def test_beyond_the_bound_nothing_is_applied_until_the_time_has_come_closer() -> None:
    a, b = back_from(MAX_DECLARED_AHEAD_MS + DAYS), Site(2)
    pair = linked(a, b).wait(1)
    assert pair.right.closed is not None and pair.right.closed.reason == "clock_skew"
    assert "366 days" in pair.right.closed.detail
    assert b.rows("SELECT * FROM tasks") == []
    assert b.replica.documents.hybrid_time < b.now_ms + 60_000 << 16
    for site in (a, b):
        site.now_ms += DAYS
    linked(a, b).wait(3)
    assert same(a, b) == [{"_id": "a", "n": 1}]

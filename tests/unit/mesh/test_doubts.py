# SPDX-License-Identifier: Apache-2.0
"""When a stream repairs because of documents that it did not take."""

from __future__ import annotations

from itertools import pairwise

from edge_twisted.mesh.session.doubts import (
    LONGEST_PAUSE_SECONDS,
    SHORTEST_PAUSE_SECONDS,
    Doubts,
)


def test_without_doubts_nothing_is_repaired() -> None:
    doubts = Doubts()
    assert not doubts.wants_repair(1e9)
    doubts.repair_begins(0.0)
    assert not doubts.repair_ends()
    assert not doubts.wants_repair(1e9)


def test_the_first_repair_is_at_once_and_the_next_ones_ever_more_rarely() -> None:
    doubts, now = Doubts(), 0.0
    moments: list[float] = []
    while len(moments) < 12:
        doubts.found()
        if doubts.wants_repair(now):
            moments.append(now)
            doubts.repair_begins(now)
        now += 10.0
    pauses = [later - earlier for earlier, later in pairwise(moments)]
    assert moments[0] == 0.0 and pauses[:3] == [SHORTEST_PAUSE_SECONDS * n for n in (1, 2, 4)]
    assert pauses[-1] == LONGEST_PAUSE_SECONDS == max(pauses)


def test_a_repair_that_leaves_none_begins_the_count_anew() -> None:
    doubts = Doubts()
    for now in (0.0, 100.0):
        doubts.found()
        doubts.repair_begins(now)
    assert not doubts.repair_ends()
    doubts.found()
    assert doubts.wants_repair(100.0)
    doubts.repair_begins(100.0)
    doubts.found()
    assert doubts.repair_ends()
    assert not doubts.wants_repair(100.0 + SHORTEST_PAUSE_SECONDS - 1)
    assert doubts.wants_repair(100.0 + SHORTEST_PAUSE_SECONDS)

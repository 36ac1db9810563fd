# SPDX-License-Identifier: Apache-2.0
"""
A document that was deleted, reaped and written again by a server that remembers nothing of it.

What others still have of its former life is gone there too, however it comes to them.
"""

from __future__ import annotations

import pytest

from edge_twisted.documents import writing
from edge_twisted.documents.clock import Timestamp
from edge_twisted.documents.deltas import DeltaGap, apply_delta, delta
from edge_twisted.documents.encoding import encode
from edge_twisted.documents.entries import Stamp
from edge_twisted.documents.operations import Increment, Set
from edge_twisted.documents.state import State, merge
from edge_twisted.documents.versions import Replica, SiteId

WRITER, OTHER = (Replica(SiteId(bytes([n]) * 16), 1) for n in (1, 2))


def stamp(sequence: int, replica: Replica = WRITER) -> Stamp:
    return Stamp(Timestamp(sequence << 16), replica, sequence)


LIVING = writing.apply(
    writing.insert(None, {"b": {"p": 1}, "old": 2}, stamp(1)),
    [Increment(("count",), 5)],
    stamp(2),
)
DELETED = writing.delete(LIVING, stamp(3))
#: The writer forgot it all.
AGAIN = writing.insert(None, {"b": {"q": 3}}, stamp(9))


@pytest.mark.parametrize("before", [LIVING, DELETED], ids=["missed the delete", "has it"])
def test_the_former_life_is_gone_whoever_merges(before: State) -> None:
    for merged in (merge(before, AGAIN), merge(AGAIN, before)):
        assert merged.fields == {"b": {"q": 3}}
        assert encode(merged) == encode(AGAIN)


def test_writes_of_others_that_the_writer_never_saw_stay() -> None:
    beside = writing.apply(LIVING, [Set(("mine",), 4)], stamp(4, OTHER))
    merged = merge(beside, AGAIN)
    assert merged.fields == {"b": {"q": 3}, "mine": 4}
    assert encode(merged) == encode(merge(AGAIN, beside))


def test_a_delta_takes_the_former_life_away_as_the_whole_does() -> None:
    here = writing.apply(LIVING, [Set(("mine",), 4)], stamp(4, OTHER))
    there = merge(here, AGAIN)
    changes = delta(there, here.version)
    assert encode(apply_delta(here, changes)) == encode(there)
    with pytest.raises(DeltaGap):
        apply_delta(AGAIN, changes)


def test_a_delta_leaves_alone_what_has_not_changed() -> None:
    there = writing.apply(LIVING, [Set(("mine",), 4)], stamp(4, OTHER))
    merged = apply_delta(LIVING, delta(there, LIVING.version))
    assert encode(merged) == encode(there)

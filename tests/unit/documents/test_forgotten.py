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
from edge_twisted.documents.encoding import decode, encode
from edge_twisted.documents.entries import Stamp
from edge_twisted.documents.operations import Increment, Set, Unset
from edge_twisted.documents.state import State, merge
from edge_twisted.documents.versions import Replica, SiteId

WRITER, OTHER, THIRD = (Replica(SiteId(bytes([n]) * 16), 1) for n in (1, 2, 3))


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


def test_a_slot_goes_of_which_each_side_has_seen_the_end_of_the_other() -> None:
    theirs = writing.insert(None, {"a": 2, "kept": 1}, stamp(1, OTHER))
    removed = writing.apply(theirs, [Unset(("a",))], stamp(3))
    later = writing.apply(removed, [Set(("new",), 5)], stamp(1, THIRD))
    # The writer forgot that it removed the field, and whoever has this never heard of it.
    again = merge(theirs, AGAIN)
    for merged in (merge(again, later), merge(later, again)):
        assert merged.fields == {"b": {"q": 3}, "kept": 1, "new": 5}
        assert "a" not in merged.root.children
        data = encode(merged)
        assert encode(decode(data, merged.fields)) == data

# SPDX-License-Identifier: Apache-2.0
"""
A document that was deleted, reaped and written again by a server that remembers nothing of it.

What others still have of its former life is gone there too, however it comes to them.
"""

from __future__ import annotations

import msgspec.msgpack
import pytest

from edge_twisted.documents import writes
from edge_twisted.documents.checksums import PRIME
from edge_twisted.documents.clock import Timestamp
from edge_twisted.documents.deltas import (
    DeltaGap,
    apply_delta,
    decode_delta,
    delta,
    encode_delta,
)
from edge_twisted.documents.encoding import CorruptState, decode, encode
from edge_twisted.documents.entries import Stamp
from edge_twisted.documents.operations import Increment, Restart, Set, Unset
from edge_twisted.documents.state import DocumentState, merge
from edge_twisted.documents.versions import NO_VERSION, Replica, SiteId

WRITER, OTHER, THIRD = (Replica(SiteId(bytes([n]) * 16), 1) for n in (1, 2, 3))


def stamp(sequence: int, replica: Replica = WRITER) -> Stamp:
    return Stamp(Timestamp(sequence << 16), replica, sequence)


LIVING = writes.apply(
    writes.insert(None, {"b": {"p": 1}, "old": 2}, stamp(1)),
    [Increment(("count",), 5)],
    stamp(2),
)
DELETED = writes.delete(LIVING, stamp(3))
#: The writer forgot it all.
AGAIN = writes.insert(None, {"b": {"q": 3}}, stamp(9))


@pytest.mark.parametrize("before", [LIVING, DELETED], ids=["missed the delete", "has it"])
def test_the_former_life_is_gone_whoever_merges(before: DocumentState) -> None:
    for merged in (merge(before, AGAIN), merge(AGAIN, before)):
        assert merged.fields == {"b": {"q": 3}}
        assert encode(merged) == encode(AGAIN)


def test_writes_of_others_that_the_writer_never_saw_stay() -> None:
    beside = writes.apply(LIVING, [Set(("mine",), 4)], stamp(4, OTHER))
    merged = merge(beside, AGAIN)
    assert merged.fields == {"b": {"q": 3}, "mine": 4}
    assert encode(merged) == encode(merge(AGAIN, beside))


def test_a_delta_takes_the_former_life_away_as_the_whole_does() -> None:
    here = writes.apply(LIVING, [Set(("mine",), 4)], stamp(4, OTHER))
    there = merge(here, AGAIN)
    changes = delta(there, here.version)
    assert encode(apply_delta(here, changes)) == encode(there)
    with pytest.raises(DeltaGap):
        apply_delta(AGAIN, changes)


def test_a_delta_takes_away_what_is_older_than_what_stays() -> None:
    """Of one writer, a write that is gone may be older than another in a slot that is left out."""
    uncounted = writes.apply(LIVING, [Unset(("count",))], stamp(4, OTHER))
    there = merge(uncounted, AGAIN)
    assert "old" not in there.root.children
    changes = delta(there, uncounted.version)
    assert changes.since.seen(WRITER) == 2, "what the counter was that it does not show any more"
    assert (
        decode_delta(encode_delta(changes)).omitted_dots
        == changes.omitted_dots
        == {stamp(4, OTHER).dot}
    )
    assert encode(apply_delta(uncounted, changes)) == encode(there)


def test_a_delta_names_all_writes_that_it_leaves_out() -> None:
    there = LIVING
    for sequence, name in ((3, "x"), (5, "y"), (9, "z")):
        there = writes.apply(there, [Set((name,), 1)], stamp(sequence))
    changes = delta(there, writes.apply(LIVING, [], stamp(5)).version)
    again = decode_delta(encode_delta(changes))
    assert (again.since, again.omitted_dots) == (changes.since, changes.omitted_dots)
    assert {dot.sequence for dot in again.omitted_dots} == {1, 2, 3, 5}


def test_a_delta_leaves_alone_what_has_not_changed() -> None:
    there = writes.apply(LIVING, [Set(("mine",), 4)], stamp(4, OTHER))
    merged = apply_delta(LIVING, delta(there, LIVING.version))
    assert encode(merged) == encode(there)


def test_a_slot_goes_of_which_each_side_has_seen_the_end_of_the_other() -> None:
    theirs = writes.insert(None, {"a": 2, "kept": 1}, stamp(1, OTHER))
    removed = writes.apply(theirs, [Unset(("a",))], stamp(3))
    later = writes.apply(removed, [Set(("new",), 5)], stamp(1, THIRD))
    # The writer forgot that it removed the field, and whoever has this never heard of it.
    again = merge(theirs, AGAIN)
    for merged in (merge(again, later), merge(later, again)):
        assert merged.fields == {"b": {"q": 3}, "kept": 1, "new": 5}
        assert "a" not in merged.root.children
        data = encode(merged)
        assert encode(decode(data, merged.fields)) == data


@pytest.mark.parametrize("again", [Increment(("count",), 7), Restart(("count",), 7)], ids=repr)
@pytest.mark.parametrize("before", [Increment(("count",), 5), Restart(("count",), 50)], ids=repr)
def test_a_count_of_the_former_life_is_gone(
    before: Increment | Restart, again: Increment | Restart
) -> None:
    living = writes.apply(LIVING, [before], stamp(3))
    beside = writes.apply(living, [Increment(("count",), 100)], stamp(1, OTHER))
    counting = writes.apply(AGAIN, [again], stamp(10))
    for old in (living, writes.delete(living, stamp(4))):
        for merged in (merge(old, counting), merge(counting, old)):
            assert encode(merged) == encode(counting)
            assert merged.fields == {"b": {"q": 3}, "count": 7}
    assert encode(merge(beside, counting)) == encode(merge(counting, beside))


def test_who_has_seen_all_that_the_other_has_counts() -> None:
    """Also where the other would take away what came back to a server that had forgotten it."""
    theirs = writes.insert(None, {"a": 2, "kept": 1}, stamp(1, OTHER))
    removed = writes.apply(theirs, [Unset(("a",))], stamp(3))
    # The writer deletes it, forgets it, hears of it from who missed that, and writes again.
    back = writes.apply(theirs, [Set(("new",), 5)], stamp(9))
    for merged in (merge(back, removed), merge(removed, back)):
        assert encode(merged) == encode(back)
    assert encode(apply_delta(removed, delta(back, NO_VERSION))) == encode(back)


def test_a_delta_does_not_build_on_what_was_forgotten() -> None:
    """The write is known to the receiver, and in one of the two slots that it wrote."""
    theirs = writes.insert(None, {"a": 2, "kept": 1}, stamp(1, OTHER))
    removed = writes.apply(theirs, [Unset(("a",))], stamp(3))
    back = writes.apply(theirs, [Set(("new",), 5)], stamp(9))
    changes = delta(back, theirs.version)
    assert decode_delta(encode_delta(changes)).omitted_checksum == changes.omitted_checksum
    assert encode(apply_delta(theirs, changes)) == encode(back)
    with pytest.raises(DeltaGap):
        apply_delta(removed, changes)


@pytest.mark.parametrize("first", [Increment(("n",), 7), Restart(("n",), 7)], ids=repr)
def test_a_delta_does_not_build_on_a_count_that_others_have_forgotten(
    first: Increment | Restart,
) -> None:
    """The entry of the increment goes, its count would stay: nothing here says it is gone."""
    theirs = writes.apply(LIVING, [Unset(("count",)), Increment(("n",), 5)], stamp(1, OTHER))
    counted = merge(theirs, writes.apply(LIVING, [first], stamp(3)))
    # The writer forgot that it counted, and heard of the other's count again.
    back = writes.apply(theirs, [Set(("new",), 5)], stamp(9))
    assert back.version.includes(counted.version)
    changes = delta(back, counted.version)
    assert "n" not in changes.changes.root.children
    assert encode(apply_delta(theirs, changes)) == encode(back)
    with pytest.raises(DeltaGap):
        apply_delta(counted, changes)


def test_a_delta_does_not_build_on_a_share_that_its_writer_has_forgotten() -> None:
    """The slot has news, so it comes; of two shares of one server the later one would stay."""
    counted = writes.apply(LIVING, [Increment(("count",), 7)], stamp(3))
    back = writes.apply(LIVING, [Increment(("count",), 1)], stamp(1, OTHER))
    back = writes.apply(back, [Set(("new",), 5)], stamp(9))
    changes = delta(back, counted.version)
    assert encode(apply_delta(LIVING, changes)) == encode(back)
    with pytest.raises(DeltaGap):
        apply_delta(counted, changes)


_ENDS = [None, "1", True, 1.0, -1, PRIME, 2**32, 2**63]


@pytest.mark.parametrize(
    "since", [[], [2], [2, 1, 1], 2, None, *([2, omitted_checksum] for omitted_checksum in _ENDS)]
)
def test_a_delta_that_says_wrong_what_it_leaves_out_is_none(since: object) -> None:
    known = writes.insert(None, {"a": 1}, stamp(1)).version
    changes = delta(LIVING, known)
    written = msgspec.msgpack.decode(encode_delta(changes))
    assert written[3] == [1, changes.omitted_checksum]
    written[3] = [1, PRIME - 1]
    assert decode_delta(msgspec.msgpack.encode(written)).omitted_checksum == PRIME - 1
    written[3] = since
    with pytest.raises(CorruptState):
        decode_delta(msgspec.msgpack.encode(written))

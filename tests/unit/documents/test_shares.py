# SPDX-License-Identifier: Apache-2.0
"""Shares of counts in their written form: one form for each, and none that nobody could write."""

from __future__ import annotations

from typing import Any

import msgspec.msgpack
import pytest

from edge_twisted.documents.clock import Timestamp
from edge_twisted.documents.counters import Share
from edge_twisted.documents.encoding import CorruptState, decode, encode
from edge_twisted.documents.entries import Stamp
from edge_twisted.documents.nodes import Variant
from edge_twisted.documents.operations import Increment
from edge_twisted.documents.state import DocumentState, merge
from edge_twisted.documents.version_exceptions import except_evicted
from edge_twisted.documents.versions import Dot, Replica, SiteId
from edge_twisted.documents.writes import apply, insert
from edge_twisted.replication.state_checks import check_state

OWN = Replica(SiteId(b"1" * 16), 1)


def stamp(sequence: int) -> Stamp:
    return Stamp(Timestamp(sequence << 16), OWN, sequence)


def counted(state: DocumentState, amount: int, sequence: int) -> DocumentState:
    return apply(state, [Increment(("n",), amount)], stamp(sequence))


COPY = counted(insert(None, {"a": 1}, stamp(1)), 5, 2)
AGAIN = except_evicted(counted(COPY, 1, 4), COPY, OWN, 3)


def shares(state: DocumentState) -> list[Any]:
    """Return the shares of the only count, as they are written."""
    found: list[Any] = written(state)[-1][-1][-1][-1]
    return found


def written(state: DocumentState) -> list[Any]:
    found: list[Any] = msgspec.msgpack.decode(encode(state))
    return found


def read(shares: list[Any]) -> DocumentState:
    """Return the state of a document with these shares of its only count."""
    found = written(AGAIN)
    found[-1][-1][-1][-1] = shares
    return decode(msgspec.msgpack.encode(found), AGAIN.fields)


def test_the_first_share_of_a_replica_is_written_without_where_it_began() -> None:
    assert shares(COPY) == [[0, 2, 5]]
    assert shares(counted(COPY, 1, 3)) == [[0, 3, 6]]


def test_another_one_begins_where_something_of_the_first_may_be_elsewhere() -> None:
    assert shares(AGAIN) == [[0, 2, 5], [0, 4, 1, 4]]
    again = read(shares(AGAIN))
    found = again.root.children["n"].counters[Variant.COUNTER].shares
    assert found == {Dot(OWN, 0): Share(2, 5), Dot(OWN, 4): Share(4, 1)}
    assert encode(again) == encode(AGAIN)
    check_state(again, again.version)


def test_it_is_added_to_until_something_is_evicted_again() -> None:
    later = except_evicted(counted(AGAIN, 1, 5), AGAIN, OWN, 3)
    assert shares(later) == [[0, 2, 5], [0, 5, 2, 4]]
    back = merge(later, counted(COPY, 10, 3))
    assert back.fields == {"a": 1, "n": 17}
    assert shares(counted(back, 1, 6)) == [[0, 3, 15], [0, 6, 3, 4]]


def test_it_is_a_matter_of_writes_on_a_count_alone() -> None:
    """A share that was closed beside another write is not reopened by the next increment."""
    beside = except_evicted(apply(COPY, [], stamp(4)), COPY, OWN, 3)
    assert shares(beside) == [[0, 2, 5]]
    assert shares(except_evicted(counted(beside, 1, 5), beside, OWN, 3)) == [
        [0, 2, 5],
        [0, 5, 1, 5],
    ]


@pytest.mark.parametrize(
    "bad",
    [
        [[0, 2, 5, 0]],
        [[0, 2, 5, -1]],
        [[0, 2, 5, None]],
        [[0, 2, 5, "1"]],
        [[0, 2, 5, 1, 1]],
        [[0, 2]],
        [[0, 2, 5], [0, 4, 1]],
        [[0, 2, 5], [0, 4, 1, 2], [0, 2, 1, 2]],
        [[0, 2, 5], 4],
    ],
    ids=repr,
)
def test_other_forms_are_none(bad: list[Any]) -> None:
    with pytest.raises(CorruptState):
        read(bad)


@pytest.mark.parametrize(
    "bad", [[0, 4, 1, 5], [0, 4, 1, 1.0], [0, 4, 1, True], [0, 3, 1, 1]], ids=repr
)
def test_what_no_server_writes_is_not_taken(bad: list[Any]) -> None:
    state = read([bad])
    with pytest.raises(ValueError, match=r"share|version"):
        check_state(state, state.version)

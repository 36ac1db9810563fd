# SPDX-License-Identifier: Apache-2.0
"""Whatever replicas write, and however they hear of it, they end the same."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from edge_twisted.documents.deltas import DeltaGap, apply_delta, delta
from edge_twisted.documents.nodes import nodes_of
from edge_twisted.documents.slot_records import stamps_of
from edge_twisted.documents.state import DocumentState, merge
from edge_twisted.documents.versions import VersionVector
from tests.laws.documents.replicas import Site, reread, summary
from tests.support.strategies_documents import fields, operations

SITES = 4
site = st.integers(0, SITES - 1)
moment = st.integers(1, 6)

steps = st.lists(
    st.one_of(
        st.tuples(st.just("insert"), site, fields, moment),
        st.tuples(st.just("initial"), site, fields),
        st.tuples(st.just("apply"), site, operations, moment),
        st.tuples(st.just("apply"), site, operations, moment),
        st.tuples(st.just("apply"), site, operations, moment),
        st.tuples(st.just("delete"), site, moment),
        st.tuples(st.just("hear_whole"), site, site),
        st.tuples(st.just("hear_delta"), site, site),
        st.tuples(st.just("store"), site),
    ),
    max_size=25,
)


def run(history: list[tuple[object, ...]]) -> list[Site]:
    sites = [Site(number) for number in range(SITES)]
    for name, at, *rest in history:
        assert isinstance(at, int)
        if str(name).startswith("hear"):
            (other,) = rest
            assert isinstance(other, int)
            rest = [sites[other]]
        getattr(sites[at], str(name))(*rest)
    return sites


@settings(max_examples=1000, deadline=None)
@given(steps, st.permutations(range(SITES)))
def test_all_end_the_same(history: list[tuple[object, ...]], order: list[int]) -> None:
    sites = run(history)
    for hub in order:
        for other in reversed(order):
            sites[hub].hear_delta(sites[other])
    for other in order:
        sites[other].hear_whole(sites[order[-1]])
    assert len({repr(summary(each.state)) for each in sites}) == 1


@settings(max_examples=500, deadline=None)
@given(steps)
def test_merge_is_a_join(history: list[tuple[object, ...]]) -> None:
    a, b, c, d = (each.state for each in run(history))
    same(merge(a, b), merge(b, a))
    same(merge(a, merge(b, c)), merge(merge(a, b), c))
    same(merge(merge(a, d), merge(b, c)), merge(merge(merge(d, c), b), a))
    same(merge(a, a), a)
    both = merge(a, b)
    same(merge(both, a), both)
    assert both.version.includes(a.version) and both.version.includes(b.version)


@settings(max_examples=500, deadline=None)
@given(steps)
def test_a_delta_does_what_the_whole_does(history: list[tuple[object, ...]]) -> None:
    a, b, c, _ = (each.state for each in run(history))
    whole = merge(a, b)
    does_the_same(a, b, a.version)
    # Knowledge that is older than what the receiver has, or of other documents too.
    does_the_same(whole, c, a.version)
    same(apply_delta(None, delta(b, DocumentState().version)), b)


def does_the_same(receiver: DocumentState, sender: DocumentState, base: VersionVector) -> None:
    """
    Hold a delta to the whole document.

    Nothing is forgotten here, so a delta is refused only where the receiver cannot tell that: if it
    has counted, or replaced much, and the sender has not heard of it.
    """
    try:
        same(apply_delta(receiver, delta(sender, base)), merge(receiver, sender))
    except DeltaGap:
        assert not sender.version.includes(receiver.version)
        unheard = [
            node for node in nodes_of(receiver.root)
            if any(not sender.version.covers(stamp.dot) for stamp in stamps_of(node))
        ]  # fmt: skip
        assert any(node.counters for node in unheard) or len(unheard) > 1


@settings(max_examples=500, deadline=None)
@given(steps)
def test_written_and_read_again(history: list[tuple[object, ...]]) -> None:
    for each in run(history):
        state = reread(each.state)
        same(state, each.state)
        for other in run(history):
            same(merge(state, other.state), merge(each.state, other.state))


def same(left: DocumentState, right: DocumentState) -> None:
    assert summary(left) == summary(right)

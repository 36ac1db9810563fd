# SPDX-License-Identifier: Apache-2.0
"""
Replicas that evict documents, and write them anew or go on with what another one has.

They remember what they evicted, and except it from the versions of what they write; so all come to
the same in any order, and no merge ever drops what one side had evicted.
"""

from __future__ import annotations

from contextlib import suppress
from itertools import permutations

from attrs import define, field
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_twisted.documents.deltas import DeltaGap, apply_delta, delta
from edge_twisted.documents.operations import Increment, Operation
from edge_twisted.documents.state import DocumentState, forgets, merge
from edge_twisted.documents.values import Value
from edge_twisted.documents.version_exceptions import except_evicted
from edge_twisted.documents.versions import NO_VERSION, Dot, VersionVector
from tests.laws.documents.replicas import Site, reread
from tests.laws.documents.test_convergence import same
from tests.laws.documents.test_forgetting import Forgetful, is_newer, site, sites_after, steps


@define
class Evicting(Forgetful):
    """A site that evicts instead of forgetting."""

    evicted: VersionVector = field(default=NO_VERSION)

    def write_anew(self, fields: dict[str, Value], moment: int) -> None:
        self._evict()
        self.insert(fields, moment)

    def hear_anew(self, other: Site) -> None:
        self._evict()
        self.hear_whole(other)

    def insert(self, fields: dict[str, Value], moment: int) -> None:
        before = self.state
        super().insert(fields, moment)
        self._except_evicted(before)

    def apply(self, operation: Operation, moment: int) -> None:
        before = self.state
        super().apply(operation, moment)
        self._except_evicted(before)

    def delete(self, moment: int) -> None:
        before = self.state
        super().delete(moment)
        self._except_evicted(before)

    def _evict(self) -> None:
        self.evicted = self.evicted.join(self.state.version)
        self.state = DocumentState()

    def _except_evicted(self, before: DocumentState) -> None:
        own = self.replica
        self.state = except_evicted(self.state, before, own, self.evicted.seen(own))


@define
class Counting(Evicting):
    """A site that evicts, and keeps account of what it adds to the only counter."""

    added: dict[Dot, int] = field(factory=dict)

    def count(self, amount: int) -> None:
        before = self.written
        self.apply(Increment(("n",), amount), 1)
        if self.written > before:
            self.added[Dot(self.replica, self.written)] = amount


def run(history: list[tuple[object, ...]]) -> list[DocumentState]:
    return [each.state for each in sites_after(history, Evicting)]


@settings(max_examples=1000, deadline=None)
@given(steps)
def test_merge_is_a_join(history: list[tuple[object, ...]]) -> None:
    a, b, c = run(history)
    same(merge(a, b), merge(b, a))
    same(merge(a, merge(b, c)), merge(merge(a, b), c))
    same(merge(merge(a, b), a), merge(a, b))
    same(reread(merge(a, b)), merge(a, b))
    for old, new in permutations((a, b, c), 2):
        assert not forgets(old, new)
        if is_newer(new.version, old.version):
            same(merge(old, new), new)


@settings(max_examples=500, deadline=None)
@given(steps, st.permutations(list(permutations(range(3), 2))))
def test_all_end_the_same(history: list[tuple[object, ...]], order: list[tuple[int, int]]) -> None:
    sites = sites_after(history, Evicting)
    for at, other in order * 2:
        sites[at].hear_whole(sites[other])
    first, *others = [each.state for each in sites]
    for each in others:
        same(each, first)


@settings(max_examples=1000, deadline=None)
@given(steps)
def test_a_delta_does_what_the_whole_does(history: list[tuple[object, ...]]) -> None:
    for old, new, other in permutations(run(history), 3):
        for known in (old.version, other.version):
            # It may have to come whole.
            with suppress(DeltaGap):
                same(apply_delta(old, delta(new, known)), merge(old, new))


steps_of_counting = st.lists(
    st.one_of(
        st.tuples(st.just("count"), site, st.integers(1, 3)),
        st.tuples(st.just("count"), site, st.integers(1, 3)),
        st.tuples(st.just("write_anew"), site, st.just({}), st.just(1)),
        st.tuples(st.just("hear_anew"), site, site),
        st.tuples(st.just("hear_whole"), site, site),
        st.tuples(st.just("hear_whole"), site, site),
    ),
    min_size=4,
    max_size=20,
)


@settings(max_examples=1000, deadline=None)
@given(steps_of_counting, st.permutations(list(permutations(range(3), 2))))
def test_nothing_that_was_counted_and_is_somewhere_is_lost(
    history: list[tuple[object, ...]], order: list[tuple[int, int]]
) -> None:
    sites = sites_after(history, Counting)
    for at, other in order * 2:
        sites[at].hear_whole(sites[other])
    amounts = {dot: amount for each in sites for dot, amount in each.added.items()}
    for each in sites:
        shown = (each.state.fields or {}).get("n", 0)
        seen = [dot for dot in amounts if each.state.version.covers(dot)]
        assert shown == sum(amounts[dot] for dot in seen)

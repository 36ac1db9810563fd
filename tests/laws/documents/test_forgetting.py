# SPDX-License-Identifier: Apache-2.0
"""
Replicas that forget: tombstones are reaped, documents evicted, and written anew.

Three that have forgotten different things need not come to the same in any order, for a version
does not tell what was forgotten.  But two do, and a delta brings what the whole document would.

The examples are the same in every run: histories that forget are endless in their kinds, and a new
one is to be found by whoever looks for it, not by whoever changes something else.
"""

from __future__ import annotations

from contextlib import suppress
from itertools import combinations, permutations
from typing import TypeVar

from hypothesis import given, settings
from hypothesis import strategies as st

from edge_twisted.documents.deltas import DeltaGap, apply_delta, delta
from edge_twisted.documents.operations import Increment, Operation, Restart, Set, Unset
from edge_twisted.documents.state import DocumentState, forgets, merge
from edge_twisted.documents.values import Value
from edge_twisted.documents.versions import VersionVector
from tests.laws.documents.replicas import Site, reread
from tests.laws.documents.test_convergence import moment, same

# Few names, so that lives meet in the same slots.
values = st.sampled_from([1, {"p": 1}])
fields = st.dictionaries(st.sampled_from("ab"), values, max_size=2)
paths = st.sampled_from([("a",), ("b",), ("a", "p"), ("n",)])
operations = st.one_of(
    st.builds(Set, paths, values),
    st.builds(Unset, paths),
    st.builds(Increment, st.just(("n",)), st.integers(1, 3)),
    st.builds(Restart, st.just(("n",)), st.integers(1, 3)),
)
site = st.integers(0, 2)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("apply"), site, operations, moment),
        st.tuples(st.just("apply"), site, operations, moment),
        st.tuples(st.just("delete"), site, moment),
        st.tuples(st.just("write_anew"), site, fields, moment),
        st.tuples(st.just("hear_anew"), site, site),
        st.tuples(st.just("hear_whole"), site, site),
        st.tuples(st.just("hear_whole"), site, site),
    ),
    min_size=4,
    max_size=20,
)


class Forgetful(Site):
    """A site that may lose what it has, and goes on counting its writes."""

    def write_anew(self, fields: dict[str, Value], moment: int) -> None:
        self.state = DocumentState()
        self.insert(fields, moment)

    def hear_anew(self, other: Site) -> None:
        self.state = DocumentState()
        self.hear_whole(other)


def run(history: list[tuple[object, ...]]) -> list[DocumentState]:
    """Return the states of three sites that began with the same document."""
    return [each.state for each in sites_after(history, Forgetful)]


F = TypeVar("F", bound=Forgetful)


def sites_after(
    history: list[tuple[object, ...]], kind: type[F], states: list[DocumentState] | None = None
) -> list[F]:
    """Return three sites after a history; `states` gets what each had after each of its steps."""
    sites = [kind(number) for number in range(3)]
    sites[0].insert({"a": 1, "b": {"p": 1}}, 1)
    for each in sites[1:]:
        each.hear_whole(sites[0])
    for name, at, *rest in history:
        assert isinstance(at, int)
        if str(name).startswith("hear"):
            (other,) = rest
            assert isinstance(other, int)
            rest = [sites[other]]
        getattr(sites[at], str(name))(*rest)
        if states is not None:
            states.append(sites[at].state)
    return sites


def is_newer(one: VersionVector, other: VersionVector) -> bool:
    return one != other and one.includes(other)


@settings(max_examples=500, deadline=None, derandomize=True)
@given(steps)
def test_two_come_to_the_same(history: list[tuple[object, ...]]) -> None:
    for a, b in combinations(run(history), 2):
        if a.version == b.version:
            continue
        both = merge(a, b)
        same(merge(b, a), both)
        same(reread(both), both)
        for each in (a, b):
            if each.version != both.version:
                same(merge(each, both), both)
                same(merge(both, each), both)


@settings(max_examples=500, deadline=None, derandomize=True)
@given(steps)
def test_the_newer_is_taken_as_it_is(history: list[tuple[object, ...]]) -> None:
    for old, new, other in permutations(run(history), 3):
        if not is_newer(new.version, old.version):
            continue
        same(merge(old, new), new)
        for known in (old.version, other.version):
            # It may have to come whole.
            with suppress(DeltaGap):
                same(apply_delta(old, delta(new, known)), new)


@settings(max_examples=1000, deadline=None, derandomize=True)
@given(steps)
def test_a_delta_brings_what_the_whole_document_would(history: list[tuple[object, ...]]) -> None:
    """The sender may know any version that the receiver had, since when either has forgotten."""
    states: list[DocumentState] = []
    sites = sites_after(history, Telling, states)
    known = {each.version for each in states}
    for old, new in permutations([each.state for each in sites], 2):
        for version in known:
            if not old.version.includes(version):
                continue
            # It may have to come whole.
            with suppress(DeltaGap):
                told = delta(new, version)
                same(apply_delta(old, told), merge(old, new))
                assert forgets(old, told.changes, told.omitted_dots) == forgets(old, new)


#: Counting in one slot, beside another one.
counting = st.one_of(
    st.builds(Increment, st.just(("n",)), st.integers(1, 3)),
    st.builds(Restart, st.just(("n",)), st.integers(1, 3)),
)
beside = st.builds(Set, st.just(("a",)), st.just(1))
steps_of_counts = st.lists(
    st.one_of(
        st.tuples(st.just("apply"), site, st.one_of(counting, beside), moment),
        st.tuples(st.just("apply"), site, st.one_of(counting, beside), moment),
        st.tuples(st.just("write_anew"), site, st.just({}), moment),
        st.tuples(st.just("hear_anew"), site, site),
        st.tuples(st.just("hear_whole"), site, site),
        st.tuples(st.just("hear_whole"), site, site),
    ),
    min_size=5,
    max_size=12,
)


@settings(max_examples=500, deadline=None, derandomize=True)
@given(st.tuples(counting, counting, counting), steps_of_counts)
def test_a_newer_count_is_taken_as_it_is(
    first: tuple[Operation, ...], history: list[tuple[object, ...]]
) -> None:
    """All three begin with counting, and whoever has what one of them had at any time hears."""
    began: list[tuple[object, ...]] = [("apply", at, each, 1) for at, each in enumerate(first)]
    states: list[DocumentState] = []
    sites_after([*began, *history], Forgetful, states)
    for old, new in permutations(states, 2):
        if is_newer(new.version, old.version):
            with suppress(DeltaGap):
                same(apply_delta(old, delta(new, old.version)), new)


class Telling(Forgetful):
    """A site that stores merges as servers do: one that drops what was forgotten is a write."""

    def hear_whole(self, other: Site) -> None:
        mine, theirs = self.state, reread(other.state)
        super().hear_whole(other)
        if theirs.version and forgets(mine, theirs):
            merged, dot = self.state, self.stamp(0).dot
            self.state = DocumentState(merged.root, merged.life, merged.version.with_dot(dot))


@settings(max_examples=500, deadline=None, derandomize=True)
@given(steps, st.permutations(list(permutations(range(3), 2))))
def test_who_tells_of_what_was_dropped_shows_the_same(
    history: list[tuple[object, ...]], order: list[tuple[int, int]]
) -> None:
    sites = sites_after(history, Telling)
    for _ in range(6):
        for at, other in order:
            sites[at].hear_whole(sites[other])
    first, *others = [each.state for each in sites]
    for each in others:
        # In slots that both have, what is not shown may differ: nobody can tell what was superseded
        # from what was forgotten.
        assert each.version == first.version
        assert each.fields == first.fields


@settings(max_examples=200, deadline=None, derandomize=True)
@given(steps)
def test_without_forgetting_nothing_is_dropped(history: list[tuple[object, ...]]) -> None:
    kept = [step for step in history if not str(step[0]).endswith("anew")]
    for a, b in permutations(run(kept), 2):
        assert not forgets(a, b)

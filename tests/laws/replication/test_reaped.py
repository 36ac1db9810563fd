# SPDX-License-Identifier: Apache-2.0
"""Reaped deletes have a bound, and what is folded is never less than what was deleted."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from edge_twisted.documents.versions import (
    NO_VERSION,
    Replica,
    SiteId,
    VersionVector,
    encode_vector,
)
from edge_twisted.replication import reaped
from edge_twisted.replication.reaped import ReapedDelete, folded_of, note_deletes, reaped_of
from edge_twisted.store.interface import UnitOfWork
from edge_twisted.store.memory.data import Data
from edge_twisted.store.memory.store import MemoryStore
from tests.support.replica import now

REPLICAS = [Replica(SiteId(bytes([n]) * 16), 1) for n in range(3)]
vectors = st.dictionaries(st.sampled_from(REPLICAS), st.integers(1, 9), min_size=1).map(
    VersionVector
)
deletes = st.builds(
    ReapedDelete,
    st.integers(0, 11).map(lambda n: b"id%d" % n),
    vectors,
    st.booleans(),
)
steps = st.lists(st.tuples(st.lists(deletes, min_size=1, max_size=6), vectors), max_size=8)


def opened() -> MemoryStore:
    store = MemoryStore(Data(REPLICAS[0]), lambda: 1)
    store.open()
    return store


def note(store: MemoryStore, batch: list[ReapedDelete], known: VersionVector) -> None:
    def work(unit: UnitOfWork) -> None:
        note_deletes(unit, "c", batch, known)

    async def write() -> Any:
        return await store.write("note", work)

    now(write())


@given(steps=steps, bound=st.integers(0, 4))
def test_nothing_is_forgotten_that_is_not_known(
    steps: list[tuple[list[ReapedDelete], VersionVector]], bound: int
) -> None:
    store, deleted, known, own = opened(), dict[bytes, VersionVector](), NO_VERSION, 0
    with patch.object(reaped, "MOST_REAPED", bound):
        for batch, news in steps:
            known = known.join(news)
            note(store, batch, known)
            own += sum(each.is_unsynced for each in batch)
            for id_key, version, _ in batch:
                deleted[id_key] = deleted.get(id_key, NO_VERSION).join(version)
    with store.snapshot() as snapshot:
        for id_key, version in deleted.items():
            told = reaped_of(snapshot, "c", id_key).join(folded_of(snapshot, "c", id_key))
            assert known.join(told).includes(version)
        facts = snapshot.facts("reaped")
        assert len(facts) <= bound + own, "those that no peer has are beside the bound"
        counted = snapshot.fact("reaped-count", b"c\x00")
        assert reaped._decode(counted or b"\x00") == len(facts)


@given(st.lists(st.binary(min_size=1, max_size=8), max_size=40, unique=True))
def test_an_id_that_was_folded_is_always_found(id_keys: list[bytes]) -> None:
    store = opened()
    with patch.object(reaped, "MOST_REAPED", 0):
        batch = [
            ReapedDelete(id_key, VersionVector({REPLICAS[1]: n + 1}), False)
            for n, id_key in enumerate(id_keys)
        ]
        note(store, batch, NO_VERSION)
    with store.snapshot() as snapshot:
        for id_key, version, _ in batch:
            assert folded_of(snapshot, "c", id_key).includes(version)
            assert reaped_of(snapshot, "c", id_key) == NO_VERSION


def test_few_other_ids_are_taken_for_folded() -> None:
    store = opened()
    with patch.object(reaped, "MOST_REAPED", 0):
        note(
            store,
            [
                ReapedDelete(b"id%d" % n, VersionVector({REPLICAS[1]: 1}), False)
                for n in range(2000)
            ],
            NO_VERSION,
        )
    with store.snapshot() as snapshot:
        assert sum(bool(folded_of(snapshot, "c", b"no%d" % n)) for n in range(2000)) <= 2
        size = sum(len(fact) for _, fact in snapshot.facts("reaped-folded"))
    assert size < 256 * 4200


def test_facts_of_a_version_that_kept_no_count_are_counted() -> None:
    store = opened()
    vector = VersionVector({REPLICAS[1]: 5})

    def older(unit: UnitOfWork) -> None:
        for n in range(3):
            unit.put_fact("reaped", b"c\x00id%d" % n, encode_vector(vector))

    async def write() -> Any:
        return await store.write("older", older)

    now(write())
    with patch.object(reaped, "MOST_REAPED", 4):
        note(store, [ReapedDelete(b"x%d" % n, vector, False) for n in range(3)], NO_VERSION)
    with store.snapshot() as snapshot:
        assert len(snapshot.facts("reaped")) == 4

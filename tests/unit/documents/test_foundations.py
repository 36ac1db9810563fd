# SPDX-License-Identifier: Apache-2.0
"""Ids, the clock, and version vectors."""

from __future__ import annotations

from typing import Any

import pytest

from edge_twisted.documents.clock import (
    MAX_AHEAD_MS,
    MAX_DECLARED_AHEAD_MS,
    ClockSkew,
    HybridClock,
    Timestamp,
    ahead_ms,
    milliseconds,
    timestamp,
)
from edge_twisted.documents.ids import DocumentId, InvalidDocumentId
from edge_twisted.documents.values import MISSING, Operand
from edge_twisted.documents.versions import Dot, Replica, SiteId, VersionVector

ALICE = Replica(SiteId(b"a" * 16), 0)
BOB = Replica(SiteId(b"b" * 16), 2)


@pytest.mark.parametrize(
    "value", ["", "a", 0, -(2**63), True, [], [1, "a", [None]], {}, {"b": 1, "a": {"c": False}}]
)
def test_ids(value: Any) -> None:
    assert DocumentId.of(value).value == value


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "Null document ID not allowed"),
        (1.5, "Floats are not supported in document IDs"),
        (1.0, "Floats are not supported in document IDs"),
        ({"a": [{"b": 1.0}]}, "Floats are not supported in document IDs"),
        (b"a", "Document IDs cannot be binary values"),
        ([b"a"], "Binary values are not supported in document IDs"),
        (MISSING, "Document IDs cannot be missing values"),
    ],
)
def test_what_is_no_id(value: Operand, message: str) -> None:
    with pytest.raises(InvalidDocumentId, match=f"^{message}$"):
        DocumentId.of(value)


def test_equal_ids() -> None:
    assert DocumentId.of({"a": 1, "b": 2}) == DocumentId.of({"b": 2, "a": 1})
    different: list[Operand] = [1, True, "1", [1], {"1": 1}]
    assert len({DocumentId.of(value) for value in different}) == 5


def test_the_clock_follows_and_never_goes_back() -> None:
    clock = HybridClock()
    first = clock.tick(1000)
    assert milliseconds(first) == 1000
    assert clock.tick(1000) == first + 1
    assert clock.tick(500) == first + 2
    assert milliseconds(clock.tick(2000)) == 2000


def test_a_full_counter_runs_over() -> None:
    clock = HybridClock(timestamp(1000, 0xFFFF))
    assert clock.tick(1000) == timestamp(1001, 0)


def test_what_was_seen_is_passed() -> None:
    clock = HybridClock()
    clock.see(timestamp(1000 + MAX_AHEAD_MS, 7), now_ms=1000)
    assert clock.tick(1000) == timestamp(1000 + MAX_AHEAD_MS, 8)


def test_too_far_ahead_is_not_believed() -> None:
    clock = HybridClock(Timestamp(5))
    with pytest.raises(ClockSkew, match="601 s ahead"):
        clock.see(timestamp(1000 + MAX_AHEAD_MS + 1000), now_ms=1000)
    assert clock.last == 5


def test_what_was_declared_is_believed_up_to_a_bound() -> None:
    clock = HybridClock(Timestamp(5))
    far = timestamp(1000 + MAX_DECLARED_AHEAD_MS, 0xFFFF)
    with pytest.raises(ClockSkew, match=r"s ahead of this clock$"):
        clock.see(far, now_ms=1000, declared=Timestamp(far - 1))
    clock.see(far, now_ms=1000, declared=far)
    assert clock.last == far
    assert clock.tick(1000) == timestamp(1001 + MAX_DECLARED_AHEAD_MS, 0), "it carries"
    beyond = timestamp(1002 + MAX_DECLARED_AHEAD_MS)
    with pytest.raises(ClockSkew, match="no more than 366 days are taken"):
        clock.see(beyond, now_ms=1000, declared=beyond)


def test_what_was_passed_is_believed_of_anybody() -> None:
    clock = HybridClock(timestamp(10 * MAX_AHEAD_MS))
    clock.see(timestamp(9 * MAX_AHEAD_MS), now_ms=1000)
    assert clock.last == timestamp(10 * MAX_AHEAD_MS)
    assert ahead_ms(clock.last, 1000) == 10 * MAX_AHEAD_MS - 1000
    assert ahead_ms(clock.last, 10 * MAX_AHEAD_MS + 1) == 0


def test_version_vectors() -> None:
    one = VersionVector({ALICE: 3})
    other = VersionVector({ALICE: 1, BOB: 4})
    both = one.join(other)
    assert both == VersionVector({ALICE: 3, BOB: 4})
    assert both == other.join(one)
    assert both.includes(one) and both.includes(other)
    assert not one.includes(other) and not other.includes(one)
    assert one.covers(Dot(ALICE, 3)) and not one.covers(Dot(ALICE, 4))
    assert not one.covers(Dot(BOB, 1))
    assert one.with_dot(Dot(BOB, 4)) == VersionVector({ALICE: 3, BOB: 4})
    assert one.with_dot(Dot(ALICE, 2)) is one
    assert hash(both) == hash(VersionVector({BOB: 4, ALICE: 3}))

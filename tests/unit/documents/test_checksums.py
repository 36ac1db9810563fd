# SPDX-License-Identifier: Apache-2.0
"""Checksums of what stands where: as documented, and nothing that is exchanged cancels out."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations
from zlib import crc32

import pytest

from edge_twisted.documents.checksums import PRIME, checksum
from edge_twisted.documents.clock import Timestamp
from edge_twisted.documents.counters import CounterState, Share
from edge_twisted.documents.entries import Entry, Stamp
from edge_twisted.documents.nodes import EMPTY, PathNode, Variant
from edge_twisted.documents.slot_records import Slot, with_slots
from edge_twisted.documents.versions import Dot, Replica, SiteId

ONE, OTHER = (Replica(SiteId(bytes([n]) * 16), 1) for n in (1, 2))


def entries(*writes: tuple[Replica, int]) -> tuple[Entry, ...]:
    return tuple(Entry(Stamp(Timestamp(1), by, sequence), True) for by, sequence in writes)


def of(slots: Iterable[tuple[str, int]], variant: Variant = Variant.REGISTER) -> PathNode:
    """Return a document of paths, written with dots, with a write of ONE in each."""
    held = [(path.split("."), entries((ONE, sequence))) for path, sequence in slots]
    return with_slots(EMPTY, [(tuple(path), variant, each, None) for path, each in held])


def slot(
    path: str, variant: Variant, held: tuple[Entry, ...], counter: CounterState | None = None
) -> Slot:
    return tuple(path.split(".")) if path else (), variant, held, counter


def cube(number: int) -> int:
    return pow(number, 3, PRIME)


def by(replica: Replica, sequence: int) -> int:
    return cube(crc32(replica.site + replica.epoch.to_bytes(8, "big")) + sequence)


def test_it_is_what_the_page_says() -> None:
    counter = CounterState(
        Stamp(Timestamp(1), OTHER, 3), 0, {Dot(ONE, 0): Share(8, 2), Dot(OTHER, 0): Share(9, 2)}
    )
    root = with_slots(
        EMPTY,
        [
            slot("", Variant.MAP, entries((ONE, 4))),
            slot("é.b", Variant.REGISTER, entries((ONE, 5), (OTHER, 2**60))),
            slot("é.b", Variant.PN_COUNTER, entries((OTHER, 9)), counter),
        ],
    )
    kind = 2_654_435_769
    place = cube(cube(1 + crc32("é".encode()) + 1) + crc32(b"b") + 1)
    terms = [
        kind * by(ONE, 4),
        place * (by(ONE, 5) + by(OTHER, 2**60)),
        place * kind**4 * by(OTHER, 9),
        place * kind**9 * by(OTHER, 3),
        place * kind**14 * (by(ONE, 8) + by(OTHER, 9)),
    ]
    assert checksum(root) == sum(terms) % (2**32 - 5)
    assert checksum(EMPTY) == 0


@pytest.mark.parametrize(
    "exchanged",
    [
        [of({("a", 5), ("b", 8)}), of({("a", 8), ("b", 5)}), of({("a", 6), ("b", 7)})],
        [of({("a.x", 5), ("b.y", 5)}), of({("a.y", 5), ("b.x", 5)})],
        [of({("a.b", 5)}), of({("b.a", 5)}), of({("ab", 5)}), of({("a", 5)})],
        [of({("", 5)}), of({("a.", 5)}), of({(".a", 5)}), of({("a", 5)}), of({(".", 5)})],
        [of({("a", 5)}, variant) for variant in Variant],
    ],
    ids=["sequences", "names", "levels", "empty names", "variants"],
)
def test_what_is_exchanged_does_not_cancel_out(exchanged: list[PathNode]) -> None:
    assert all(checksum(one) != checksum(two) for one, two in combinations(exchanged, 2))


def test_counts_differ_by_each_of_their_writes() -> None:
    began, later = (Stamp(Timestamp(1), ONE, sequence) for sequence in (5, 6))
    counter = [
        CounterState(),
        CounterState(began),
        CounterState(later),
        CounterState(None, 0, {Dot(ONE, 0): Share(5, 1)}),
        CounterState(None, 0, {Dot(OTHER, 0): Share(5, 1)}),
        CounterState(began, 0, {Dot(ONE, 0): Share(6, 1)}),
        CounterState(later, 0, {Dot(ONE, 0): Share(5, 1)}),
        CounterState(None, 0, {Dot(ONE, 0): Share(4, 1), Dot(OTHER, 0): Share(6, 1)}),
        CounterState(None, 0, {Dot(ONE, 0): Share(5, 1), Dot(OTHER, 0): Share(5, 1)}),
        CounterState(None, 0, {Dot(ONE, 0): Share(6, 1), Dot(OTHER, 0): Share(4, 1)}),
    ]
    found = {
        checksum(with_slots(EMPTY, [slot("n", variant, entries((ONE, 9)), counter)]))
        for counter in counter
        for variant in (Variant.COUNTER, Variant.PN_COUNTER)
    }
    assert len(found) == 2 * len(counter)


def test_parts_add_up_in_any_order() -> None:
    slots = [(f"m{n % 3}.f{n}", n % 4 + 1) for n in range(12)]
    total = checksum(of(slots))
    assert total == checksum(of(reversed(slots)))
    assert total == (checksum(of(slots[:5])) + checksum(of(slots[5:]))) % PRIME
    assert 0 < total < PRIME

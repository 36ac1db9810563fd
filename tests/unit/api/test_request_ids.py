# SPDX-License-Identifier: Apache-2.0
"""Ids of requests: all different, of one form, and without a number in them."""

from __future__ import annotations

import re
from itertools import count, islice, pairwise

from edge_twisted.api.request_ids import BATCH, ID_BYTES, request_ids


def test_they_are_all_different_and_of_one_form() -> None:
    new_id = request_ids()
    made = [new_id() for _ in range(BATCH * 4 + 3)]
    assert len(set(made)) == len(made)
    assert all(re.fullmatch("[0-9a-f]{24}", each) for each in made)


def test_they_are_what_the_entropy_is_and_nothing_else() -> None:
    numbers = count()

    def entropy(size: int) -> bytes:
        return b"".join(next(numbers).to_bytes(ID_BYTES) for _ in range(size // ID_BYTES))

    new_id = request_ids(entropy)
    for number in islice(count(), BATCH * 2 + 1):
        assert new_id() == number.to_bytes(ID_BYTES).hex()


def test_they_do_not_count() -> None:
    """No two neighbours begin or end alike, as those of a counter do."""
    new_id = request_ids()
    made = [new_id() for _ in range(1000)]
    neighbours = list(pairwise(made))
    assert not any(a[:12] == b[:12] for a, b in neighbours)
    assert sum(int(b, 16) - int(a, 16) == 1 for a, b in neighbours) == 0
    assert 400 < sum(a < b for a, b in neighbours) < 600

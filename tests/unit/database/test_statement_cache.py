# SPDX-License-Identifier: Apache-2.0
"""What is kept of statements is bounded in bytes, however many may be kept."""

from __future__ import annotations

from edge_twisted.database import statement_cache
from edge_twisted.database.statement_cache import KEPT_TEXT_TOTAL, StatementCache


def long_text(number: int, length: int = 8_000) -> str:
    return f"SELECT * FROM t WHERE n = {number} AND x = '" + "x" * (length - 50) + "'"


def kept_length(kept: StatementCache) -> int:
    return sum(len(str(row["text"])) for row in kept.rows())


def test_generated_texts_do_not_fill_memory() -> None:
    kept = StatementCache(lambda: 100_000, lambda: 0.0)
    for number in range(3 * KEPT_TEXT_TOTAL // 8_000):
        kept.prepare(long_text(number))
        assert kept_length(kept) <= KEPT_TEXT_TOTAL
    assert kept_length(kept) > KEPT_TEXT_TOTAL // 2, "most of the room is used"
    assert kept.is_known(long_text(number)), "the newest stays"
    assert not kept.is_known(long_text(0)), "the oldest has gone"


def test_a_text_in_use_outlives_generated_ones() -> None:
    kept = StatementCache(lambda: 100_000, lambda: 0.0)
    used = kept.prepare("SELECT * FROM t WHERE _id = :id")
    for number in range(3 * KEPT_TEXT_TOTAL // 8_000):
        kept.prepare(long_text(number))
        assert kept.prepare("SELECT * FROM t WHERE _id = :id") is used


def test_the_count_does_not_drift() -> None:
    """Neither what the other bound threw out, nor what is asked for again, is counted for ever."""
    kept = StatementCache(lambda: 3, lambda: 0.0)
    for number in range(4 * KEPT_TEXT_TOTAL // 8_000):
        kept.prepare(long_text(number % 7))
    assert len(kept) == 3
    assert kept._length <= KEPT_TEXT_TOTAL
    assert statement_cache.CACHED_TEXT_LIMIT < KEPT_TEXT_TOTAL // 4, (
        "one text is never alone too long"
    )

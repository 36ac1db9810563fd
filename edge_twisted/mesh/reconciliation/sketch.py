# SPDX-License-Identifier: Apache-2.0
"""A sketch: one peer's set of digests, ready to be summed up in cells."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Generator, Iterable, Sequence
from typing import Final, TypeVar

from edge_twisted.mesh.reconciliation.cells import (
    SUM_MASK,
    TOKEN_BITS,
    TokenPermutation,
    entries,
)
from edge_twisted.mesh.reconciliation.wire import SUMMARY_LEVEL, Fingerprint, Summary

#: Tokens are sorted into 2^8 buckets by so many of their first bits.
_BUCKET_LEVEL: Final = 8
T = TypeVar("T")


class SketchBuilder:
    """Takes digests some at a time, so that the reactor can serve others in between."""

    def __init__(self, salt: bytes) -> None:
        self._permutation = TokenPermutation(salt)
        self._buckets = tuple(array("Q") for _ in range(1 << _BUCKET_LEVEL))

    def add(self, digests: Iterable[int]) -> None:
        """Add digests; hundreds to thousands at a time are fastest."""
        append = tuple(bucket.append for bucket in self._buckets)
        shift = TOKEN_BITS - _BUCKET_LEVEL
        for token in self._permutation.tokens(digests):
            append[token >> shift](token)

    def finish_in_steps(self) -> Generator[None, None, Sketch]:
        """Return the sketch; yield between steps of work.  The builder is used up."""
        sums = [0] * (1 << SUMMARY_LEVEL)
        count = 0
        for number, bucket in enumerate(self._buckets):
            bucket[:] = array("Q", sorted(set(bucket)))
            count += len(bucket)
            sums[number >> _BUCKET_LEVEL - SUMMARY_LEVEL] += sum(entries(bucket))
            yield
        summary = Summary(count, tuple(total & SUM_MASK for total in sums))
        return Sketch(self._permutation, self._buckets, summary)

    def finish(self) -> Sketch:
        """Return the sketch at once."""
        return run(self.finish_in_steps())


class Sketch:
    """
    An immutable set of digests under one salt, 8 bytes each; duplicates count once.

    `CellSource` computes cells from a sketch, and `Peeler` peels another peer's cells with it.
    Make one with `of`, or with a `SketchBuilder` where the reactor must not wait.
    """

    def __init__(
        self, permutation: TokenPermutation, buckets: Sequence[array[int]], summary: Summary
    ) -> None:
        self.permutation = permutation
        self.summary = summary
        self._buckets = buckets

    @classmethod
    def of(cls, digests: Iterable[int], salt: bytes) -> Sketch:
        """Return the sketch of a set of 64-bit integers, at once.

        `salt` is 16 bytes, the same on both sides.
        """
        builder = SketchBuilder(salt)
        builder.add(digests)
        return builder.finish()

    @property
    def fingerprint(self) -> Fingerprint:
        """The size and sum of the set, which tell whether two sets are equal."""
        return self.summary.fingerprint

    def has(self, token: int) -> bool:
        """Return whether the set has the digest of this token."""
        bucket = self._buckets[token >> TOKEN_BITS - _BUCKET_LEVEL]
        at = bisect_left(bucket, token)
        return at < len(bucket) and bucket[at] == token

    def tokens(self, level: int, part: int) -> array[int]:
        """Return the tokens of part number `part` of 2^`level` parts, ascending.

        The highest `level` bits of a token are the number of its part.
        """
        if level > _BUCKET_LEVEL:
            bucket = self._buckets[part >> level - _BUCKET_LEVEL]
            shift = TOKEN_BITS - level
            return bucket[
                bisect_left(bucket, part << shift) : bisect_left(bucket, part + 1 << shift)
            ]
        outer = _BUCKET_LEVEL - level
        together = array("Q")
        for bucket in self._buckets[part << outer : part + 1 << outer]:
            together += bucket
        return together


def run(steps: Generator[None, None, T]) -> T:
    """Run all steps at once; return what the generator returns."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: T = end.value
            return result

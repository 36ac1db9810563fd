# SPDX-License-Identifier: Apache-2.0
"""One peer's set, ready to be summed up in cells."""

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

#: Tokens are kept apart by so many of their first bits.
_BUCKET_LEVEL: Final = 8
T = TypeVar("T")


class SketchBuilder:
    """Takes digests a batch at a time, so that whoever reads them does other things between."""

    def __init__(self, salt: bytes) -> None:
        self._mixing = TokenPermutation(salt)
        self._buckets = tuple(array("Q") for _ in range(1 << _BUCKET_LEVEL))

    def add(self, digests: Iterable[int]) -> None:
        """Take some digests; hundreds to thousands at a time are best."""
        append = tuple(bucket.append for bucket in self._buckets)
        shift = TOKEN_BITS - _BUCKET_LEVEL
        for token in self._mixing.tokens(digests):
            append[token >> shift](token)

    def finishing(self) -> Generator[None, None, Sketch]:
        """Yield between steps; return the sketch.  The builder is used up."""
        sums = [0] * (1 << SUMMARY_LEVEL)
        count = 0
        for number, bucket in enumerate(self._buckets):
            bucket[:] = array("Q", sorted(set(bucket)))
            count += len(bucket)
            sums[number >> _BUCKET_LEVEL - SUMMARY_LEVEL] += sum(entries(bucket))
            yield
        summary = Summary(count, tuple(total & SUM_MASK for total in sums))
        return Sketch(self._mixing, self._buckets, summary)

    def finish(self) -> Sketch:
        """Return the sketch at once."""
        return run(self.finishing())


class Sketch:
    """
    A set of digests under one salt; 8 bytes each, and nothing changes it.

    Duplicates count once.  It serves as the source of cells and to peel another's cells; make it
    with `of`, or with a `SketchBuilder` where the reactor must not wait.
    """

    def __init__(
        self, mixing: TokenPermutation, buckets: Sequence[array[int]], summary: Summary
    ) -> None:
        self.mixing = mixing
        self.summary = summary
        self._buckets = buckets

    @classmethod
    def of(cls, digests: Iterable[int], salt: bytes) -> Sketch:
        """Sketch a set of 64-bit integers; `salt` is 16 bytes, the same on both sides."""
        builder = SketchBuilder(salt)
        builder.add(digests)
        return builder.finish()

    @property
    def fingerprint(self) -> Fingerprint:
        """What tells equal sets without any cell."""
        return self.summary.fingerprint

    def has(self, token: int) -> bool:
        """Answer whether a token is in the set."""
        bucket = self._buckets[token >> TOKEN_BITS - _BUCKET_LEVEL]
        at = bisect_left(bucket, token)
        return at < len(bucket) and bucket[at] == token

    def tokens(self, level: int, part: int) -> array[int]:
        """Return the tokens of one of 2^`level` parts, ascending."""
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
    """Go through all steps at once; return what they come to."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: T = end.value
            return result

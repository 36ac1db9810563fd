# SPDX-License-Identifier: Apache-2.0
"""The side that finds the difference: which cells to ask for next, and when it is complete."""

from __future__ import annotations

from collections.abc import Generator
from statistics import fmean
from typing import Final

from attrs import frozen

from edge_twisted.mesh.reconciliation.cells import (
    CELL_BYTES,
    CELL_MASK,
    COUNT_SHIFT,
    SUM_MASK,
    TOKEN_MASK,
)
from edge_twisted.mesh.reconciliation.errors import MalformedReconciliation
from edge_twisted.mesh.reconciliation.part_peeler import PartPeeler
from edge_twisted.mesh.reconciliation.patterns import MOST_CELLS
from edge_twisted.mesh.reconciliation.rows import CellRows
from edge_twisted.mesh.reconciliation.sketch import Sketch, run
from edge_twisted.mesh.reconciliation.source import MOST_REQUESTS
from edge_twisted.mesh.reconciliation.wire import (
    MOST_LEVEL,
    SUMMARY_LEVEL,
    CellRequest,
    Summary,
)

#: Most differences in a part, by the guess: fewer cost more bytes each, more cost more time.
_PART_DIFFERENCES: Final = 40
#: Bytes that one difference costs in total, measured for parts of 10 to 40 differences.
_DIFFERENCE_BYTES: Final = 23
#: Bytes of a digest in a plain list of all digests: reconciling may not cost more than the list.
_LISTED_BYTES: Final = 8
#: Reconciling may always cost so many bytes, however small the sets are.
_SMALL_BYTES: Final = 8192
#: Mean square of an entry as a share of the count's unit: (1 + u)^2 for a uniform check u.
_ENTRY_SQUARE: Final = 7 / 3


@frozen
class Decoded:
    """The difference, as signed digests, ascending."""

    only_here: tuple[int, ...]
    only_there: tuple[int, ...]


@frozen
class NeedMore:
    """Send this request, and feed the answer to the peeler."""

    request: CellRequest


@frozen
class TooDifferent:
    """The sets differ by so much that sending everything is cheaper."""


Verdict = Decoded | NeedMore | TooDifferent


class Peeler:
    """
    Finds what only one of two peers has: from the own sketch, the peer's summary, then its cells.

    `verdict` is the difference, or what to do next.  All bytes from the peer can be wrong; memory,
    work and the number of requests are bounded by the size of the sets.
    """

    def __init__(self, sketch: Sketch, summary: Summary) -> None:
        self._sketch = sketch
        self._theirs = summary
        self._level = SUMMARY_LEVEL
        self._cells = 1
        self._requests = 0
        self._parts: dict[int, PartPeeler] = {}
        self._rows = CellRows(sketch, SUMMARY_LEVEL)
        self._found: dict[int, int] = {}
        listed = _LISTED_BYTES * max(summary.count, sketch.summary.count)
        self._budget = max(listed, _SMALL_BYTES)
        self._verdict = self._begin()
        self._pending = bytearray()

    @property
    def verdict(self) -> Verdict:
        """The difference, or what to do next."""
        return self._verdict

    def feed(self, data: bytes) -> Verdict:
        """Take a piece of the answer to the last request, of any length; see `feed_in_steps`."""
        run(self.feed_in_steps(data))
        return self._verdict

    def feed_in_steps(self, data: bytes) -> Generator[None, None, None]:
        """Take a piece of the answer to the last request; yield between steps of work.

        `verdict` has the outcome once a whole answer was taken.

        :raises MalformedReconciliation: nothing was asked for, it is too much, or contradictory:
            end the link.
        """
        if not isinstance(self._verdict, NeedMore):
            raise MalformedReconciliation("cells", "that nobody asked for")
        request = self._verdict.request
        self._pending += data
        if len(self._pending) > request.answer_bytes:
            raise MalformedReconciliation("cells", "more than asked for")
        if len(self._pending) == request.answer_bytes:
            answer, self._pending = bytes(self._pending), bytearray()
            yield from self._digest_in_steps(request, answer)

    # -- the plan

    def _begin(self) -> Verdict:
        ours, theirs = self._sketch.summary, self._theirs
        least = abs(ours.count - theirs.count)
        if least * _DIFFERENCE_BYTES > self._budget:
            return TooDifferent()
        for part, (their, our) in enumerate(zip(theirs.sums, ours.sums, strict=True)):
            peeler = self._parts[part] = PartPeeler(self._level, part)
            peeler.feed((their & CELL_MASK,), (our & CELL_MASK,), self._sketch.has)
        guess = max(least, self._guess_differences())
        if guess > _PART_DIFFERENCES << SUMMARY_LEVEL:
            return self._begin_deeper(guess)
        return self._next(max(2, round(guess / len(self._parts))))

    def _guess_differences(self) -> int:
        """
        Return a guess of how many differences there are; for 16 parts, right within a third.

        Differences fall into parts at random, so their number follows from the variance of the
        differences between the parts' sums.
        """
        pairs = zip(self._theirs.sums, self._sketch.summary.sums, strict=True)
        off = [_signed(their - our) / (1 << COUNT_SHIFT) for their, our in pairs]
        mean = fmean(off)
        return round(sum((one - mean) ** 2 for one in off) * 16 / 15 / _ENTRY_SQUARE)

    def _begin_deeper(self, guess: int) -> Verdict:
        """Begin again with more parts, so that each has few differences."""
        level = SUMMARY_LEVEL
        while guess > _PART_DIFFERENCES << level:
            level += 1
        if level > MOST_LEVEL or guess * _DIFFERENCE_BYTES > self._budget:
            return TooDifferent()
        self._level, self._cells = level, 0
        self._rows = CellRows(self._sketch, level)
        self._parts = {part: PartPeeler(level, part) for part in range(1 << level)}
        return self._next(max(2, guess * 3 >> level + 2))

    def _next(self, more: int) -> Verdict:
        """Drop finished parts; ask for `more` cells of the others, or end."""
        for part in [
            part for part, peeler in self._parts.items() if self._cells and peeler.is_done
        ]:
            self._found.update(self._parts.pop(part).found)
        if not self._parts:
            return self._finish()
        stop = min(self._cells + more, MOST_CELLS)
        request = CellRequest(
            level=self._level, start=self._cells, stop=stop, parts=tuple(self._parts)
        )
        self._budget -= request.answer_bytes
        self._requests += 1
        if stop == self._cells or self._budget < 0 or self._requests > MOST_REQUESTS:
            return TooDifferent()
        return NeedMore(request)

    def _growth(self) -> int:
        """Return how many cells to ask for; few while many parts wait, for all parts get them."""
        share = 5 if len(self._parts) > 1 << self._level - 3 else 2
        return max(2, self._cells // share)

    # -- cells

    def _digest_in_steps(self, request: CellRequest, answer: bytes) -> Generator[None, None, None]:
        at = 0
        for step in self._rows.take_in_steps(request.parts, request.start, request.stop):
            if step is not None:
                part, ours = step
                theirs = [
                    int.from_bytes(answer[at + offset : at + offset + CELL_BYTES], "little")
                    for offset in range(0, len(ours) * CELL_BYTES, CELL_BYTES)
                ]
                at += len(ours) * CELL_BYTES
                self._parts[part].feed(theirs, ours, self._sketch.has)
            yield
        self._cells = request.stop
        self._verdict = self._next(self._growth())

    def _finish(self) -> Verdict:
        found = self._found
        ours = self._sketch.fingerprint
        total = (ours.total + sum(sign * entry for entry, sign in found.items())) & SUM_MASK
        count = ours.count + sum(found.values())
        theirs = self._theirs.fingerprint
        if (count, total) != (theirs.count, theirs.total):
            raise MalformedReconciliation("cells", "that do not come to the summary")
        digest = self._sketch.permutation.digest
        return Decoded(
            only_here=tuple(
                sorted(digest(e & TOKEN_MASK) for e, sign in found.items() if sign < 0)
            ),
            only_there=tuple(
                sorted(digest(e & TOKEN_MASK) for e, sign in found.items() if sign > 0)
            ),
        )


def _signed(total: int) -> int:
    total &= SUM_MASK
    return total - (SUM_MASK + 1 if total >> 127 else 0)

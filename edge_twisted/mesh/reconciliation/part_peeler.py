# SPDX-License-Identifier: Apache-2.0
"""The peeler of one part: finds the entries that the cells of the difference sum up."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from edge_twisted.mesh.reconciliation.cells import CELL_MASK, TOKEN_BITS, TOKEN_MASK, single
from edge_twisted.mesh.reconciliation.errors import MalformedReconciliation
from edge_twisted.mesh.reconciliation.patterns import cells_of


class PartPeeler:
    """
    The cells of one part: the peer's less the own, less the entries that were found.

    A part gives at most as many entries as it has cells, which bounds the work for any input.
    """

    __slots__ = ("_cells", "_level", "_part", "found")

    def __init__(self, level: int, part: int) -> None:
        self._level = level
        self._part = part
        self._cells: list[int] = []
        #: Entry -> +1 if only the peer has it, -1 if only this side has.
        self.found: dict[int, int] = {}

    @property
    def is_done(self) -> bool:
        """Whether every entry was found, so that all cells are 0."""
        return not any(self._cells)

    def feed(self, theirs: Sequence[int], ours: Sequence[int], has: Callable[[int], bool]) -> None:
        """Take further cells of both sides and find the entries that they reveal.

        :param theirs: the peer's cells, which follow those of the last call.
        :param ours: this side's cells of the same numbers.
        :param has: returns whether this side has a token.
        :raises MalformedReconciliation: the peer's cells contradict each other; end the link.
        """
        start = len(self._cells)
        self._cells += [(their - our) & CELL_MASK for their, our in zip(theirs, ours, strict=True)]
        stop = len(self._cells)
        for entry, sign in self.found.items():
            self._take(entry, sign, start)
        waiting = list(range(start, stop))
        while waiting:
            cell = waiting.pop()
            if (only := single(self._cells[cell])) is None:
                continue
            entry, sign = only
            if self._is_wrong(entry, sign, cell, has):
                continue
            if entry in self.found or len(self.found) >= stop:
                raise MalformedReconciliation("cells", "that contradict each other")
            self.found[entry] = sign
            waiting += self._take(entry, sign, 0)

    def _is_wrong(self, entry: int, sign: int, cell: int, has: Callable[[int], bool]) -> bool:
        """Return whether a sum of several entries only looks like this one entry."""
        token = entry & TOKEN_MASK
        return (
            token >> TOKEN_BITS - self._level != self._part
            or cell not in cells_of(entry, cell, cell + 1)
            or has(token) != (sign < 0)
        )

    def _take(self, entry: int, sign: int, start: int) -> list[int]:
        """Subtract an entry from its cells from `start` on; return these cells."""
        touched = list(cells_of(entry, start, len(self._cells)))
        for cell in touched:
            self._cells[cell] = (self._cells[cell] - sign * entry) & CELL_MASK
        return touched

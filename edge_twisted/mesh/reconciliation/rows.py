# SPDX-License-Identifier: Apache-2.0
"""The cells of a sketch, part by part; each pass over a part computes some cells ahead."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence

from edge_twisted.mesh.reconciliation.cells import CELL_MASK, entries
from edge_twisted.mesh.reconciliation.patterns import SEED_MASK, edge, segments
from edge_twisted.mesh.reconciliation.sketch import Sketch

#: Tokens that are added in one step, which takes about 2 ms.
_STEP = 2048


class CellRows:
    """Computes the cells that are asked for: ever longer rows, of ever fewer parts."""

    def __init__(self, sketch: Sketch, level: int) -> None:
        self._sketch = sketch
        self._level = level
        #: Part -> cells that were computed ahead and not taken yet.
        self._ahead: dict[int, list[int]] = {}

    def take_in_steps(
        self, parts: Sequence[int], start: int, stop: int
    ) -> Iterator[tuple[int, list[int]] | None]:
        """
        Yield (part, its cells from `start` to before `stop`) for each of `parts`.

        Yield None between steps of work.  `start` is the `stop` of the last call (at first, 0 or
        1), and `parts` are among the parts of the last call.
        """
        kept = {part: self._ahead.get(part, []) for part in parts}
        self._ahead = kept
        for part in parts:
            row = kept[part]
            if start + len(row) < stop:
                row += yield from self._compute_in_steps(part, start + len(row), edge(stop))
            kept[part] = row[stop - start :]
            yield part, row[: stop - start]

    def _compute_in_steps(
        self, part: int, start: int, stop: int
    ) -> Generator[None, None, list[int]]:
        cells = [0] * stop
        tokens = self._sketch.tokens(self._level, part)
        tables = segments(start, stop)
        for begin in range(0, len(tokens), _STEP):
            some = entries(tokens[begin : begin + _STEP])
            if start == 0:
                cells[0] += sum(some)
            for shift, patterns in tables:
                for entry in some:
                    for cell in patterns[entry >> shift & SEED_MASK]:
                        cells[cell] += entry
            yield
        return [cell & CELL_MASK for cell in cells[start:]]

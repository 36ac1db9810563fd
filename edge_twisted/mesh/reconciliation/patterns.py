# SPDX-License-Identifier: Apache-2.0
"""
Patterns: which cells an entry is in.

Every entry is in cell 0, and independently in each cell `i` with probability 2/(i+2).  The
cells are cut into blocks; 12 bits of the token choose one of 4096 fixed patterns for each block.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from hashlib import shake_256
from itertools import pairwise
from struct import unpack
from typing import Final, NamedTuple

#: Cells of a part at most.  A part of usual size is decoded with 20 to 80.
MOST_CELLS: Final = 512
#: First cells of the blocks; each block uses 12 bits of a token, and the first bits its part.
_BLOCKS: Final = (1, 8, 32, 128, MOST_CELLS)
_SEED_BITS: Final = 12
SEED_MASK: Final = (1 << _SEED_BITS) - 1
#: Cells are computed up to one of these, for a pass over the digests costs more than a few cells.
_EDGES: Final = (1, 8, 16, 32, 48, 64, 96, 128, 192, 256, 384, MOST_CELLS)


class Segment(NamedTuple):
    """Some cells of a block: an entry is in the cells ``patterns[entry >> shift & SEED_MASK]``."""

    shift: int
    patterns: Sequence[tuple[int, ...]]


def edge(stop: int) -> int:
    """Return the cell before which to stop computing, to have at least those before `stop`.

    It is `stop`, rounded up to a bound for which patterns exist.
    """
    return next(end for end in _EDGES if stop <= end)


def segments(start: int, stop: int) -> list[Segment]:
    """Return the segments of the cells from `start` to before `stop`, except cell 0.

    Cell 0 is left out because every entry is in it.  Both bounds are 0 or results of `edge`.
    """
    return [_segment(a, z) for a, z in pairwise(_EDGES) if start <= a and z <= stop]


@cache
def _segment(start: int, stop: int) -> Segment:
    """Return a segment; making one takes some milliseconds and 400 kB, once in a process."""
    block = max(number for number, first in enumerate(_BLOCKS) if first <= start)
    patterns = [_pattern(block, seed, start, stop) for seed in range(SEED_MASK + 1)]
    return Segment(_SEED_BITS * block, patterns)


def _pattern(block: int, seed: int, start: int, stop: int) -> tuple[int, ...]:
    first = _BLOCKS[block]
    noise = shake_256(bytes((block, seed & 255, seed >> 8))).digest(2 * (stop - first))
    words = unpack(f"<{stop - start}H", noise[2 * (start - first) :])
    # word / 2^16 < 2 / (cell + 2)
    return tuple(cell for cell, word in enumerate(words, start) if word * (cell + 2) < 1 << 17)


def cells_of(entry: int, start: int, stop: int) -> Iterator[int]:
    """Yield the numbers of the cells, from `start` to before `stop`, that an entry is in."""
    if start == 0 < stop:
        yield 0
    for first, after in pairwise(_EDGES):
        if start < after and first < stop:
            shift, patterns = _segment(first, after)
            for cell in patterns[entry >> shift & SEED_MASK]:
                if start <= cell < stop:
                    yield cell

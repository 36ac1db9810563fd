# SPDX-License-Identifier: Apache-2.0
"""The long computations of a repair, in steps of about a millisecond."""

from __future__ import annotations

from array import array
from collections.abc import Generator
from typing import Final

from edge_twisted.mesh.reconciliation.peeler import Peeler, Verdict
from edge_twisted.mesh.reconciliation.sketch import Sketch, SketchBuilder
from edge_twisted.mesh.reconciliation.source import CellSource

#: Digests that are sketched in one step.
DIGESTS_PER_STEP: Final = 1000


def sketch_digests(values: array[int], salt: bytes) -> Generator[None, None, Sketch]:
    """Return the sketch of a set of digests; yield between steps."""
    builder = SketchBuilder(salt)
    for start in range(0, len(values), DIGESTS_PER_STEP):
        builder.add(values[start : start + DIGESTS_PER_STEP])
        yield
    return (yield from builder.finish_in_steps())


def sum_cells(source: CellSource, request: bytes) -> Generator[None, None, bytes]:
    """Return the encoded cells that a peer's request asks for; yield between steps of work.

    :raises MalformedReconciliation: the request cannot come now; end the link.
    """
    pieces: list[bytes] = []
    for piece in source.answer_in_steps(request):
        pieces.append(piece)
        yield
    return b"".join(pieces)


def peel(peeler: Peeler, cells: bytes) -> Generator[None, None, Verdict]:
    """Feed encoded cells of a peer, and return the verdict; yield between steps of work.

    :raises MalformedReconciliation: the cells contradict each other, or are too many; end the link.
    """
    yield from peeler.feed_in_steps(cells)
    return peeler.verdict

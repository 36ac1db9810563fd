# SPDX-License-Identifier: Apache-2.0
"""The long computations of a repair, in steps of about a millisecond."""

from __future__ import annotations

from array import array
from collections.abc import Generator

from edge_twisted.mesh.reconciliation.peeler import Peeler, Verdict
from edge_twisted.mesh.reconciliation.sketch import Sketch, SketchBuilder
from edge_twisted.mesh.reconciliation.source import CellSource

#: Digests that are taken in one step.
_DIGESTS: int = 1000


def sketching(values: array[int], salt: bytes) -> Generator[None, None, Sketch]:
    """Sketch a set of digests."""
    builder = SketchBuilder(salt)
    for start in range(0, len(values), _DIGESTS):
        builder.add(values[start : start + _DIGESTS])
        yield
    return (yield from builder.finishing())


def answering(source: CellSource, request: bytes) -> Generator[None, None, bytes]:
    """
    Sum up the cells that a peer asks for.

    :raises MalformedReconciliation: it asks for what it cannot ask for now.
    """
    pieces: list[bytes] = []
    for piece in source.answering(request):
        pieces.append(piece)
        yield
    return b"".join(pieces)


def peeling(peeler: Peeler, cells: bytes) -> Generator[None, None, Verdict]:
    """
    Take the cells of a peer.

    :raises MalformedReconciliation: they are wrong.
    """
    yield from peeler.feeding(cells)
    return peeler.verdict

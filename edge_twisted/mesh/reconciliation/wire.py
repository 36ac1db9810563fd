# SPDX-License-Identifier: Apache-2.0
"""The bytes that reconciling peers exchange, all little-endian."""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct
from typing import Final

from attrs import frozen

from edge_twisted.mesh.reconciliation.cells import CELL_BYTES, SUM_BYTES, SUM_MASK
from edge_twisted.mesh.reconciliation.errors import MalformedReconciliation
from edge_twisted.mesh.reconciliation.patterns import MOST_CELLS

#: The summary has a sum for each of 16 parts: enough to guess how large the difference is.
SUMMARY_LEVEL: Final = 4
#: 4096 parts serve about 130,000 differences; with more, streaming everything is cheaper.
MOST_LEVEL: Final = 12

_COUNT: Final = Struct("<Q")
_REQUEST: Final = Struct("<BHH")
FINGERPRINT_BYTES: Final = _COUNT.size + SUM_BYTES
SUMMARY_BYTES: Final = _COUNT.size + (SUM_BYTES << SUMMARY_LEVEL)


@frozen
class Fingerprint:
    """A set's size and the sum of its entries modulo 2^128, equal for equal sets only."""

    count: int
    total: int

    def encoded(self) -> bytes:
        """Return the 24 bytes of the fingerprint: count (8) and total (16), little-endian."""
        return _COUNT.pack(self.count) + self.total.to_bytes(SUM_BYTES, "little")

    @classmethod
    def decoded(cls, data: bytes) -> Fingerprint:
        """Return the fingerprint that 24 bytes encode.

        :raises MalformedReconciliation: the data has another length; end the link.
        """
        if len(data) != FINGERPRINT_BYTES:
            raise MalformedReconciliation("fingerprint", f"of {len(data)} bytes")
        return cls(_COUNT.unpack_from(data)[0], int.from_bytes(data[_COUNT.size :], "little"))


@frozen
class Summary:
    """A set's size, and the sum of entries modulo 2^128 of each of its 16 parts."""

    count: int
    sums: tuple[int, ...]

    @property
    def fingerprint(self) -> Fingerprint:
        """The fingerprint of the whole set."""
        return Fingerprint(self.count, sum(self.sums) & SUM_MASK)

    def encoded(self) -> bytes:
        """Return the 264 bytes of the summary: count (8), then 16 sums (16 each), little-endian."""
        sums = (total.to_bytes(SUM_BYTES, "little") for total in self.sums)
        return _COUNT.pack(self.count) + b"".join(sums)

    @classmethod
    def decoded(cls, data: bytes) -> Summary:
        """Return the summary that 264 bytes encode.

        :raises MalformedReconciliation: the data has another length; end the link.
        """
        if len(data) != SUMMARY_BYTES:
            raise MalformedReconciliation("summary", f"of {len(data)} bytes")
        places = range(_COUNT.size, SUMMARY_BYTES, SUM_BYTES)
        sums = tuple(int.from_bytes(data[at : at + SUM_BYTES], "little") for at in places)
        return cls(_COUNT.unpack_from(data)[0], sums)


@frozen(kw_only=True)
class CellRequest:
    """Cells from `start` to before `stop` of some of 2^`level` parts, which ascend."""

    level: int
    start: int
    stop: int
    parts: Sequence[int]

    @property
    def answer_bytes(self) -> int:
        """The exact length of the answer: the cells part by part, 13 bytes each."""
        return len(self.parts) * (self.stop - self.start) * CELL_BYTES

    def encoded(self) -> bytes:
        """Return the bytes of the request: level, start, stop, and a bit for each part.

        The lowest bit of each byte is for the lowest part.
        """
        chosen = sum(1 << part for part in self.parts)
        return _REQUEST.pack(self.level, self.start, self.stop) + chosen.to_bytes(
            (1 << self.level) // 8, "little"
        )

    @classmethod
    def decoded(cls, data: bytes) -> CellRequest:
        """Return the request that bytes of a peer encode.

        :raises MalformedReconciliation: they are no request, or name impossible cells; end the
            link.
        """
        if len(data) < _REQUEST.size:
            raise MalformedReconciliation("request", f"of {len(data)} bytes")
        level, start, stop = _REQUEST.unpack_from(data)
        if not SUMMARY_LEVEL <= level <= MOST_LEVEL:
            raise MalformedReconciliation("request", f"for level {level}")
        if not start < stop <= MOST_CELLS:
            raise MalformedReconciliation("request", f"for cells {start} to {stop}")
        bits = data[_REQUEST.size :]
        if len(bits) != (1 << level) // 8:
            raise MalformedReconciliation("request", f"with {len(bits)} bytes of parts")
        parts = [
            8 * at + bit for at, byte in enumerate(bits) for bit in range(8) if byte >> bit & 1
        ]
        if not parts:
            raise MalformedReconciliation("request", "for no part")
        return cls(level=level, start=start, stop=stop, parts=parts)

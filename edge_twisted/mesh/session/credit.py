# SPDX-License-Identifier: Apache-2.0
"""The window that this server named: bytes of batches that came and are not acknowledged."""

from __future__ import annotations

from typing import Final

from edge_twisted.mesh.wire.violations import PeerViolation

#: Enough to keep a link of 100 Mbit/s and 80 ms full.
WINDOW_BYTES: Final = 1 << 20


class IncomingCredit:
    """Holds the peer to the window; one batch that is larger may come alone."""

    def __init__(self, window_bytes: int = WINDOW_BYTES) -> None:
        self.window_bytes = window_bytes
        self.pending_bytes = 0

    def take(self, size: int) -> None:
        """Count the bytes of a batch that came.

        :raises PeerViolation: they are more than is left of the window; end the link.
        """
        if self.pending_bytes and self.pending_bytes + size > self.window_bytes:
            raise PeerViolation(f"{self.pending_bytes + size} bytes beyond the window")
        self.pending_bytes += size

    def give_back(self, size: int) -> None:
        """Free the window of a batch of `size` bytes that was acknowledged or dropped."""
        self.pending_bytes -= size

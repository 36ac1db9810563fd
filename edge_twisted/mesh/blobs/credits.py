# SPDX-License-Identifier: Apache-2.0
"""How many bytes of attachments may be on their way to us over one link."""

from __future__ import annotations

from edge_twisted.mesh.blobs.messages import CHUNK_BYTES, WINDOW_BYTES


class CreditPool:
    """
    The window of one link, shared by the blobs that are pulled over it.

    Credit that was given comes back when what it was given for is on disk, or the pull ends.  Who
    has least out gets the next, so small blobs get through beside large ones.
    """

    def __init__(self) -> None:
        self._free = WINDOW_BYTES
        #: Credit that is out, by attachment.
        self._out: dict[str, int] = {}

    def join(self, attachment: str) -> None:
        """A pull begins."""
        self._out[attachment] = 0

    def leave(self, attachment: str) -> None:
        """A pull ends; harmless when repeated."""
        self._free += self._out.pop(attachment, 0)

    def spend(self, attachment: str, length: int) -> bool:
        """Bytes came; answer whether they were allowed to."""
        if self._out.get(attachment, 0) < length:
            return False
        self._out[attachment] -= length
        return True

    def restore(self, length: int) -> None:
        """Bytes that came are dealt with."""
        # Of a link that is gone, it is nothing to the next one with the same peer.
        self._free = min(self._free + length, WINDOW_BYTES - sum(self._out.values()))

    def grants(self) -> dict[str, int]:
        """Give out what is free; return how much to whom."""
        given: dict[str, int] = {}
        while self._out and self._free >= CHUNK_BYTES:
            poorest = min(self._out, key=self._out.__getitem__)
            self._free -= CHUNK_BYTES
            self._out[poorest] += CHUNK_BYTES
            given[poorest] = given.get(poorest, 0) + CHUNK_BYTES
        return given

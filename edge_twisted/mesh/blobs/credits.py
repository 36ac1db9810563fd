# SPDX-License-Identifier: Apache-2.0
"""Flow control of blobs: the bytes that may be on their way to this server over one link."""

from __future__ import annotations

from edge_twisted.mesh.blobs.messages import CHUNK_BYTES, WINDOW_BYTES


class CreditPool:
    """
    The window of one link (`WINDOW_BYTES`), shared by the blobs that are pulled over it.

    Credit is handed out in units of a chunk, always to the blob with least outstanding credit, so
    that small blobs get through beside large ones.  It is free again when the bytes that used it
    are on disk, or when the pull ends.
    """

    def __init__(self) -> None:
        self._free = WINDOW_BYTES
        #: attachment -> bytes of credit that was handed out and not used.
        self._outstanding: dict[str, int] = {}

    def join(self, attachment: str) -> None:
        """Add the pull of a blob, without credit."""
        self._outstanding[attachment] = 0

    def leave(self, attachment: str) -> None:
        """Remove the pull of a blob, and free its unused credit; harmless when repeated."""
        self._free += self._outstanding.pop(attachment, 0)

    def spend(self, attachment: str, length: int) -> bool:
        """Use credit for `length` bytes that came; return whether there was enough.

        If not, none is used.
        """
        if self._outstanding.get(attachment, 0) < length:
            return False
        self._outstanding[attachment] -= length
        return True

    def restore(self, length: int) -> None:
        """Free credit for `length` bytes, once they are on disk or thrown away."""
        # Bytes that came over an earlier link with the same peer do not enlarge this window.
        self._free = min(self._free + length, WINDOW_BYTES - sum(self._outstanding.values()))

    def grants(self) -> dict[str, int]:
        """Hand out all free credit; return attachment -> bytes of new credit."""
        given: dict[str, int] = {}
        while self._outstanding and self._free >= CHUNK_BYTES:
            poorest = min(self._outstanding, key=self._outstanding.__getitem__)
            self._free -= CHUNK_BYTES
            self._outstanding[poorest] += CHUNK_BYTES
            given[poorest] = given.get(poorest, 0) + CHUNK_BYTES
        return given

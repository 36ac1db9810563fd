# SPDX-License-Identifier: Apache-2.0
"""
Comparing fingerprints: whether two servers that believe to be in sync hold the same documents.

The receiver of a whole scope compares the sender's fingerprint with its own at every keep-alive.
If they differ several times while nothing changes, it repairs.  A receiver may rightly hold more
than the sender, so a pair of fingerprints that a repair leaves is settled and not repaired again,
and repairs that find nothing come ever more rarely.
"""

from __future__ import annotations

from typing import Final

from attrs import define

#: Keep-alives with different fingerprints before a repair begins.
PATIENT_LOOKS: Final = 3
#: Seconds between two repairs: the least, and the most after several that found nothing.
SHORTEST_PAUSE_SECONDS: Final = 30.0
LONGEST_PAUSE_SECONDS: Final = 3600.0


@define
class Fingerprints:
    """The fingerprints of both ends of one stream, and when to repair."""

    theirs: tuple[int, bytes] | None = None
    _ours: bytes | None = None
    _looks: int = 0
    _settled: tuple[bytes, bytes] | None = None
    #: Whether the next pair that differs is what the last repair left, so settled.
    _settles_next: bool = False
    _pause_seconds: float = SHORTEST_PAUSE_SECONDS
    _not_before: float = float("-inf")

    def told(self, lsn: int, fingerprint: bytes) -> None:
        """Note the 16-byte fingerprint of the sender, which is idle at `lsn`."""
        if self.theirs != (lsn, fingerprint):
            self.theirs = (lsn, fingerprint)
            self._looks = 0

    def changed_here(self) -> None:
        """Forget the fingerprint of this server, because something was committed here."""
        self._ours = None
        self._looks = 0

    def changed_there(self) -> None:
        """Forget the fingerprint of the sender, because a batch moved the cursor."""
        self.theirs = None
        self._looks = 0

    def wants_ours(self, position: int | None) -> bool:
        """Return whether to read this server's own fingerprint, to compare it with the sender's.

        It is needed once the sender has named its fingerprint at this stream's cursor, `position`.
        """
        return self._ours is None and self._is_comparable(position)

    def ours(self, fingerprint: bytes) -> None:
        """Note this server's own 16-byte fingerprint, as of now."""
        self._ours = fingerprint

    def look(self, position: int | None, now: float) -> bool:
        """Compare the two fingerprints, once for each keep-alive; return whether a repair is due.

        `position` is the stream's cursor; None if it has none.  `now` is in monotonic seconds.
        """
        if self._ours is None or self.theirs is None or not self._is_comparable(position):
            return False
        pair = (self._ours, self.theirs[1])
        if pair[0] == pair[1]:
            self._settles_next = False
            self._settled = None
            self._looks = 0
            return False
        if self._settles_next:
            self._settled, self._settles_next = pair, False
        if pair == self._settled:
            return False
        self._looks += 1
        return self._looks >= PATIENT_LOOKS and now >= self._not_before

    def repaired(self, now: float, *, found: bool) -> None:
        """Note that a repair is over; `found` is whether it brought any document."""
        self._settles_next = True
        self._looks = 0
        if found:
            self._pause_seconds = SHORTEST_PAUSE_SECONDS
        self._not_before = now + self._pause_seconds
        self._pause_seconds = min(2 * self._pause_seconds, LONGEST_PAUSE_SECONDS)

    def _is_comparable(self, position: int | None) -> bool:
        return self.theirs is not None and self.theirs[0] == position

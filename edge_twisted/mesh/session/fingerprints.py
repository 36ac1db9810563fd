# SPDX-License-Identifier: Apache-2.0
"""
Whether sender and receiver of a whole scope really hold the same, when both believe so.

The receiver compares the sender's fingerprint with its own at every keep-alive.  If they differ
several times without change, it repairs.  It may rightly have more than the sender; so a pair
that a repair could not make equal is settled, and fruitless repairs come ever more rarely.
"""

from __future__ import annotations

from typing import Final

from attrs import define

#: Fingerprints differ for so many keep-alives before a repair begins.
PATIENT_LOOKS: Final = 3
#: Between two repairs: at least, and at most after several that found nothing to pull.
SHORTEST_PAUSE_SECONDS: Final = 30.0
LONGEST_PAUSE_SECONDS: Final = 3600.0


@define
class Fingerprints:
    """What one stream knows of both fingerprints."""

    theirs: tuple[int, bytes] | None = None
    _ours: bytes | None = None
    _looks: int = 0
    _settled: tuple[bytes, bytes] | None = None
    #: The next pair that differs is what the last repair left.
    _settles_next: bool = False
    _pause_seconds: float = SHORTEST_PAUSE_SECONDS
    _not_before: float = float("-inf")

    def told(self, lsn: int, fingerprint: bytes) -> None:
        """The sender, idle at `lsn`, says what its documents come to."""
        if self.theirs != (lsn, fingerprint):
            self.theirs = (lsn, fingerprint)
            self._looks = 0

    def changed_here(self) -> None:
        """Something was committed here: our own fingerprint is to be read again."""
        self._ours = None
        self._looks = 0

    def changed_there(self) -> None:
        """A batch moved the cursor: what the sender said was before it."""
        self.theirs = None
        self._looks = 0

    def wants_ours(self, position: int | None) -> bool:
        """Whether it is worth while to read our own: the sender named its at our cursor."""
        return self._ours is None and self._is_comparable(position)

    def ours(self, fingerprint: bytes) -> None:
        """Take our own fingerprint, as of now."""
        self._ours = fingerprint

    def look(self, position: int | None, now: float) -> bool:
        """Compare, once for each keep-alive; return whether a repair is due."""
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
        """A repair is over; `found` whether it brought anything."""
        self._settles_next = True
        self._looks = 0
        if found:
            self._pause_seconds = SHORTEST_PAUSE_SECONDS
        self._not_before = now + self._pause_seconds
        self._pause_seconds = min(2 * self._pause_seconds, LONGEST_PAUSE_SECONDS)

    def _is_comparable(self, position: int | None) -> bool:
        return self.theirs is not None and self.theirs[0] == position

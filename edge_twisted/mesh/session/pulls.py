# SPDX-License-Identifier: Apache-2.0
"""Versions that the links of this server are pulling, so that each comes over one link only."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

#: A link that does not deliver in this time is slow or dead: another link asks as well.
PATIENCE_SECONDS: Final = 5.0
#: Claims at a time; versions beyond are not claimed, so they may be pulled twice.
MAX_CLAIMS: Final = 65_536


class Pulls:
    """Which queue pulls which digest, and since when; one table for all links of a server."""

    def __init__(self) -> None:
        self._claims: dict[int, tuple[object, float]] = {}

    def claim(self, owner: object, digest: int, now: float) -> bool:
        """Return whether `owner` is to pull a version, because nobody else is pulling it.

        If so, the version is claimed.  A claim of another one ends by `release`, or after
        `PATIENCE_SECONDS`; `now` is in monotonic seconds.
        """
        held = self._claims.get(digest)
        if held is not None and held[0] is not owner and now - held[1] < PATIENCE_SECONDS:
            return False
        if held is not None or len(self._claims) < MAX_CLAIMS:
            self._claims[digest] = (owner, now)
        return True

    def release(self, owner: object, digests: Iterable[int]) -> None:
        """Give up claims: these versions have come, or will not."""
        for digest in digests:
            held = self._claims.get(digest)
            if held is not None and held[0] is owner:
                del self._claims[digest]

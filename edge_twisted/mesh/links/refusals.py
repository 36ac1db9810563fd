# SPDX-License-Identifier: Apache-2.0
"""The log of refused links, bounded so that no peer can flood it."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from attrs import define
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

log = Logger()

#: The same refusal of one address is logged at most this often.
REPEAT_SECONDS: Final = 60.0
#: Pairs of refusal and address that are remembered for that: addresses must not cost memory.
MAX_REMEMBERED: Final = 256
#: Lines of the log for all refusals together, in `REPEAT_SECONDS`.
MAX_LINES: Final = 60


@define
class _Repetition:
    """When a refusal was last logged, and how often it was suppressed since then."""

    logged_at: float
    suppressed: int = 0


class RefusalLog:
    """Log of refusals at `warning`, each at most once a minute, with the number suppressed."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._seen: OrderedDict[tuple[str, str], _Repetition] = OrderedDict()
        self._window_began = float("-inf")
        self._lines = 0

    def refused(self, refusal: str, address: str, *, by_us: bool, detail: str = "") -> None:
        """Log that a link was refused, unless the same was logged within the last minute.

        :param refusal: the published name of the reason.
        :param address: the peer's address without its port.
        """
        now = self._clock.seconds()
        suppressed = self._due(refusal, address, now)
        if suppressed is None:
            return
        log.warn(
            "Mesh link with {address} refused {by}: {refusal}{separator}{detail}",
            address=address,
            by="by us" if by_us else "by the peer",
            refusal=refusal,
            separator=", " if detail else "",
            detail=detail,
            suppressed=suppressed,
        )

    # -- inner

    def _due(self, refusal: str, address: str, now: float) -> int | None:
        """Return how many were suppressed before this refusal; None: suppress it as well."""
        repeated = self._seen.get((refusal, address))
        if repeated is not None and now - repeated.logged_at < REPEAT_SECONDS:
            repeated.suppressed += 1
            return None
        if not self._has_lines_left(now):
            return None
        self._seen.pop((refusal, address), None)
        while len(self._seen) >= MAX_REMEMBERED:
            self._seen.popitem(last=False)
        self._seen[refusal, address] = _Repetition(now)
        return 0 if repeated is None else repeated.suppressed

    def _has_lines_left(self, now: float) -> bool:
        if now - self._window_began >= REPEAT_SECONDS:
            self._window_began, self._lines = now, 0
        self._lines += 1
        return self._lines <= MAX_LINES

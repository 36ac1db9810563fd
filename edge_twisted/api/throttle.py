# SPDX-License-Identifier: Apache-2.0
"""
Rate limits by address, by API key and by route; a request must pass all of them.

The window of a caller starts with the caller's first request, so the windows of different callers
do not end together, and a counter takes two numbers.  Refused requests are not counted.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Final

from edge_twisted.api.errors import TooManyRequests, header_lines_of
from edge_twisted.api.rate_window import RateWindow
from edge_twisted.api.request import Request
from edge_twisted.config.model import ThrottleStrategy
from edge_twisted.security.networks import network_of

#: Most callers that one strategy counts: about 10 MiB.  Beyond that the oldest window is dropped,
#: so that a new caller is served, however many others there are.
MAX_COUNTERS: Final = 65_536


class _Counters:
    """The windows of one strategy, the oldest first."""

    __slots__ = ("_windows", "key_of", "strategy")

    def __init__(self, strategy: ThrottleStrategy) -> None:
        self.strategy = strategy
        #: Returns the key under which a request is counted; None: the strategy ignores the request.
        self.key_of = _key_of(strategy)
        self._windows: OrderedDict[str, RateWindow] = OrderedDict()

    def window(self, key: str, now: float) -> RateWindow:
        """Return the current window of `key` at `now`; begin a new one if there is none.

        At `MAX_COUNTERS` windows the oldest gives way.
        """
        found = self._windows.get(key)
        if found is not None and now < found.ends:
            return found
        self._windows.pop(key, None)
        while len(self._windows) >= MAX_COUNTERS:
            self._windows.popitem(last=False)
        limit = self.strategy.max_requests
        found = self._windows[key] = RateWindow(now + self.strategy.window_secs, limit, limit)
        return found


def _key_of(strategy: ThrottleStrategy) -> Callable[[Request], str | None]:
    path = strategy.path
    if strategy.strategy == "ip_address":
        return lambda request: network_of(request.client)
    if strategy.strategy == "api_key":
        return lambda request: None if request.identity is None else request.identity.id
    return lambda request: "" if path is None or path == request.path else None


class Throttle:
    """
    Counts requests by every strategy of a configuration.

    :param now: a monotonic clock in seconds.
    :param refused: is called with the strategy of each refusal.
    """

    def __init__(
        self,
        strategies: Sequence[ThrottleStrategy],
        now: Callable[[], float] = monotonic,
        refused: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._counters = tuple(_Counters(each) for each in strategies)
        self._now = now
        self._refused = refused

    def check(self, request: Request) -> None:
        """Count a request in every strategy that concerns it.

        :raises TooManyRequests: a limit is reached; the request is not counted anywhere.  Answer
            with it.
        """
        if not self._counters:
            return
        now = self._now()
        concerned = []
        for counters in self._counters:
            key = counters.key_of(request)
            if key is None:
                continue
            window = counters.window(key, now)
            if window.left <= 0:
                self._refused(counters.strategy.strategy)
                numbers = _numbers(window, now)
                fields = tuple(zip(_FIELDS, map(b"%d".__mod__, numbers), strict=True))
                raise TooManyRequests(window.resets_in(now), fields)
            concerned.append(window)
        for window in concerned:
            window.left -= 1
        request.rate_windows = concerned

    def header_lines(self, request: Request) -> bytes:
        """Return the ``RateLimit`` header lines of the strategy with the fewest requests left.

        Empty if no strategy concerns the request.
        """
        least: RateWindow | None = None
        for window in request.rate_windows:
            if least is None or window.left < least.left:
                least = window
        return b"" if least is None else _LINES % _numbers(least, self._now())


_FIELDS = (b"RateLimit-Limit", b"RateLimit-Remaining", b"RateLimit-Reset")
_LINES = header_lines_of((name, b"%d") for name in _FIELDS)


def _numbers(window: RateWindow, now: float) -> tuple[int, int, int]:
    return window.limit, window.left, window.resets_in(now)

# SPDX-License-Identifier: Apache-2.0
"""
Limits on how often somebody calls: by address, by key, by route; a request must pass all.

Each caller's window starts with its first request and holds until it is over, so windows of
different callers never end together, and a counter is two numbers.  Refused requests do not count.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Final, cast

from attrs import define, field, frozen

from edge_twisted.api.errors import Field, TooManyRequests
from edge_twisted.api.request import Request
from edge_twisted.config.model import ThrottleStrategy

#: Callers that one strategy counts, about 10 MiB.  Beyond it the oldest window is forgotten: a new
#: caller must get in, however many others there are.
MAX_COUNTERS: Final = 65_536


@define
class _Window:
    """When a caller's window began, and the requests in it."""

    began: float
    count: int = 0


@frozen
class _Counters:
    """The windows of one strategy, the oldest first."""

    strategy: ThrottleStrategy
    _windows: OrderedDict[str, _Window] = field(factory=OrderedDict)

    def key_of(self, request: Request) -> str | None:
        """Return whom the strategy counts a request for; None if it does not concern it."""
        strategy = self.strategy.strategy
        if strategy == "ip_address":
            return network_of(request.client)
        if strategy == "api_key":
            return None if request.identity is None else request.identity.id
        path = self.strategy.path
        return "" if path is None or path == request.path else None

    def window(self, key: str, now: float) -> _Window:
        """Return the window that is under way, a new one if there is none."""
        found = self._windows.get(key)
        if found is not None and now < found.began + self.strategy.window_secs:
            return found
        self._windows.pop(key, None)
        while len(self._windows) >= MAX_COUNTERS:
            self._windows.popitem(last=False)
        found = self._windows[key] = _Window(now)
        return found

    def left(self, window: _Window) -> int:
        """Return how many requests the window still lets through."""
        return self.strategy.max_requests - window.count

    def resets_in(self, window: _Window, now: float) -> int:
        """Return in how many whole seconds the window is over, at least one."""
        return max(1, math.ceil(window.began + self.strategy.window_secs - now))


class Throttle:
    """
    Counts requests by every strategy of a configuration.

    :param now: a clock in seconds that never goes back.
    :param refused: is told the strategy of each refusal.
    """

    def __init__(
        self,
        strategies: Sequence[ThrottleStrategy],
        now: Callable[[], float],
        refused: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._counters = tuple(_Counters(each) for each in strategies)
        self._now = now
        self._refused = refused

    def check(self, request: Request) -> None:
        """
        Count a request.

        :raises TooManyRequests: a limit is reached; the request counts nowhere.
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
            if window.count >= counters.strategy.max_requests:
                self._refused(counters.strategy.strategy)
                seconds = counters.resets_in(window, now)
                raise TooManyRequests(seconds, _fields(counters, window, now))
            concerned.append((counters, window))
        for _, window in concerned:
            window.count += 1
        request.counted = concerned

    def headers(self, request: Request) -> Sequence[Field]:
        """Return ``RateLimit`` fields for the strategy that has least left."""
        concerned = cast("Sequence[tuple[_Counters, _Window]]", request.counted)
        if not concerned:
            return ()
        least = min(concerned, key=_left) if len(concerned) > 1 else concerned[0]
        return _fields(*least, self._now())


def _left(counted: tuple[_Counters, _Window]) -> int:
    counters, window = counted
    return counters.left(window)


def _fields(counters: _Counters, window: _Window, now: float) -> tuple[Field, ...]:
    return (
        (b"RateLimit-Limit", b"%d" % counters.strategy.max_requests),
        (b"RateLimit-Remaining", b"%d" % max(0, counters.left(window))),
        (b"RateLimit-Reset", b"%d" % counters.resets_in(window, now)),
    )


@lru_cache(maxsize=4096)
def network_of(client: str) -> str:
    """Return what of an address stands for one caller: of IPv6 the /64, which one home has."""
    try:
        address = ip_address(client)
    except ValueError:
        return client
    if not isinstance(address, IPv6Address):
        return client
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ip_network((address, 64), strict=False))

# SPDX-License-Identifier: Apache-2.0
"""Limits by address, key and route."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Literal

import pytest
from twisted.internet.task import Clock

from edge_twisted.api import throttle as module
from edge_twisted.api.client_address import client_address
from edge_twisted.api.errors import TooManyRequests
from edge_twisted.api.request import Request
from edge_twisted.api.throttle import Throttle
from edge_twisted.config.model import ThrottleStrategy
from edge_twisted.security.callers import Caller
from edge_twisted.security.networks import network_of
from edge_twisted.security.permissions import Permits
from tests.support.api_requests import api_request

Strategy = Literal["ip_address", "api_key", "route"]


def of(client: str = "192.0.2.1", key: str | None = "till", path: str = "/execute") -> Request:
    identity = None if key is None else Caller(key, Permits.everything())
    request = api_request("POST", path, identity=identity)
    request.client = client
    return request


def limit(strategy: Strategy, most: int, path: str | None = None) -> ThrottleStrategy:
    return ThrottleStrategy(strategy=strategy, max_requests=most, window_secs=10, path=path)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def passes(throttle: Throttle, request: Request) -> bool:
    try:
        throttle.check(request)
    except TooManyRequests:
        return False
    return True


def test_a_window_starts_with_the_first_request(clock: Clock) -> None:
    throttle = Throttle([limit("ip_address", 2)], clock.seconds)
    clock.advance(7)
    assert [passes(throttle, of()) for _ in range(3)] == [True, True, False]
    clock.advance(9.5)
    assert not passes(throttle, of())
    assert passes(throttle, of(client="192.0.2.2")), "another address has its own window"
    with pytest.raises(TooManyRequests) as refused:
        throttle.check(of())
    assert refused.value.retry_after_seconds == 1
    assert (b"RateLimit-Remaining", b"0") in refused.value.headers
    clock.advance(0.5)
    assert passes(throttle, of()), "refused requests do not count"


def test_every_strategy_must_pass(clock: Clock) -> None:
    refused: list[str] = []
    limits = [limit("ip_address", 9), limit("api_key", 2), limit("route", 4, "/execute")]
    throttle = Throttle(limits, clock.seconds, refused.append)
    assert [passes(throttle, of()) for _ in range(3)] == [True, True, False]
    assert [passes(throttle, of(key="other")) for _ in range(3)] == [True, True, False]
    assert [passes(throttle, of(key=None))] == [False], "route counts all callers together"
    assert passes(throttle, of(key=None, path="/presence"))
    assert refused == ["api_key", "api_key", "route"]
    admitted = of(key="third", path="/presence")
    throttle.check(admitted)
    assert b"RateLimit-Remaining: 1\r\n" in throttle.header_lines(admitted), (
        "the least that is left"
    )
    assert throttle.header_lines(of()) == b"", (
        "the refusal of one that was not admitted says it itself"
    )


def test_a_full_table_lets_new_callers_in(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_COUNTERS", 3)
    throttle = Throttle([limit("ip_address", 1)], clock.seconds)
    assert all(passes(throttle, of(client=f"192.0.2.{n}")) for n in range(9))
    assert not passes(throttle, of(client="192.0.2.8"))


@pytest.mark.parametrize(
    ("client", "counted"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("unix", "unix"),
    ],
)
def test_whom_an_address_stands_for(client: str, counted: str) -> None:
    assert network_of(client) == counted


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("192.0.2.1", None, "192.0.2.1"),
        ("192.0.2.1", "203.0.113.9", "192.0.2.1"),
        ("10.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "198.51.100.7, 203.0.113.9, 10.0.0.2", "203.0.113.9"),
        ("10.0.0.1", "203.0.113.9, nonsense", "10.0.0.1"),
        ("10.0.0.1", "10.0.0.3", "10.0.0.3"),
        ("::ffff:10.0.0.1", "2001:db8::1", "2001:db8::1"),
        ("unix", "203.0.113.9", "203.0.113.9"),
    ],
)
def test_behind_proxies(peer: str, forwarded: str | None, expected: str) -> None:
    assert client_address(peer, forwarded, [ip_network("10.0.0.0/8")]) == expected

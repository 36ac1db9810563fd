# SPDX-License-Identifier: Apache-2.0
"""What those who show no key cost the others: a bounded part of each turn of the reactor."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from twisted.internet.defer import Deferred, succeed

from edge_twisted.api.gate import ApiGate, GateRules
from edge_twisted.api.wire.context import STRANGERS_PER_TURN
from edge_twisted.config.model import IdentityConfig
from edge_twisted.security.api_keys import generate
from edge_twisted.security.key_ring import KeyRing
from tests.support.turning_clock import TurningClock
from tests.support.wire import MemorySite, WireClient

MADE = generate()
#: As many connections as a flood may well have, and requests ahead on each.
PEERS, AHEAD = 60, 5


def get(path: str, key: str | None = None) -> bytes:
    field = b"" if key is None else b"Authorization: Bearer %b\r\n" % key.encode()
    return b"GET %b HTTP/1.1\r\nHost: x\r\n%b\r\n" % (path.encode(), field)


def at_once(work: Callable[[], bool]) -> Deferred[bool]:
    return succeed(work())


@pytest.fixture
def memory() -> MemorySite:
    identity = IdentityConfig(id="till", api_key_hash=MADE.hash, permissions=("full",))
    keys = KeyRing([identity], at_once)
    memory = MemorySite(gate=ApiGate(GateRules(keys=keys)), clock=TurningClock())
    # The key has been seen before.
    assert b" 200 " in memory.connect().send(get("/secret", MADE.key))
    memory.notes.finished.clear()
    return memory


def statuses(memory: MemorySite) -> list[int]:
    return [finished.status for finished in memory.notes.finished]


def turn(memory: MemorySite) -> None:
    """Let the reactor turn once."""
    assert isinstance(memory.clock, TurningClock)
    memory.clock.turn()


STRANGE = {
    "a wrong key": get("/secret", generate().key),
    "a wrong form": get("/secret", "nonsense"),
    "no key": get("/secret"),
    "an unknown path": get("/nothing"),
    "another method": b"OPTIONS /secret HTTP/1.1\r\nHost: x\r\n\r\n",
    "an open endpoint": get("/echo"),
}


@pytest.mark.parametrize("request_", STRANGE.values(), ids=STRANGE)
def test_a_flood_is_answered_a_few_in_each_turn(memory: MemorySite, request_: bytes) -> None:
    for _ in range(PEERS):
        memory.connect().send(request_ * AHEAD)
    assert statuses(memory) == []
    for count in range(1, PEERS * AHEAD // STRANGERS_PER_TURN):
        turn(memory)
        assert len(statuses(memory)) == count * STRANGERS_PER_TURN


def test_whoever_has_a_key_does_not_wait_for_a_flood(memory: MemorySite) -> None:
    for _ in range(PEERS):
        memory.connect().send(STRANGE["a wrong key"] * AHEAD)
    assert b" 200 " in memory.connect().send(get("/secret", MADE.key))


def test_addresses_take_turns(memory: MemorySite) -> None:
    for _ in range(PEERS):
        memory.connect().send(STRANGE["no key"])
    memory.site.context.peer_of = lambda _: "2001:db8:1::1"
    for _ in range(PEERS):
        memory.connect().send(STRANGE["no key"])
    memory.site.context.peer_of = lambda _: "192.0.2.7"
    shop = memory.connect()
    assert shop.send(STRANGE["an open endpoint"]) == b""
    turn(memory)
    assert b" 200 " in shop.received()


def test_without_keys_nobody_is_a_stranger() -> None:
    memory = MemorySite()
    for _ in range(PEERS):
        memory.connect().send(get("/echo"))
    assert statuses(memory) == [200] * PEERS


def test_a_stranger_who_leaves_gives_the_turn_up(memory: MemorySite) -> None:
    peers: list[WireClient] = [memory.connect() for _ in range(STRANGERS_PER_TURN + 1)]
    for peer in peers:
        peer.send(STRANGE["no key"])
    peers[0].leave()
    assert statuses(memory) == [499]
    turn(memory)
    assert b" 401 " in peers[-1].received()

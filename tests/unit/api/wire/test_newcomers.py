# SPDX-License-Identifier: Apache-2.0
"""Who goes when all connections are taken: nobody can keep the door shut for other networks."""

from __future__ import annotations

import random
from collections import Counter

from edge_twisted.api.gate import ApiGate, GateRules
from edge_twisted.api.wire.newcomers import Newcomers
from tests.support.wire import MemorySite, WireClient

GET = b"GET /echo HTTP/1.1\r\nHost: x\r\n\r\n"
SECRET = b"GET /secret HTTP/1.1\r\nHost: x\r\n\r\n"


def connect(memory: MemorySite, client: str) -> WireClient:
    memory.site.context.peer_of = lambda _: client
    return memory.connect()


def is_refused(peer: WireClient) -> bool:
    return b" 503 " in peer.received()


def test_the_oldest_of_the_largest_crowd_goes() -> None:
    memory = MemorySite(settings={"max_connections": 6})
    crowd = [connect(memory, "192.0.2.1") for _ in range(4)]
    others = [connect(memory, "192.0.2.2") for _ in range(2)]
    shop = connect(memory, "198.51.100.7")
    assert not is_refused(shop)
    assert [each.transport.is_aborted() for each in crowd] == [True, False, False, False]
    assert not any(each.transport.is_aborted() for each in others)
    assert len(memory.site.connections) == 6
    assert b" 200 " in shop.send(GET)


def test_a_crowd_gains_nothing_by_more_of_itself() -> None:
    memory = MemorySite(settings={"max_connections": 3})
    crowd = [connect(memory, f"2001:db8::{number}") for number in range(3)]
    assert is_refused(connect(memory, "2001:db8::ffff")), "the same /64"
    assert not any(each.transport.is_aborted() for each in crowd)


def test_networks_of_one_size_do_not_push_each_other_out() -> None:
    memory = MemorySite(settings={"max_connections": 3})
    for number in range(3):
        connect(memory, f"192.0.2.{number}")
    assert is_refused(connect(memory, "198.51.100.7"))


def test_whoever_is_known_stays() -> None:
    memory = MemorySite(settings={"max_connections": 4})
    known = [connect(memory, "192.0.2.1") for _ in range(2)]
    busy, silent = (connect(memory, "192.0.2.1") for _ in range(2))
    for each in known:
        assert b" 200 " in each.send(SECRET)
    assert not is_refused(connect(memory, "198.51.100.7"))
    assert [each.transport.is_aborted() for each in (*known, busy, silent)] == [
        False, False, True, False,
    ]  # fmt: skip
    assert b" 200 " in known[0].send(SECRET)


def test_an_open_endpoint_makes_nobody_known() -> None:
    memory = MemorySite(settings={"max_connections": 3}, gate=ApiGate(GateRules(keys=None)))
    crowd = [connect(memory, "192.0.2.1") for _ in range(3)]
    for each in crowd:
        each.send(GET)
    assert not is_refused(connect(memory, "198.51.100.7"))
    assert crowd[0].transport.is_aborted()


def test_the_largest_is_known_whatever_comes_and_goes() -> None:
    """Against counting anew each time."""
    chance = random.Random(7)
    newcomers: Newcomers[int] = Newcomers()
    here: dict[int, str] = {}
    for guest in range(3000):
        network = chance.choice("aaabbcdefgh")
        if chance.random() < 0.55:
            newcomers.add(guest, network)
            here[guest] = network
        elif here:
            gone = chance.choice(list(here))
            newcomers.remove(gone)
            del here[gone]
        sizes = Counter(here.values())
        largest = max(sizes.values(), default=0)
        found = newcomers.yielding_to("new")
        assert (found is None) is (largest <= 1)
        if found is not None:
            assert sizes[here[found]] == largest
            assert found == min(each for each in here if here[each] == here[found])
        assert len(newcomers) == len(here)

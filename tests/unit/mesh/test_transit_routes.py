# SPDX-License-Identifier: Apache-2.0
"""Which subscriptions servers in transit pass on, in lines and in rings."""

from __future__ import annotations

import random

import pytest

from edge_twisted.mesh.ports.requests import Scope
from edge_twisted.mesh.wire.items import ScopeKey
from edge_twisted.mesh.wire.messages import MAX_HOPS
from edge_twisted.replication.transit_routes import (
    MOST_OF_ONE,
    PeerSubscription,
    TransitPeer,
    TransitRoutes,
)


def scope(name: str) -> Scope:
    return Scope(
        key=ScopeKey(name.encode()), query=name, arguments={}, collection=name, is_whole=True
    )


S = scope("c")


class Net:
    """Servers in transit and subscribers, whose messages arrive at once, in some order."""

    def __init__(self, lines: str) -> None:
        pairs = [(line[0], line[1]) for line in lines.split()]
        self.lines = {*pairs, *((b, a) for a, b in pairs)}
        self.routes: dict[str, TransitRoutes] = {}
        for name in sorted({a for a, _ in self.lines}):
            routes = TransitRoutes(name.encode(), lambda _: False)
            for a, b in self.lines:
                if a == name:
                    routes.peers[b] = TransitPeer(site=b.encode(), is_linked=True)
            self.routes[name] = routes
        self.messages = 0

    def transit(self) -> list[str]:
        return [name for name in self.routes if name.isupper()]

    def subscribe(self, who: str, at: str) -> None:
        self.routes[at].peers[who].current[1] = PeerSubscription(S, ())

    def leave(self, who: str, at: str) -> None:
        self.routes[at].peers[who].current.clear()

    def settle(self, order: random.Random) -> None:
        """Let all decide until nothing changes."""
        for _ in range(200):
            names = self.transit()
            order.shuffle(names)
            changed = [self._decide(name) for name in names]
            if not any(changed):
                return
        raise AssertionError("it never ends")

    def _decide(self, name: str) -> bool:
        routes = self.routes[name]
        changed = False
        for target, peer in routes.peers.items():
            wanted = routes.wanted(target, routes.scopes())
            if wanted == peer.subscribed:
                continue
            changed = True
            self.messages += 1
            peer.subscribed = wanted
            there = self.routes[target].peers[name]
            there.current.clear()
            if S.key in wanted:
                route = wanted[S.key].route
                assert route is not None
                assert target.encode() not in route.path
                there.current[1] = PeerSubscription(S, route.path)
        return changed

    def subscriptions(self) -> set[tuple[str, str]]:
        """Who subscribes for others at whom."""
        return {
            (name, target)
            for name in self.transit()
            for target, peer in self.routes[name].peers.items()
            if peer.subscribed
        }


def test_a_line_passes_it_to_the_other_end() -> None:
    net = Net("bT Ta")
    net.subscribe("b", "T")
    net.settle(random.Random(0))
    assert net.subscriptions() == {("T", "a")}


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize(
    ("lines", "most"),
    [
        ("cT TU UV VT", 12),
        ("cT TU UV VW WT", 20),
        ("cT TU TV TW UV UW VW", 60),
        ("cT TU TV TW TX UV UW UX VW VX WX Ua", 400),
    ],
)
def test_in_a_ring_nothing_is_kept_alive_once_the_subscriber_has_left(
    lines: str, most: int, seed: int
) -> None:
    net = Net(lines)
    order = random.Random(seed)
    net.subscribe("c", "T")
    net.settle(order)
    for name in net.transit():
        assert (name, "c") not in net.subscriptions()
        if name != "T" and (name, "T") in net.lines:
            assert ("T", name) in net.subscriptions()
            assert (name, "T") not in net.subscriptions()
    net.leave("c", "T")
    net.settle(order)
    assert net.subscriptions() == set()
    assert net.messages <= most


def test_two_subscribers_are_served_over_the_shortest_way() -> None:
    net = Net("bT TU Uc Ta")
    net.subscribe("b", "T")
    net.subscribe("c", "U")
    net.settle(random.Random(1))
    assert net.subscriptions() == {("T", "U"), ("T", "a"), ("U", "T"), ("T", "b"), ("U", "c")}
    route = net.routes["T"].peers["a"].subscribed[S.key].route
    assert route is not None
    assert route.path == (b"b",)


def test_a_path_ends_after_so_many_hops() -> None:
    routes = TransitRoutes(b"us", lambda _: False)
    routes.peers["to"] = TransitPeer(site=b"to", is_linked=True)
    long = tuple(bytes([n]) for n in range(MAX_HOPS))
    routes.peers["from"] = TransitPeer(site=b"from", is_linked=True)
    routes.peers["from"].current[1] = PeerSubscription(S, long)
    assert routes.wanted("to", routes.scopes()) == {}
    routes.peers["from"].current[1] = PeerSubscription(S, long[1:])
    assert len(routes.wanted("to", routes.scopes())) == 1


def test_what_this_server_wants_itself_is_not_passed_on() -> None:
    routes = TransitRoutes(b"us", lambda each: each.collection == "c")
    routes.peers["to"] = TransitPeer(site=b"to", is_linked=True)
    routes.peers["from"] = TransitPeer(site=b"from", is_linked=True)
    routes.peers["from"].current = {
        1: PeerSubscription(S, ()),
        2: PeerSubscription(scope("d"), ()),
    }
    assert [each.collection for each in routes.wanted("to", routes.scopes()).values()] == ["d"]


def test_one_neighbour_cannot_have_everything_passed_on() -> None:
    routes = TransitRoutes(b"us", lambda _: False)
    routes.peers["to"] = TransitPeer(site=b"to", is_linked=True)
    routes.peers["from"] = TransitPeer(site=b"from", is_linked=True)
    routes.peers["from"].current = {
        n: PeerSubscription(scope(f"c{n}"), ()) for n in range(2 * MOST_OF_ONE)
    }
    assert len(routes.wanted("to", routes.scopes())) == MOST_OF_ONE

# SPDX-License-Identifier: Apache-2.0
"""Who may come in before anything is proven, and who goes for it."""

from __future__ import annotations

from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st

from edge_twisted.mesh.limits.buckets import Bucket, Rate
from edge_twisted.mesh.links.strangers import (
    ALL_ARRIVALS,
    ARRIVALS,
    FREE_ARRIVALS,
    MAX_NETWORKS,
    MAX_OF_NETWORK,
    MAX_STRANGERS,
    PATIENCE_SECONDS,
    Strangers,
)
from edge_twisted.security.networks import network_of

LATER = PATIENCE_SECONDS


@define
class Door:
    """A door where whoever has to go goes."""

    strangers: Strangers[int] = field(factory=Strangers)
    turned_out: list[int] = field(factory=list)
    count: int = 0

    def knock(self, address: str, now: float) -> int | None:
        """Return the number of the connection that came in, None if it was refused."""
        network = network_of(address)
        decision = self.strangers.decide(network, now)
        if not decision.is_admitted:
            return None
        if decision.evicted is not None:
            self.strangers.leave(decision.evicted)
            self.turned_out.append(decision.evicted)
        self.count += 1
        self.strangers.enter(self.count, network, now)
        return self.count


def test_one_network_takes_few_places_and_its_oldest_goes_once_it_had_its_time() -> None:
    door = Door()
    came = [door.knock("192.0.2.1", 0.0) for _ in range(80)]
    assert sum(each is not None for each in came) == MAX_OF_NETWORK == len(door.strangers)
    assert door.knock("192.0.2.1", LATER) is not None
    assert door.turned_out == [1]


def test_a_crowd_in_step_does_not_keep_out_who_comes_at_another_moment() -> None:
    """Forty come again a second after each was sent away; one comes in between, once a second."""
    door = Door()
    crowd = [(0.0, n) for n in range(40)]
    inside: dict[int, int] = {}
    moment = 0.5
    while crowd[0][0] < 20.0:
        crowd.sort()
        now, who = crowd.pop(0)
        if moment < now:
            if door.knock("192.0.2.1", moment) is not None:
                break
            moment += 1.0
        before = len(door.turned_out)
        number = door.knock("192.0.2.1", now)
        crowd += [(now + 1.01, inside.pop(gone)) for gone in door.turned_out[before:]]
        if number is None:
            crowd.append((now + 1.01, who))
        else:
            inside[number] = who
    assert moment < 10.0


def test_addresses_of_one_ipv6_network_share_its_places() -> None:
    door = Door()
    for n in range(200):
        door.knock(f"2001:db8::{n:x}", 0.0)
    assert len(door.strangers) == MAX_OF_NETWORK
    assert door.knock("2001:db8:0:1::1", 0.0) is not None
    assert door.knock("::ffff:192.0.2.1", 0.0) and not door.turned_out


def test_a_newcomer_of_a_network_with_few_gets_in_at_once_when_all_places_are_taken() -> None:
    door = Door()
    for n in range(1000):
        door.knock(f"127.0.0.{n % 50 + 1}", 0.0)
    assert len(door.strangers) == MAX_STRANGERS
    honest = door.knock("192.0.2.9", 0.0)
    assert honest is not None and len(door.strangers) == MAX_STRANGERS
    for n in range(1000):
        door.knock(f"127.0.0.{n % 50 + 1}", LATER + n / 1000)
    assert honest not in door.turned_out, "those of networks with more go first"


def test_places_that_all_networks_share_alike_are_given_anew_by_age() -> None:
    door = Door()
    for n in range(MAX_STRANGERS):
        assert door.knock(f"192.0.2.{n}", n / 1000)
    assert door.knock("198.51.100.1", 0.5) is None, "each has time for its handshake"
    assert door.knock("198.51.100.1", LATER) is not None
    assert door.turned_out == [1]


def test_connections_of_one_network_are_let_in_at_a_rate() -> None:
    door = Door()
    came = 0
    for _ in range(2 * ARRIVALS.burst):
        guest = door.knock("192.0.2.1", 1.0)
        if guest is not None:
            came += 1
            door.strangers.leave(guest)
    assert came == ARRIVALS.burst
    assert door.knock("192.0.2.2", 1.0) is not None, "others are not concerned"
    assert door.knock("192.0.2.1", 1.0 + 1 / ARRIVALS.per_second) is not None


def test_many_networks_together_come_no_faster_than_a_few_and_a_new_one_gets_in() -> None:
    door = Door()
    came = 0
    for n in range(20_000):
        guest = door.knock(f"192.0.2.{n % 200}", 1.0)
        if guest is not None:
            came += 1
            door.strangers.leave(guest)
    assert came <= 200 * FREE_ARRIVALS + ALL_ARRIVALS.burst
    assert door.knock("198.51.100.1", 1.0) is not None


def test_who_did_harm_waits_for_what_it_owes() -> None:
    door = Door()
    for _ in range(5):
        door.strangers.charge("192.0.2.1", 100, 0.0)
    assert door.knock("192.0.2.1", ARRIVALS.burst / ARRIVALS.per_second) is None
    assert door.knock("192.0.2.1", (ARRIVALS.burst + 2) / ARRIVALS.per_second) is not None


def test_networks_that_came_and_went_cost_bounded_memory() -> None:
    door = Door()
    for n in range(3 * MAX_NETWORKS):
        guest = door.knock(f"2001:db8:0:{n:x}::1", float(n))
        assert guest is not None
        door.strangers.leave(guest)
    assert len(door.strangers._arrivals) <= MAX_NETWORKS
    assert not door.strangers._networks


@given(
    st.lists(
        st.tuples(st.integers(0, 90), st.floats(0.0, 0.4), st.booleans()),
        max_size=300,
    )
)
def test_whatever_comes_and_goes_the_bounds_hold(
    steps: list[tuple[int, float, bool]],
) -> None:
    door, now = Door(Strangers(limit=8)), 0.0
    inside: dict[int, int] = {}
    for network, passed, knocks in steps:
        now += passed
        if knocks:
            before = len(door.turned_out)
            guest = door.knock(f"192.0.2.{network}", now)
            for gone in door.turned_out[before:]:
                inside.pop(gone)
            if guest is not None:
                inside[guest] = network
        elif inside:
            guest = sorted(inside)[network % len(inside)]
            door.strangers.leave(guest)
            del inside[guest]
        assert len(door.strangers) == len(inside) <= 8
        assert sum(map(len, door.strangers._networks.values())) == len(inside)
        assert all(door.strangers._networks.values())


@given(st.lists(st.tuples(st.floats(0.0, 2.0), st.integers(1, 5))), st.integers(5, 20))
def test_a_bucket_never_lets_more_through_than_its_rate(
    takes: list[tuple[float, int]], burst: int
) -> None:
    rate = Rate(burst, 3.0)
    bucket, now, taken = Bucket(rate), 0.0, 0
    for passed, count in takes:
        now += passed
        if bucket.take(count, now):
            taken += count
        assert taken <= burst + 3.0 * now + 1e-6

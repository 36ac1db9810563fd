# SPDX-License-Identifier: Apache-2.0
"""Presence between several nodes in memory: what is believed, of whom, and at which cost."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Generator, Sequence
from typing import Any, cast

import pytest
from attrs import define, evolve, field
from cryptography.hazmat.primitives.asymmetric import ec
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from edge_twisted.mesh.links.computations import ComputationQueue
from edge_twisted.mesh.links.link import Link
from edge_twisted.mesh.links.presence_exchange import (
    UNCHECKED_FAULTS,
    PresenceExchange,
    PresenceParts,
)
from edge_twisted.mesh.presence import gossip
from edge_twisted.mesh.presence.codec import encode, signed_bytes
from edge_twisted.mesh.presence.gossip import Gossip, RefusedRecord
from edge_twisted.mesh.presence.graph import Claim, PresenceGraph, PresenceRecord, RecordVersion
from edge_twisted.mesh.trust import signatures
from edge_twisted.mesh.trust.identity import PeerIdentity
from edge_twisted.mesh.trust.peer_key import PeerKey
from tests.support.mesh_peers import FirstGossip


def identity(number: int) -> PeerIdentity:
    """Return an identity that is the same in each run."""
    return PeerIdentity.of(ec.derive_private_key(number + 1, ec.SECP256R1()))


def record_of(
    who: PeerIdentity, *links: PeerKey, counter: int = 1, name: str = "", signer: Any = None
) -> PresenceRecord:
    """Return a record as its peer, or whoever claims to be it, signs it."""
    record = PresenceRecord(
        peer=who.peer_key,
        stamp=RecordVersion(2, counter),
        device_name=name,
        os="Linux",
        version="test",
        claims=tuple(Claim(each, "AccessPoint") for each in sorted(links)),
    )
    return evolve(record, signature=(signer or who).sign(signed_bytes(record)))


@define(eq=False)
class FakeLink:
    """One end of a link: what is sent waits until the network carries it."""

    peer: PeerKey
    has_signed_presence: bool
    to_peer: deque[bytes] = field(factory=deque)
    refused: str | None = None

    def run(self, step: Callable[[Any], object]) -> None:
        if self.refused is None:
            step(self)

    def send_presence(self, records: Sequence[bytes]) -> None:
        self.to_peer.extend(records)

    def refuse(self, reason: str, detail: str = "") -> None:
        self.refused = f"{reason}: {detail}"


@define(eq=False, slots=False)
class Node:
    """A peer's presence, with its end of each of its links."""

    who: PeerIdentity
    version: int
    clock: Clock
    links: dict[PeerKey, FakeLink] = field(factory=dict)
    faults: list[tuple[PeerKey, RefusedRecord]] = field(factory=list)

    def __attrs_post_init__(self) -> None:
        local = evolve(record_of(self.who), stamp=RecordVersion(1, 0), signature=b"")
        self.graph = PresenceGraph(local)
        signs = self.version >= 2
        parts = PresenceParts(
            gossip=Gossip(self.graph, self.who.sign) if signs else FirstGossip(self.graph),
            compute=ComputationQueue(self.clock).run,
            refused=lambda link, record: self.faults.append((cast(PeerKey, link.peer), record)),
            clock=self.clock,
        )
        self.exchange = PresenceExchange(parts)

    @property
    def key(self) -> PeerKey:
        return self.who.peer_key

    @property
    def seen(self) -> set[PeerKey]:
        return {record.peer for record in self.graph.peers()}

    def begin(self, link: FakeLink) -> None:
        self.links[link.peer] = link
        self.exchange.begins(cast(Link, link))
        self.publish()

    def end(self, peer: PeerKey) -> None:
        self.exchange.ends(cast(Link, self.links.pop(peer)))
        self.publish()

    def publish(self) -> None:
        self.exchange.publish(Claim(each, "AccessPoint") for each in self.links)

    def hear(self, peer: PeerKey, *records: bytes) -> None:
        self.exchange.heard(cast(Link, self.links[peer]), records)


class Network:
    """Nodes with links between them; `settle` carries all that was said."""

    def __init__(self, *versions: int) -> None:
        self.clock = Clock()
        self.nodes = [Node(identity(n), each, self.clock) for n, each in enumerate(versions)]

    def link(self, one: int, other: int) -> None:
        a, b = self.nodes[one], self.nodes[other]
        signs = min(a.version, b.version) >= 2
        a.begin(FakeLink(b.key, signs))
        b.begin(FakeLink(a.key, signs))

    def cut(self, one: int, other: int) -> None:
        a, b = self.nodes[one], self.nodes[other]
        a.end(b.key)
        b.end(a.key)

    def settle(self) -> None:
        by_key = {node.key: node for node in self.nodes}
        is_moving = True
        while is_moving:
            is_moving = False
            for node in self.nodes:
                for peer, link in tuple(node.links.items()):
                    while link.to_peer:
                        is_moving = True
                        by_key[peer].hear(node.key, link.to_peer.popleft())
            while self.clock.getDelayedCalls():
                is_moving = True
                self.clock.advance(0)

    def of(self, *numbers: int) -> set[PeerKey]:
        return {self.nodes[number].key for number in numbers}


def test_all_see_all_and_a_cut_is_seen_everywhere() -> None:
    net = Network(2, 2, 2, 2)
    for one in range(3):
        net.link(one, one + 1)
        net.settle()
    assert [node.seen for node in net.nodes] == [
        net.of(1, 2, 3), net.of(0, 2, 3), net.of(0, 1, 3), net.of(0, 1, 2)
    ]  # fmt: skip
    net.cut(2, 3)
    net.settle()
    assert [node.seen for node in net.nodes] == [net.of(1, 2), net.of(0, 2), net.of(0, 1), set()]
    assert not any(node.faults for node in net.nodes)


def test_a_restart_with_an_older_clock_outdoes_what_is_known_of_its_older_life() -> None:
    net = Network(2, 2)
    net.link(0, 1)
    net.settle()
    us = net.nodes[0]
    older_life = record_of(us.who, counter=7, name="before the restart")
    us.hear(net.nodes[1].key, encode(older_life))
    net.settle()
    assert us.graph.local.stamp == RecordVersion(2, 8)
    assert net.nodes[1].graph.peers()[0].stamp == RecordVersion(2, 8)
    assert net.nodes[1].seen == net.of(0)


@pytest.mark.parametrize("seed", range(20))
def test_what_version_2_believes_is_what_each_peer_said(seed: int) -> None:
    """Versions mixed at random, links that come and go, forgers: no word of theirs is believed."""
    chance = random.Random(seed)
    net = Network(*(chance.choice([1, 2, 2]) for _ in range(6)))
    links: set[tuple[int, int]] = set()
    for _ in range(25):
        pair = tuple(sorted(chance.sample(range(6), 2)))
        one, other = pair
        if pair in links:
            links.remove((one, other))
            net.cut(one, other)
        else:
            links.add((one, other))
            net.link(one, other)
        if chance.random() < 0.5:
            net.settle()
        victim, forger = chance.choice(net.nodes), chance.choice(net.nodes)
        firsts = [each for each in net.nodes if each.version == 1 and each.links]
        if victim is not forger and firsts:
            lie = record_of(victim.who, counter=99, name="a lie", signer=forger.who)
            liar = chance.choice(firsts)
            if liar is not victim:
                for link in liar.links.values():
                    link.send_presence([encode(lie), encode(evolve(lie, signature=b""))])
    net.settle()
    for node in net.nodes:
        if node.version == 2:
            names = {record.device_name for record in node.graph.everything()}
            assert names == {""}, "a lie was believed"
            unsigned = {each.peer for each in node.graph.everything() if not each.signature}
            assert unsigned <= {each.key for each in net.nodes if each.version == 1}
        assert all(link.refused is None for link in node.links.values())


def test_version_1_is_seen_by_its_neighbours_and_by_version_1() -> None:
    """1 - 2 - 2 - 1: each 2 sees its own neighbours; signed records reach all, through anybody."""
    net = Network(1, 2, 2, 1)
    for one in range(3):
        net.link(one, one + 1)
        net.settle()
    assert net.nodes[1].seen == net.of(0, 2)
    assert net.nodes[2].seen == net.of(1, 3)
    assert net.nodes[0].seen == net.of(1, 2), "the unsigned record of 3 stays where it is"
    assert not net.nodes[1].faults


def test_signed_records_pass_through_version_1() -> None:
    net = Network(2, 1, 2)
    net.link(0, 1)
    net.link(1, 2)
    net.settle()
    assert net.nodes[0].seen == net.of(1, 2)
    assert net.nodes[2].seen == net.of(0, 1)


# -- forgers


def forgeries() -> list[bytes]:
    """Records of 3 as 1 makes them up, each another way."""
    victim, forger = identity(3), identity(1)
    true = record_of(victim)
    return [
        encode(record_of(victim, counter=5, signer=forger)),
        encode(evolve(true, stamp=RecordVersion(3, 3))),
        encode(evolve(true, stamp=RecordVersion(3, 3), signature=true.signature[:40])),
        encode(evolve(true, stamp=RecordVersion(3, 3), signature=bytes(64))),
        encode(evolve(true, stamp=RecordVersion(3, 3), signature=b"\xff" * 64)),
        encode(evolve(true, peer=PeerKey("pk" + "_" * 44), signature=bytes(64))),
        encode(evolve(true, signature=b"")),
        encode(true)[:-1],
        b"\xc1",
        b"",
    ]


@pytest.mark.parametrize("number", range(len(forgeries())))
def test_a_peer_that_signs_and_passes_a_forgery_on_loses_its_link(number: int) -> None:
    net = Network(2, 2, 2)
    net.link(0, 1)
    net.link(0, 2)
    net.settle()
    us, forger, other = net.nodes
    after = encode(record_of(identity(4)))
    us.hear(forger.key, forgeries()[number], after)
    net.settle()
    refused = us.links[forger.key].refused
    assert refused is not None and refused.startswith("protocol_violation: a ")
    assert [peer for peer, _ in us.faults] == [forger.key], "what came after it is not looked at"
    assert us.links[other.key].refused is None
    assert identity(3).peer_key not in {each.peer for each in us.graph.everything()}
    assert not other.faults, "nothing of it travels on"


def test_a_record_of_a_later_format_is_no_fault() -> None:
    net = Network(2, 2)
    net.link(0, 1)
    net.settle()
    us, peer = net.nodes
    us.hear(peer.key, b"\x92\x02\xa1x")
    net.settle()
    assert us.links[peer.key].refused is None and not us.faults


def test_what_version_1_forges_is_dropped_and_soon_nothing_of_it_is_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    net = Network(2, 1, 2)
    net.link(0, 1)
    net.link(0, 2)
    net.settle()
    us, first, other = net.nodes
    checked = counted(monkeypatch)
    lies = [encode(record_of(identity(3), counter=n, signer=first.who)) for n in range(200)]
    us.hear(first.key, *lies)
    net.settle()
    assert us.links[first.key].refused is None
    assert len(us.faults) == len(checked) == UNCHECKED_FAULTS.burst
    assert not other.faults and us.seen == net.of(1, 2)
    true = encode(record_of(identity(3)))
    us.hear(first.key, true)
    net.settle()
    assert len(checked) == UNCHECKED_FAULTS.burst, "not even looked at"
    net.clock.advance(1 / UNCHECKED_FAULTS.per_second)
    us.hear(first.key, true)
    net.settle()
    assert identity(3).peer_key in {each.peer for each in us.graph.everything()}


# -- cost


def counted(monkeypatch: pytest.MonkeyPatch) -> list[PeerKey]:
    """Return a list that grows with each signature that is verified."""
    checked: list[PeerKey] = []
    verify = signatures.is_signed_by

    def count(peer: PeerKey, signature: bytes, message: bytes) -> bool:
        checked.append(peer)
        return verify(peer, signature, message)

    monkeypatch.setattr(gossip, "is_signed_by", count)
    return checked


def test_what_is_no_news_is_not_verified(monkeypatch: pytest.MonkeyPatch) -> None:
    net = Network(2, 2)
    net.link(0, 1)
    net.settle()
    us, peer = net.nodes
    known = record_of(identity(3), counter=5)
    us.hear(peer.key, encode(known))
    net.settle()
    checked = counted(monkeypatch)
    us.hear(peer.key, *[encode(known)] * 1000, encode(record_of(identity(3), counter=4)))
    net.settle()
    assert checked == [] and us.links[peer.key].refused is None


def test_many_records_at_once_are_checked_one_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slice of the node's computations ends after some ms, so the reactor has its turn."""
    net = Network(2, 2)
    net.link(0, 1)
    net.settle()
    us, peer = net.nodes
    checked = counted(monkeypatch)
    ran: list[Generator[None, None, object]] = []

    def compute(steps: Generator[None, None, object]) -> Deferred[object]:
        ran.append(steps)
        return Deferred()

    us.exchange._parts = evolve(us.exchange._parts, compute=compute)
    records = [encode(record_of(identity(number))) for number in range(10, 74)]
    us.hear(peer.key, *records[:40])
    us.hear(peer.key, *records[40:])
    (steps,) = ran
    assert checked == []
    for done, _ in enumerate(steps, start=1):
        assert len(checked) == done
    assert len(checked) == len(records)


def test_what_waits_of_a_link_that_ends_is_dropped() -> None:
    net = Network(2, 2, 2)
    net.link(0, 1)
    net.link(0, 2)
    net.settle()
    us, peer, other = net.nodes
    us.hear(peer.key, *[encode(record_of(identity(number))) for number in range(10, 20)])
    net.cut(0, 1)
    net.settle()
    assert us.seen == net.of(2) and other.seen == net.of(0)
    assert len(us.graph.everything()) == 3

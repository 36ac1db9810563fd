# SPDX-License-Identifier: Apache-2.0
"""Discovery's bookkeeping, with a network that a test plays."""

from __future__ import annotations

from collections.abc import Callable

from attrs import define, field
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from edge_twisted.mesh.carriers.tcp import TcpPeerAddress
from edge_twisted.mesh.links.discovery import (
    LOOK_SECONDS,
    MAX_INSTANCES,
    Announcement,
    Discovery,
    DiscoveryParts,
    InstanceHandler,
    MeshNames,
)
from edge_twisted.mesh.trust.peer_key import PeerKey

DB_ID = "12345678-1234-4123-1234-123456789012"
NAMES = MeshNames(b"k" * 32, DB_ID)
US, THEM = PeerKey("pkUs"), PeerKey("pkThem")
ANNOUNCEMENT = Announcement(instance=NAMES.instance(US), ip="0.0.0.0", port=4040)


def target(number: int, port: int = 4040) -> TcpPeerAddress:
    return TcpPeerAddress(host=f"192.0.2.{number}", port=port)


@define(eq=False)
class FakeMdns:
    """A network that can be taken away."""

    here: frozenset[str] = frozenset({"192.0.2.7"})
    fails: bool = False
    opened: list[Announcement | None] = field(factory=list)
    closed: int = 0
    heard: InstanceHandler | None = None

    def addresses(self) -> frozenset[str]:
        return self.here

    def open(self, announcement: Announcement | None, heard: InstanceHandler) -> FakeMdns:
        if self.fails:
            raise OSError("Network is unreachable")
        self.opened.append(announcement)
        self.heard = heard
        return self

    def close(self) -> None:
        self.closed += 1


class DiscoveryTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.mdns = FakeMdns()
        self.dialled: list[TcpPeerAddress] = []
        self.discovery = Discovery(
            DiscoveryParts(
                mdns=self.mdns,
                names=NAMES,
                us=US,
                announce=ANNOUNCEMENT,
                found=self.dialled.append,
                vanished=self.dialled.remove,
                clock=self.clock,
                in_thread=maybeDeferred,
                from_thread=lambda call: call(),
            )
        )

    def start(self) -> None:
        self.discovery.start()
        self.clock.advance(0)

    def hear(self, name: str, *targets: TcpPeerAddress) -> None:
        assert self.mdns.heard is not None
        self.mdns.heard(name, targets)

    def test_names_tell_outsiders_nothing(self) -> None:
        other_key, other_db = MeshNames(b"K" * 32, DB_ID), MeshNames(b"k" * 32, DB_ID[::-1])
        self.assertEqual(len({NAMES.prefix, other_key.prefix, other_db.prefix}), 3)
        name = NAMES.instance(US)
        self.assertEqual(len(name), 33)
        self.assertTrue(name.startswith(NAMES.prefix))
        self.assertNotIn(DB_ID[:8], name)
        self.assertNotEqual(name, NAMES.instance(THEM))

    def test_what_is_found_is_dialled_and_forgotten_when_it_vanishes(self) -> None:
        self.start()
        self.assertEqual(self.mdns.opened, [ANNOUNCEMENT])
        them = NAMES.instance(THEM)
        self.hear(them, target(1), target(2))
        self.assertCountEqual(self.dialled, [target(1), target(2)])
        self.hear(them, target(2), target(3))
        self.assertCountEqual(self.dialled, [target(2), target(3)])
        self.hear(them)
        self.hear(them)
        self.assertEqual(self.dialled, [])

    def test_doubles_are_harmless(self) -> None:
        self.start()
        for _ in range(3):
            self.hear(NAMES.instance(THEM), target(1))
        self.assertEqual(self.dialled, [target(1)])
        other = NAMES.instance(PeerKey("pkOther"))
        self.hear(other, target(1))
        self.assertEqual(self.dialled, [target(1)])
        self.hear(NAMES.instance(THEM))
        self.assertEqual(self.dialled, [target(1)], "another one still announces it")
        self.hear(other)
        self.assertEqual(self.dialled, [])

    def test_we_and_other_meshes_are_left_alone(self) -> None:
        self.start()
        self.hear(NAMES.instance(US), target(1))
        self.hear(MeshNames(b"other", DB_ID).instance(THEM), target(2))
        self.hear("printer", target(3))
        self.assertEqual(self.dialled, [])

    def test_a_network_full_of_announcements_is_bounded(self) -> None:
        self.start()
        for number in range(MAX_INSTANCES * 2):
            name = NAMES.instance(PeerKey(f"pk{number}"))
            self.hear(name, *(target(number, port) for port in range(1, 20)))
        self.assertEqual(len(self.dialled), MAX_INSTANCES * 4)

    def test_without_a_network_it_says_so_once_and_tries_on(self) -> None:
        self.mdns.fails = True
        self.start()
        self.clock.pump([LOOK_SECONDS] * 3)
        self.assertEqual(self.mdns.opened, [])
        self.mdns.fails = False
        self.clock.advance(LOOK_SECONDS)
        self.assertEqual(len(self.mdns.opened), 1)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_new_addresses_of_the_machine_begin_it_anew(self) -> None:
        self.start()
        self.hear(NAMES.instance(THEM), target(1))
        self.clock.advance(LOOK_SECONDS)
        self.assertEqual((len(self.mdns.opened), self.mdns.closed), (1, 0))
        self.mdns.here = frozenset({"198.51.100.1"})
        self.clock.advance(LOOK_SECONDS)
        self.assertEqual((len(self.mdns.opened), self.mdns.closed), (2, 1))
        self.assertEqual(self.dialled, [], "what was found on the old network")

    def test_stopping_says_goodbye_and_forgets(self) -> None:
        self.start()
        self.hear(NAMES.instance(THEM), target(1))
        self.successResultOf(Deferred.fromCoroutine(self.discovery.stop()))
        self.assertEqual((self.mdns.closed, self.dialled), (1, []))
        self.hear(NAMES.instance(THEM), target(1))
        self.assertEqual(self.dialled, [], "a late word of a thread")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stopping_waits_for_a_start_under_way(self) -> None:
        waiting: list[tuple[Callable[[], object], Deferred[object]]] = []

        def later(work: Callable[[], object]) -> Deferred[object]:
            waiting.append((work, Deferred()))
            return waiting[-1][1]

        self.discovery._parts = DiscoveryParts(
            mdns=self.mdns,
            names=NAMES,
            us=US,
            announce=None,
            found=self.dialled.append,
            vanished=self.dialled.remove,
            clock=self.clock,
            in_thread=later,
            from_thread=lambda call: call(),
        )
        self.start()
        stopped = Deferred.fromCoroutine(self.discovery.stop())
        self.assertNoResult(stopped)
        while waiting:
            work, done = waiting.pop()
            done.callback(work())
        self.successResultOf(stopped)
        self.assertEqual((self.mdns.opened, self.mdns.closed), ([], 0))

# SPDX-License-Identifier: Apache-2.0
"""The dialer with a clock and connections that a test makes or fails."""

from __future__ import annotations

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from edge_twisted.mesh.carriers.carrier import PeerAddress, Unreachable
from edge_twisted.mesh.carriers.tcp import TcpPeerAddress
from edge_twisted.mesh.links.dialer import (
    ATTEMPT_SECONDS,
    STEADY_SECONDS,
    Dial,
    Dialer,
    DialParts,
    DialState,
)
from edge_twisted.mesh.links.link import Link
from edge_twisted.mesh.trust.peer_key import PeerKey
from edge_twisted.mesh.wire.end_reasons import SELF_REST_SECONDS

THEM = PeerKey("pkThem")
TARGET = TcpPeerAddress(host="192.0.2.1", port=4040)


@define(eq=False)
class FakeLink:
    """What the dialer looks at of a link."""

    met: Deferred[FakeLink] = field(factory=Deferred)
    done: Deferred[FakeLink] = field(factory=Deferred)
    peer: PeerKey | None = None
    outcome: str | None = None
    detail: str = ""
    refused: str | None = None

    def refuse(self, refusal: str, detail: str = "") -> None:
        self.refused = refusal

    def end(self, outcome: str) -> None:
        self.outcome = outcome
        self.done.callback(self)

    def meet(self) -> None:
        self.peer = THEM
        self.met.callback(self)


@define(eq=False)
class Peers:
    is_full: bool = False
    linked: set[PeerKey] = field(factory=set)

    def is_linked(self, peer: PeerKey) -> bool:
        return peer in self.linked


class DialerTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.peers = Peers()
        self.attempts: list[Deferred[Link]] = []
        parts = DialParts(
            connect=self.connect, peers=self.peers, clock=self.clock, draw=lambda: 0.999999
        )
        self.dialer = Dialer(parts, 2.0)

    def connect(self, target: PeerAddress) -> Deferred[Link]:
        self.attempts.append(Deferred())
        return self.attempts[-1]

    def dial(self) -> Dial:
        self.dialer.add(TARGET)
        self.clock.advance(0)
        return self.dialer.dials[0]

    def answer(self) -> FakeLink:
        link = FakeLink()
        self.attempts[-1].callback(link)  # type: ignore[arg-type]
        return link

    def test_an_address_is_dialled_for_ever_ever_more_slowly(self) -> None:
        self.dial()
        waits = []
        for _ in range(8):
            self.attempts[-1].errback(Unreachable("nothing listens there"))
            before, count = self.clock.seconds(), len(self.attempts)
            while len(self.attempts) == count:
                self.clock.advance(0.05)
            waits.append(round(self.clock.seconds() - before, 2))
        self.assertEqual(waits, sorted(waits))
        self.assertAlmostEqual(waits[-1], 2.0, delta=0.06)
        self.assertLess(waits[0], 0.31)

    def test_an_address_is_dialled_once(self) -> None:
        self.dial()
        self.dial()
        self.assertEqual(len(self.attempts), 1)

    def test_an_attempt_that_hangs_is_given_up(self) -> None:
        dial = self.dial()
        self.clock.advance(ATTEMPT_SECONDS)
        self.assertIs(dial.state, DialState.WAITING)
        self.clock.advance(1)
        self.assertEqual(len(self.attempts), 2)

    def test_a_link_that_lasted_starts_the_waits_anew(self) -> None:
        dial = self.dial()
        for _ in range(5):
            self.attempts[-1].errback(Unreachable("nothing listens there"))
            self.clock.advance(2)
        link = self.answer()
        link.meet()
        self.assertIs(dial.state, DialState.LINKED)
        self.clock.advance(STEADY_SECONDS)
        count = len(self.attempts)
        link.end("lost")
        self.clock.advance(0.25)
        self.assertEqual(len(self.attempts), count + 1)

    def test_a_link_that_ends_at_once_does_not(self) -> None:
        """As a full server ends it: both HELLOs were in, and still nothing was won."""
        self.dial()
        for _ in range(6):
            link = self.answer()
            link.meet()
            link.end("too_many_connections")
            self.clock.advance(2)
        count = len(self.attempts)
        self.answer().end("too_many_connections")
        self.clock.advance(1.9)
        self.assertEqual(len(self.attempts), count)

    def test_an_address_of_a_linked_peer_rests_until_that_link_ends(self) -> None:
        dial = self.dial()
        link = self.answer()
        link.peer = THEM
        self.peers.linked.add(THEM)
        link.end("duplicate_link")
        self.assertIs(dial.state, DialState.RESTING)
        self.clock.advance(1000)
        self.assertEqual(len(self.attempts), 1)
        self.peers.linked.clear()
        self.dialer.peer_left(PeerKey("pkOther"))
        self.clock.advance(10)
        self.assertEqual(len(self.attempts), 1)
        self.dialer.peer_left(THEM)
        self.clock.advance(0.25)
        self.assertEqual(len(self.attempts), 2)

    def test_a_duplicate_whose_twin_failed_is_dialled_again(self) -> None:
        self.dial()
        link = self.answer()
        link.peer = THEM
        link.end("duplicate_link")
        self.clock.advance(0.25)
        self.assertEqual(len(self.attempts), 2)

    def test_our_own_address_rests_long(self) -> None:
        dial = self.dial()
        self.answer().end("self_link")
        self.assertIs(dial.state, DialState.SELF)
        self.clock.advance(SELF_REST_SECONDS - 1)
        self.assertEqual(len(self.attempts), 1)
        self.clock.advance(1)
        self.assertEqual(len(self.attempts), 2)

    def test_a_full_server_does_not_dial(self) -> None:
        self.peers.is_full = True
        dial = self.dial()
        self.clock.advance(100)
        self.assertEqual(self.attempts, [])
        self.assertEqual(dial.problem, "too_many_connections")
        self.peers.is_full = False
        self.clock.advance(2)
        self.assertEqual(len(self.attempts), 1)

    def test_a_removed_address_is_left_alone_and_its_link_too(self) -> None:
        self.dial()
        link = self.answer()
        link.meet()
        self.dialer.remove(TARGET)
        self.assertIsNone(link.refused)
        link.end("lost")
        self.clock.advance(1000)
        self.assertEqual(len(self.attempts), 1)
        self.dialer.remove(TARGET)

    def test_removing_ends_an_attempt(self) -> None:
        self.dial()
        self.dialer.stop()
        self.assertTrue(self.attempts[0].called, "cancelled")
        self.clock.advance(1000)
        self.assertEqual(len(self.attempts), 1)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_way_that_cannot_be_taken_is_a_failed_try(self) -> None:
        def fail(target: PeerAddress) -> Deferred[Link]:
            raise UnicodeError("label too long")

        parts = DialParts(connect=fail, peers=self.peers, clock=self.clock, draw=lambda: 0.5)
        dialer = Dialer(parts, 2.0)
        dialer.add(TARGET)
        self.clock.advance(0)
        self.assertEqual(dialer.dials[0].problem, "label too long")
        self.assertIs(dialer.dials[0].state, DialState.WAITING)

    def test_problems_are_named_in_words(self) -> None:
        dial = self.dial()
        for error, words in (
            (Unreachable("nothing listens there"), "nothing listens there"),
            (KeyError(), "KeyError"),
        ):
            self.attempts[-1].errback(error)
            self.assertEqual(dial.problem, words)
            self.clock.advance(2)

    def test_a_shorter_bound_holds_for_those_who_wait(self) -> None:
        dial = self.dial()
        for _ in range(5):
            self.attempts[-1].errback(Unreachable("nothing listens there"))
            self.clock.advance(2)
        self.dialer.set_most_seconds(0.1)
        self.assertLessEqual(dial.backoff.delay(), 0.1)

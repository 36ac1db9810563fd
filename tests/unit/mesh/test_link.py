# SPDX-License-Identifier: Apache-2.0
"""A link against a transport in memory: time, back-pressure, effects in order, its end."""

from __future__ import annotations

from collections.abc import Generator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from OpenSSL import SSL
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from edge_twisted.documents.clock import Timestamp
from edge_twisted.documents.versions import Replica, SiteId
from edge_twisted.mesh.carriers.carrier import LinkRoute
from edge_twisted.mesh.carriers.unix import UnixCarrier
from edge_twisted.mesh.links.link import CLOSE_SECONDS, HANDSHAKE_SECONDS, MAX_STALLED_BYTES, Link
from edge_twisted.mesh.ports.effects import (
    Ask,
    Close,
    Compute,
    Effect,
    Established,
    Send,
    Tell,
    Token,
)
from edge_twisted.mesh.ports.requests import Answer, DocumentRequest, Observe, Scope
from edge_twisted.mesh.trust.certificates import issue
from edge_twisted.mesh.trust.peer_key import peer_key
from edge_twisted.mesh.wire.end_reasons import EndReason
from edge_twisted.mesh.wire.features import Features
from edge_twisted.mesh.wire.items import ScopeKey
from tests.support.mesh_peers import NoDocuments

KEY = ec.generate_private_key(ec.SECP256R1())
THEM = peer_key(KEY.public_key())
REPLICA = Replica(SiteId(b"\x01" * 16), 1)
OBSERVE = Observe(clock=Timestamp(0), of_us=0)


class Transport(StringTransport):
    """A transport as TLS gives it to a link, that remembers how it was ended."""

    certificate: x509.Certificate = issue(KEY, KEY.public_key(), datetime(2026, 1, 1, tzinfo=UTC))
    aborted = False

    def getHandle(self) -> Any:
        return SimpleNamespace(get_peer_certificate=lambda as_cryptography: self.certificate)

    def abortConnection(self) -> None:
        self.aborted = True


class Documents(NoDocuments):
    """Answers when told to."""

    asked: list[Deferred[Answer]]

    def perform(self, request: DocumentRequest) -> Deferred[Answer]:
        self.asked.append(Deferred(lambda _: None))
        return self.asked[-1]


class ScriptedSession:
    """A session whose next effects a test puts in, and that writes down what it was told."""

    def __init__(self) -> None:
        self.effects: list[Effect] = []
        self.told: list[tuple[object, ...]] = []
        self.wants_bytes = True
        self.is_idle = True

    def _next(self, *told: object) -> list[Effect]:
        self.told.append(told)
        effects, self.effects = self.effects, []
        return effects

    def start(self, now: float) -> list[Effect]:
        return self._next("start")

    def receive(self, data: bytes, now: float) -> list[Effect]:
        return self._next("receive", data)

    def tick(self, now: float) -> list[Effect]:
        return self._next("tick", now)

    def answered(self, token: Token, answer: object, now: float) -> list[Effect]:
        return self._next("answered", token, answer)

    def failed(self, token: Token, error: Exception, now: float) -> list[Effect]:
        return self._next("failed", token, type(error))

    def committed(self, lsn: int, collections: frozenset[str], now: float) -> list[Effect]:
        return self._next("committed", lsn)

    def cursors_dropped(self, collections: frozenset[str], now: float) -> list[Effect]:
        return self._next("cursors_dropped")

    def subscribe(self, scope: Scope, now: float) -> list[Effect]:
        return self._next("subscribe", scope)

    def unsubscribe(self, key: ScopeKey, now: float) -> list[Effect]:
        return self._next("unsubscribe", key)

    def lost(self) -> None:
        self.told.append(("lost",))

    def send_presence(self, records: tuple[bytes, ...]) -> list[Effect]:
        return self._next("presence", records)

    def send_blob(self, message: bytes) -> list[Effect]:
        return self._next("blob", message)

    def refuse(self, reason: str, detail: str = "") -> list[Effect]:
        self.told.append(("refuse", reason))
        return [Send(b"refused"), Close(reason, detail)]


class Owner:
    """A node that takes every link and writes down what it hears."""

    def __init__(self) -> None:
        self.session = ScriptedSession()
        self.heard: list[object] = []

    def certified(self, link: Link, peer: str) -> ScriptedSession | None:
        self.heard.append(("certified", peer))
        return self.session

    def established(self, link: Link, event: Established) -> None:
        self.heard.append(("established", event.device_name))

    def compute(self, steps: Generator[None, None, object]) -> Deferred[object]:
        self.computed = list(steps)
        return succeed(len(self.computed))

    def told(self, link: Link, event: object) -> None:
        self.heard.append(event)

    def ended(self, link: Link) -> None:
        self.heard.append(("ended", link.outcome))


class Carrier(UnixCarrier):
    """A carrier that dials nobody, and writes down which connections it was shown."""

    def __init__(self) -> None:
        self.prepared: list[object] = []

    def prepare(self, connection: object) -> None:
        self.prepared.append(connection)


class LinkTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.owner = Owner()
        self.session = self.owner.session
        self.documents = Documents(REPLICA)
        self.documents.asked = []
        self.carrier = Carrier()
        route = LinkRoute(carrier=self.carrier, address="somewhere", network="network")
        self.link = Link(self.owner, self.documents, self.clock, route)
        self.transport = Transport()
        self.link.makeConnection(self.transport)

    def meet(self) -> None:
        self.link.handshakeCompleted()
        self.give(Tell(Established(THEM, "till", REPLICA, Features(2))))

    def give(self, *effects: Effect) -> None:
        self.session.effects = list(effects)
        self.link.dataReceived(b"x")

    def test_its_carrier_prepares_the_connection(self) -> None:
        self.assertEqual(self.carrier.prepared, [self.transport])
        self.assertEqual(self.link.address, "somewhere")

    # -- until both hellos

    def test_the_session_starts_when_tls_is_through(self) -> None:
        self.link.dataReceived(b"early")
        self.assertEqual(self.session.told, [])
        self.session.effects = [Send(b"hello")]
        self.link.handshakeCompleted()
        self.assertEqual(self.owner.heard, [("certified", THEM)])
        self.assertEqual(self.session.told, [("start",)])
        self.assertEqual(self.transport.value(), b"hello")

    def test_silence_before_tls_has_its_limit(self) -> None:
        self.clock.advance(HANDSHAKE_SECONDS - 0.1)
        self.link.tick()
        self.assertFalse(self.transport.aborted)
        self.clock.advance(0.1)
        self.link.tick()
        self.assertTrue(self.transport.aborted)
        self.assertEqual(self.link.outcome, "handshake_timeout")

    def test_silence_after_tls_has_the_same_limit(self) -> None:
        self.link.handshakeCompleted()
        self.clock.advance(HANDSHAKE_SECONDS)
        self.link.tick()
        self.assertTrue(self.transport.aborted)
        self.assertEqual(self.link.outcome, "handshake_timeout")

    def test_after_both_hellos_the_session_alone_keeps_time(self) -> None:
        self.meet()
        self.clock.advance(HANDSHAKE_SECONDS * 2)
        self.link.tick()
        self.assertFalse(self.transport.aborted)
        self.assertEqual(self.session.told[-1], ("tick", HANDSHAKE_SECONDS * 2))
        self.assertIs(self.successResultOf(self.link.met), self.link)

    def test_a_hello_of_another_than_the_certificate_names_is_refused(self) -> None:
        self.link.handshakeCompleted()
        self.give(Tell(Established("pkOther", "till", REPLICA, Features(2))))
        self.assertEqual(self.session.told[-1], ("refuse", "protocol_violation"))
        self.assertIsNone(self.link.ends)
        self.assertTrue(self.transport.disconnecting)

    def test_a_certificate_that_does_not_name_its_key_is_refused(self) -> None:
        other = ec.generate_private_key(ec.SECP384R1())
        name = x509.Name([])
        self.transport.certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(other.public_key())
            .serial_number(1)
            .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
            .not_valid_after(datetime(2030, 1, 1, tzinfo=UTC))
            .sign(other, SHA256())
        )
        self.link.handshakeCompleted()
        self.assertTrue(self.transport.aborted)
        self.assertEqual(self.owner.heard, [])

    # -- effects

    def test_effects_are_carried_out_in_order(self) -> None:
        self.meet()
        event = object()
        self.give(Send(b"a"), Ask(Token(1), OBSERVE), Tell(event), Send(b"b"))  # type: ignore[arg-type]
        self.assertEqual(self.transport.value(), b"ab")
        self.assertIs(self.owner.heard[-1], event)
        self.session.effects = [Send(b"c")]
        self.documents.asked[0].callback(None)
        self.assertEqual(self.session.told[-1], ("answered", 1, None))
        self.assertEqual(self.transport.value(), b"abc")

    def test_computations_are_answered_like_questions(self) -> None:
        self.meet()
        self.give(Compute(Token(3), (None for _ in range(5))))
        self.assertEqual(self.session.told[-1], ("answered", 3, 5))

    def test_a_failed_question_is_told(self) -> None:
        self.meet()
        self.give(Ask(Token(7), OBSERVE))
        self.documents.asked[0].errback(ValueError("no"))
        self.assertEqual(self.session.told[-1], ("failed", 7, ValueError))

    def test_questions_die_with_the_connection(self) -> None:
        self.meet()
        self.give(Ask(Token(1), OBSERVE))
        self.link.connectionLost(Failure(ConnectionDone()))
        self.assertTrue(self.documents.asked[0].called, "cancelled")
        self.assertNotIn("failed", [each[0] for each in self.session.told])

    def test_a_session_that_raises_costs_its_link_only(self) -> None:
        self.meet()
        self.session.receive = lambda data, now: 1 / 0  # type: ignore[assignment,return-value]
        self.link.dataReceived(b"x")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertTrue(self.transport.aborted)
        self.assertEqual(self.link.outcome, "internal_error")

    # -- back-pressure

    def test_the_connection_is_read_while_the_session_digests(self) -> None:
        self.meet()
        self.session.wants_bytes = False
        self.give(Ask(Token(1), OBSERVE))
        self.assertEqual(self.transport.producerState, "paused")
        self.session.wants_bytes = True
        self.documents.asked[0].callback(None)
        self.assertEqual(self.transport.producerState, "producing")

    def test_bytes_of_low_priority_wait_for_a_full_transport(self) -> None:
        self.meet()
        self.assertTrue(self.link.has_room)
        self.assertIs(self.transport.producer, self.link)
        self.link.pauseProducing()
        self.assertFalse(self.link.has_room)
        self.link.resumeProducing()
        self.session.is_idle = False
        self.assertFalse(self.link.has_room)

    def test_a_peer_that_never_reads_is_given_up(self) -> None:
        self.meet()
        self.link.pauseProducing()
        chunk = b"x" * (1 << 20)
        for _ in range(MAX_STALLED_BYTES // len(chunk)):
            self.give(Send(chunk))
        self.assertFalse(self.transport.aborted)
        self.give(Send(chunk))
        self.assertTrue(self.transport.aborted)
        self.assertEqual(self.link.outcome, "stalled")

    # -- the end

    def test_last_words_are_sent_and_nothing_after_them(self) -> None:
        self.meet()
        self.give(Send(b"bye"), Close("goodbye"), Send(b"never"))
        self.assertEqual(self.transport.value(), b"bye")
        self.assertTrue(self.transport.disconnecting)
        self.assertIsNone(self.transport.producer)
        told = list(self.session.told)
        self.link.dataReceived(b"more")
        self.link.tick()
        self.assertEqual(self.session.told, told)

    def test_a_peer_that_does_not_take_last_words_is_cut_off(self) -> None:
        self.meet()
        self.give(Close("goodbye"))
        self.clock.advance(CLOSE_SECONDS)
        self.link.tick()
        self.assertTrue(self.transport.aborted)

    def test_a_peer_that_fell_silent_is_cut_off_at_once(self) -> None:
        self.meet()
        self.give(Send(b"bye"), Close("lost", "nothing came"))
        self.assertTrue(self.transport.aborted)

    def test_closing_resumes_a_paused_connection(self) -> None:
        self.meet()
        self.session.wants_bytes = False
        self.give()
        self.link.refuse(EndReason.DUPLICATE_LINK)
        self.assertEqual(self.transport.producerState, "producing")

    def test_the_first_word_on_the_end_counts(self) -> None:
        self.meet()
        self.give(Close("clock_skew", "by an hour", by_peer=True))
        self.link.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(self.owner.heard[-1], ("ended", "clock_skew"))
        self.assertIs(self.successResultOf(self.link.done), self.link)
        self.assertEqual(self.link.detail, "by an hour")
        self.assertFalse(self.link.refused_by_us)

    def test_what_the_session_refuses_is_refused_by_us(self) -> None:
        self.meet()
        self.give(Close("clock_skew", "by an hour"))
        self.assertTrue(self.link.refused_by_us)

    def test_what_tls_says_before_the_hellos_is_a_question_of_membership(self) -> None:
        error = SSL.Error([("SSL routines", "", "tlsv1 alert unknown ca")])
        self.link.handshakeCompleted()
        self.link.connectionLost(Failure(error))
        self.assertEqual(
            (self.link.outcome, self.link.detail), ("not_a_member", "tlsv1 alert unknown ca")
        )
        self.assertFalse(self.link.refused_by_us)

    def test_whose_dislike_ended_tls_is_told(self) -> None:
        """An alert is the peer's; what our own verification says is ours."""
        error = SSL.Error([("SSL routines", "", "certificate verify failed")])
        self.link.connectionLost(Failure(error))
        self.assertEqual(self.link.outcome, "not_a_member")
        self.assertTrue(self.link.refused_by_us)

    def test_what_tls_says_later_is_a_broken_connection(self) -> None:
        self.meet()
        self.link.connectionLost(Failure(SSL.Error([("SSL routines", "", "bad record mac")])))
        self.assertEqual(self.link.outcome, "lost")

# SPDX-License-Identifier: Apache-2.0
"""Links over real sockets and real TLS: who gets in, who does not, who does harm."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import cast

from attrs import define, evolve
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from edge_twisted.config.model import DatabaseConfig, Secret, SmallPeerOnly, TemporaryFolder
from edge_twisted.mesh.carriers.carrier import PeerAddress
from edge_twisted.mesh.links.connectors import Connector, LinkAcceptor
from edge_twisted.mesh.links.dialer import Dialer, DialParts, DialState
from edge_twisted.mesh.links.node import Limits
from edge_twisted.mesh.presence.codec import encode
from edge_twisted.mesh.presence.graph import RecordVersion
from edge_twisted.mesh.trust.authority import Authority, authority_of
from edge_twisted.mesh.trust.identity import PeerIdentity
from edge_twisted.mesh.trust.tls import MeshTls
from edge_twisted.mesh.wire.end_reasons import EndReason
from edge_twisted.mesh.wire.features import VERSIONS
from edge_twisted.services.listening import stop_listening
from tests.integration.reactor import reactor
from tests.support.carriers import TriedCarrier, TriedTcp, TriedUnix
from tests.support.mesh_peers import TestPeer, test_peer

DB_ID = "12345678-1234-4123-1234-123456789012"
RETRY_SECONDS = 0.2


@define(eq=False)
class Server:
    """A peer with its listener and its dialer."""

    peer: TestPeer
    dialer: Dialer
    ports: Sequence[IListeningPort]
    tls: MeshTls
    address: PeerAddress

    async def stop(self) -> None:
        self.dialer.stop()
        await stop_listening(self.ports)
        for link in self.peer.node.stop():
            await link.done


class LinkSuite(TestCase):
    """What has to hold over every carrier; a subclass for each is at the end of this module."""

    timeout = 60

    def make_carrier(self) -> TriedCarrier:
        raise NotImplementedError

    def setUp(self) -> None:
        self.tried = self.make_carrier()
        self.carrier = self.tried.carrier
        self.addCleanup(self.tried.close)
        self.events: list[LogEvent] = []
        observer = cast(ILogObserver, self.events.append)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)

    def server(
        self,
        name: str,
        token: str = "secret",
        db_id: str = DB_ID,
        key_b64: str | None = None,
        *,
        identity: PeerIdentity | None = None,
        versions: tuple[int, ...] = VERSIONS,
        limits: Limits | None = None,
        now: datetime | None = None,
    ) -> Server:
        auth = SmallPeerOnly(
            offline_license_token=Secret(token), key_b64=Secret(key_b64) if key_b64 else None
        )
        authority = authority_of(
            DatabaseConfig(
                db_id=db_id, device_name=name, auth=auth, persistence_dir=TemporaryFolder()
            )
        )
        assert isinstance(authority, Authority)
        identity = identity or PeerIdentity.of(ec.generate_private_key(ec.SECP256R1()))
        peer = test_peer(identity, name, reactor, versions=versions, limits=limits)
        tls = MeshTls(authority, identity, now or datetime.now(UTC))
        acceptor = LinkAcceptor(peer.node, tls, reactor, self.carrier)
        ports = self.successResultOf(
            Deferred.fromCoroutine(self.carrier.listen(self.tried.free(), acceptor))
        )
        connector = Connector(peer.node, tls, reactor, [self.carrier])
        parts = DialParts(
            connect=connector.connect, peers=peer.node, clock=reactor, draw=lambda: 0.5
        )
        dialer = Dialer(parts, RETRY_SECONDS)
        peer.node.on_peer_left(dialer.peer_left)
        server = Server(peer, dialer, ports, tls, self.tried.address_of(ports[0]))
        self.addCleanup(lambda: Deferred.fromCoroutine(server.stop()))
        return server

    async def until(self, true: Callable[[], object]) -> None:
        """Wait; the test's timeout is the limit."""
        while not true():
            await deferLater(reactor, 0.01)

    def refusals(self, of: Server) -> set[str]:
        """What was logged as refused on links to or from a server's address."""
        return {str(e["refusal"]) for e in self.events if e.get("refusal")}

    def named(self, refusal: str) -> list[LogEvent]:
        """What was logged of one refusal."""
        return [e for e in self.events if e.get("refusal") == refusal]

    # -- membership

    async def test_one_secret_one_mesh(self) -> None:
        a, b, c = self.server("a"), self.server("b"), self.server("c")
        b.dialer.add(a.address)
        c.dialer.add(b.address)
        await self.until(lambda: a.peer.seen == ["b", "c"])
        await self.until(lambda: c.peer.seen == ["a", "b"])
        await self.until(lambda: b.peer.seen == ["a", "c"])
        self.assertEqual(a.peer.observer.events, [("connected", "b")])
        await c.stop()
        await self.until(lambda: a.peer.seen == ["b"])
        self.assertEqual(self.refusals(a), set())

    async def test_a_shared_key_makes_a_mesh_whatever_the_tokens(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        der = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        shared = base64.b64encode(der).decode()
        a = self.server("a", token="x", key_b64=shared)
        b = self.server("b", token="y", key_b64=shared)
        b.dialer.add(a.address)
        await self.until(lambda: a.peer.seen == ["b"] and b.peer.seen == ["a"])

    async def check_not_a_member(self, a: Server, b: Server) -> None:
        b.dialer.add(a.address)
        await self.until(lambda: b.dialer.dials[0].problem.startswith("not_a_member"))
        # Each side finds out for itself, in any order.
        await self.until(lambda: len(self.named("not_a_member")) == 2)
        named = self.named("not_a_member")
        self.assertEqual(
            sorted(str(e["address"]) for e in named),
            sorted([self.tried.origin, str(a.address)]),
            "both sides",
        )
        self.assertTrue(all(e["log_level"].name == "warn" for e in named))
        self.assertEqual((a.peer.seen, b.peer.seen), ([], []))
        self.assertEqual(a.peer.observer.events + b.peer.observer.events, [])

    async def test_a_wrong_secret_is_named_on_both_sides(self) -> None:
        await self.check_not_a_member(self.server("a"), self.server("b", token="wrong"))

    async def test_a_wrong_database_is_named_on_both_sides(self) -> None:
        other = "00000000-1234-4123-1234-123456789012"
        await self.check_not_a_member(self.server("a"), self.server("b", db_id=other))

    async def test_a_shared_key_on_one_side_only(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        der = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        shared = base64.b64encode(der).decode()
        await self.check_not_a_member(self.server("a"), self.server("b", key_b64=shared))

    async def test_a_certificate_from_decades_ago_is_left_to_the_hello(self) -> None:
        past = datetime.now(UTC) - timedelta(days=365 * 25)
        a, b = self.server("a"), self.server("b", now=past)
        b.dialer.add(a.address)
        await self.until(lambda: a.peer.seen == ["b"] and b.peer.seen == ["a"])

    # -- who stays

    async def test_a_self_link_ends_and_rests(self) -> None:
        a = self.server("a")
        a.dialer.add(a.address)
        await self.until(lambda: a.dialer.dials[0].state is DialState.SELF)
        self.assertEqual(self.refusals(a), {"self_link"})
        self.assertEqual(a.peer.observer.events, [])
        await deferLater(reactor, 3 * RETRY_SECONDS)
        self.assertEqual(a.dialer.dials[0].state, DialState.SELF)

    async def test_when_both_dial_one_link_stays(self) -> None:
        a, b = self.server("a"), self.server("b")
        a.dialer.add(b.address)
        b.dialer.add(a.address)
        await self.until(lambda: a.peer.seen == ["b"] and b.peer.seen == ["a"])
        states = {DialState.LINKED, DialState.RESTING}
        await self.until(lambda: {a.dialer.dials[0].state, b.dialer.dials[0].state} == states)
        await self.until(lambda: len(a.peer.node._links) == len(b.peer.node._links) == 1)
        smaller = min((a, b), key=lambda each: each.peer.node.us)
        self.assertEqual(smaller.dialer.dials[0].state, DialState.LINKED)
        for each in (a, b):
            self.assertEqual(len(each.peer.observer.events), 1, "one peer came, none went")
        self.assertEqual(self.refusals(a), set(), "nothing that anybody has to hear of")

    async def test_two_addresses_of_one_peer_make_one_link(self) -> None:
        a, b = self.server("a"), self.server("b")
        b.dialer.add(a.address)
        b.dialer.add(self.tried.other_name(a.address))
        await self.until(lambda: a.peer.seen == ["b"] and b.peer.seen == ["a"])
        await self.until(
            lambda: {each.state for each in b.dialer.dials} == {DialState.LINKED, DialState.RESTING}
        )
        await self.until(lambda: len(a.peer.node._links) == 1)
        self.assertEqual(a.peer.observer.events, [("connected", "b")])

    async def test_a_resting_address_takes_over(self) -> None:
        a, b = self.server("a"), self.server("b")
        b.dialer.add(a.address)
        await self.until(lambda: b.peer.seen == ["a"])
        second = self.tried.other_name(a.address)
        b.dialer.add(second)
        await self.until(lambda: b.dialer.dials[1].state is DialState.RESTING)
        b.dialer.remove(a.address)
        self.assertEqual(b.peer.seen, ["a"], "removing an address cuts nothing")
        next(iter(b.peer.node.peers.values())).abort(EndReason.LOST)
        await self.until(lambda: b.dialer.dials[0].state is DialState.LINKED)
        await self.until(lambda: a.peer.seen == ["b"])

    async def test_two_lives_of_one_identity_are_named(self) -> None:
        a = self.server("a")
        identity = PeerIdentity.of(ec.generate_private_key(ec.SECP256R1()))
        b = self.server("b", identity=identity)
        copy = self.server("copy", identity=identity)
        b.dialer.add(a.address)
        await self.until(lambda: a.peer.seen == ["b"])
        copy.dialer.add(a.address)
        await self.until(lambda: "duplicate_peer" in self.refusals(a))
        self.assertEqual(a.peer.seen, ["b"])
        copy.dialer.stop()
        copy.dialer.add(b.address)
        await self.until(lambda: "duplicate_peer" in copy.dialer.dials[0].problem)

    async def test_a_full_server_says_so(self) -> None:
        a = self.server("a", limits=Limits(connections=1))
        b, c = self.server("b"), self.server("c")
        b.dialer.add(a.address)
        await self.until(lambda: a.peer.seen == ["b"])
        c.dialer.add(a.address)
        await self.until(lambda: "too_many_connections" in self.refusals(a))
        self.assertEqual(a.peer.observer.events, [("connected", "b")])
        await b.stop()
        await self.until(lambda: a.peer.seen == ["c"])

    async def test_a_peer_that_comes_back_is_linked_again(self) -> None:
        a, b = self.server("a"), self.server("b")
        b.dialer.add(a.address)
        for _ in range(3):
            await self.until(lambda: a.peer.seen == ["b"] and b.peer.seen == ["a"])
            next(iter(a.peer.node.peers.values())).abort(EndReason.LOST)
            await self.until(lambda: a.peer.seen == [])

    # -- presence

    async def test_who_forges_presence_loses_its_link_and_others_do_not_notice(self) -> None:
        a, b, c = self.server("a"), self.server("b"), self.server("c")
        for each in (b, c):
            each.dialer.add(a.address)
        await self.until(lambda: b.peer.seen == ["a", "c"] and c.peer.seen == ["a", "b"])
        link = b.peer.node.peers[a.peer.node.us]
        forged = encode(
            evolve(c.peer.graph.local, stamp=RecordVersion(9, 9), device_name="mallory")
        )
        link.run(lambda session: session.send_presence((forged,)))
        await link.done
        self.assertEqual(link.outcome, "protocol_violation")
        detail = f"a forged record of {c.peer.node.us}"
        await self.until(lambda: [e for e in self.events if e.get("detail") == detail])
        # Of the two ends of the new link, either may be the first to know it.
        await self.until(lambda: b.peer.seen == ["a", "c"] and "b" in a.peer.seen)
        self.assertEqual(a.peer.seen, ["b", "c"], "nobody is called mallory")
        self.assertIn(("RefusedRecord", "b"), a.peer.observer.events)
        self.assertNotIn(("disconnected", "c"), a.peer.observer.events)

    async def test_a_peer_of_version_1_is_seen_by_those_that_it_is_linked_with(self) -> None:
        """And by others of version 1, whatever is between; it sees everybody itself."""
        old, older = self.server("old", versions=(1,)), self.server("older", versions=(1,))
        a, b = self.server("a"), self.server("b")
        b.dialer.add(a.address)
        await self.until(lambda: b.peer.seen == ["a"])
        old.dialer.add(a.address)
        older.dialer.add(a.address)
        await self.until(lambda: a.peer.seen == ["b", "old", "older"])
        await self.until(lambda: old.peer.seen == ["a", "b", "older"])
        await self.until(lambda: older.peer.seen == ["a", "b", "old"])
        self.assertEqual(b.peer.seen, ["a"])
        claims = {claim.peer for claim in b.peer.graph.peers()[0].claims}
        self.assertIn(old.peer.node.us, claims, "what a says of itself is whole")
        self.assertEqual(self.refusals(a), set())

    # -- strangers

    async def test_strangers_cost_little_and_members_get_in(self) -> None:
        """200 silent connections: few are kept, and the links that are there do not notice."""
        a = self.server("a", limits=Limits(connections=2, strangers=8))
        b = self.server("b")
        b.dialer.add(a.address)
        await self.until(lambda: a.peer.seen == ["b"])
        silent = [await self.stranger(a) for _ in range(200)]
        await self.until(lambda: sum(each.lost is not None for each in silent) == 192)
        self.assertEqual(a.peer.node.strangers, 8)
        self.assertEqual(a.peer.seen, ["b"])
        lines = [e for e in self.events if e.get("refusal") == "too_many_connections"]
        self.assertEqual(len(lines), 1, "one line, not 192")
        for each in silent:
            each.close()
        await self.until(lambda: a.peer.node.strangers == 0)
        c = self.server("c")
        c.dialer.add(a.address)
        await self.until(lambda: a.peer.seen == ["b", "c"])

    async def test_garbage_before_tls_ends_the_connection(self) -> None:
        a = self.server("a")
        for garbage in (b"GET / HTTP/1.1\r\n\r\n", bytes(range(256)) * 50, b"\x16\x03\x01\xff\xff"):
            stranger = await self.stranger(a)
            stranger.send(garbage)
            stranger.send(garbage * 100)
            await self.until(lambda s=stranger: s.lost is not None)  # type: ignore[misc]
        self.assertEqual(self.refusals(a), {"not_a_member"})
        await self.until(lambda: a.peer.node.strangers == 0)

    async def test_garbage_of_a_member_ends_its_link_only(self) -> None:
        a, b = self.server("a"), self.server("b")
        b.dialer.add(a.address)
        await self.until(lambda: a.peer.seen == ["b"])
        c = self.server("c")
        connector = Connector(c.peer.node, c.tls, reactor, [self.carrier])
        link = await connector.connect(a.address)
        await link.met
        assert link.transport is not None
        link.transport.write(b"\xff" * 5000)
        await link.done
        self.assertEqual(link.outcome, "protocol_violation")
        self.assertEqual(a.peer.seen, ["b"])

    async def stranger(self, server: Server) -> Stranger:
        stranger = await self.carrier.connect(server.address, Factory.forProtocol(Stranger))
        assert isinstance(stranger, Stranger)
        return stranger


class Stranger(Protocol):
    """A connection that knows nothing of the mesh."""

    lost: Failure | None = None

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost = reason

    def send(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(data)

    def close(self) -> None:
        assert self.transport is not None
        self.transport.loseConnection()


class LinksOverTcp(LinkSuite):
    def make_carrier(self) -> TriedCarrier:
        return TriedTcp(reactor)


class LinksOverUnixSockets(LinkSuite):
    def make_carrier(self) -> TriedCarrier:
        return TriedUnix(reactor)


# What collects tests takes the suite by its base class too.
del LinkSuite

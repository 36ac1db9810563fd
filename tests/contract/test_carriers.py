# SPDX-License-Identifier: Apache-2.0
"""What every carrier of the mesh must do, for a link on it to work."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionRefusedError, DNSLookupError, TimeoutError
from twisted.internet.interfaces import IAddress, IListeningPort, IProtocol, ITCPTransport
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase

from edge_twisted.mesh.carriers import tcp
from edge_twisted.mesh.carriers.carrier import CarrierConnection, PeerAddress, Unreachable
from edge_twisted.mesh.carriers.tcp import TcpCarrier, TcpPeerAddress
from edge_twisted.mesh.carriers.unix import UnixPeerAddress
from edge_twisted.services.listening import stop_listening
from tests.integration.reactor import reactor
from tests.support.carriers import TriedCarrier, TriedTcp, TriedUnix

#: More than the buffers of any carrier together.
MUCH = bytes(range(256)) * (1 << 16)


class End(Protocol):
    """One end of a connection, which writes down what happens."""

    def __init__(self) -> None:
        self.made: Deferred[None] = Deferred()
        self.received = bytearray()
        self.losses: list[Failure] = []
        #: What the connection told its producer.
        self.told: list[str] = []

    @property
    def connection(self) -> CarrierConnection:
        return cast(CarrierConnection, self.transport)

    def connectionMade(self) -> None:
        self.made.callback(None)

    def dataReceived(self, data: bytes) -> None:
        self.received += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.losses.append(reason)

    def pauseProducing(self) -> None:
        self.told.append("pause")

    def resumeProducing(self) -> None:
        self.told.append("resume")

    def stopProducing(self) -> None:
        self.told.append("stop")


class Acceptor(Factory):
    """A listener's factory; it refuses where it may."""

    noisy = False

    def __init__(self) -> None:
        self.ends: list[End] = []
        self.came_from: list[IAddress | None] = []
        self.refuses = False

    def buildProtocol(self, addr: IAddress | None) -> Protocol | None:
        self.came_from.append(addr)
        if self.refuses:
            return None
        self.ends.append(End())
        return self.ends[-1]


class CarrierContract:
    """The contract; a subclass says which carrier, and how its addresses read."""

    timeout = 30
    ports: Sequence[IListeningPort] = ()

    def make(self) -> TriedCarrier:
        raise NotImplementedError

    def setUp(self) -> None:
        self.tried = self.make()
        self.carrier = self.tried.carrier
        self.test.addCleanup(self.tried.close)

    @property
    def test(self) -> TestCase:
        return cast(TestCase, self)

    async def listening(self) -> tuple[PeerAddress, Acceptor]:
        acceptor = Acceptor()
        self.ports = ports = await self.carrier.listen(self.tried.free(), acceptor)
        self.test.addCleanup(lambda: Deferred.fromCoroutine(stop_listening(ports)))
        return self.tried.address_of(ports[0]), acceptor

    async def dial(self, address: PeerAddress) -> End:
        factory = Factory.forProtocol(End)
        factory.noisy = False
        end: IProtocol = await self.carrier.connect(address, factory)
        assert isinstance(end, End)
        return end

    async def pair(self) -> tuple[End, End]:
        """Return both ends of a connection: who dialled, who was dialled."""
        address, acceptor = await self.listening()
        near = await self.dial(address)
        await self.until(lambda: acceptor.ends)
        far = acceptor.ends[0]
        for end in (near, far):
            self.carrier.prepare(end.connection)
            self.test.addCleanup(end.connection.abortConnection)
        return near, far

    async def until(self, true: Callable[[], object]) -> None:
        while not true():
            await deferLater(reactor, 0.005)

    async def test_bytes_arrive_in_order_both_ways(self) -> None:
        near, far = await self.pair()
        for number in range(200):
            near.connection.write(b"%d." % number)
            far.connection.write(b"%d," % number)
        await self.until(lambda: len(near.received) == len(far.received) == 690)
        self.test.assertEqual(far.received, b"".join(b"%d." % n for n in range(200)))
        self.test.assertEqual(near.received, b"".join(b"%d," % n for n in range(200)))

    async def test_who_does_not_read_holds_the_writer_back(self) -> None:
        near, far = await self.pair()
        near.connection.registerProducer(near, True)
        far.connection.pauseProducing()
        near.connection.write(MUCH)
        await self.until(lambda: near.told)
        self.test.assertEqual(near.told, ["pause"])
        self.test.assertLess(len(far.received), len(MUCH))
        far.connection.resumeProducing()
        await self.until(lambda: len(far.received) == len(MUCH))
        await self.until(lambda: near.told == ["pause", "resume"])
        self.test.assertEqual(far.received, MUCH)
        near.connection.unregisterProducer()

    async def test_what_was_written_goes_out_before_the_end(self) -> None:
        near, far = await self.pair()
        near.connection.write(MUCH)
        near.connection.loseConnection()
        await self.until(lambda: far.losses and near.losses)
        self.test.assertEqual(far.received, MUCH)
        self.test.assertEqual((len(near.losses), len(far.losses)), (1, 1))

    async def test_an_abort_ends_both_sides_once(self) -> None:
        near, far = await self.pair()
        far.connection.pauseProducing()
        near.connection.write(MUCH)
        near.connection.abortConnection()
        near.connection.abortConnection()
        far.connection.resumeProducing()
        await self.until(lambda: far.losses and near.losses)
        near.connection.write(b"into the void")
        self.test.assertEqual((len(near.losses), len(far.losses)), (1, 1))

    async def test_a_refused_connection_is_closed(self) -> None:
        address, acceptor = await self.listening()
        acceptor.refuses = True
        near = await self.dial(address)
        await self.until(lambda: near.losses)

    async def test_where_nothing_listens_the_reason_is_told(self) -> None:
        address, _acceptor = await self.listening()
        await stop_listening(self.ports)
        with self.test.assertRaises(Unreachable) as caught:
            await self.dial(address)
        self.test.assertIn(str(caught.exception), ("nothing listens there", "no socket is there"))

    async def test_an_attempt_can_be_cancelled(self) -> None:
        address, _acceptor = await self.listening()
        attempt = self.carrier.connect(address, Factory.forProtocol(End))
        attempt.cancel()
        with self.test.assertRaises(Unreachable):
            await attempt

    async def test_connections_of_one_client_share_a_network(self) -> None:
        address, acceptor = await self.listening()
        ends = [await self.dial(address) for _ in range(2)]
        await self.until(lambda: len(acceptor.came_from) == 2)
        first, second = (self.carrier.origin(each) for each in acceptor.came_from)
        self.test.assertEqual(first, second)
        self.test.assertEqual(first.address, self.tried.origin)
        self.test.assertTrue(first.network)
        for end in ends:
            end.connection.abortConnection()

    async def test_addresses_are_values_and_name_their_carrier(self) -> None:
        address, acceptor = await self.listening()
        again = self.tried.other_name(address)
        self.test.assertNotEqual(address, again)
        self.test.assertEqual(again, self.tried.other_name(address))
        self.test.assertEqual(len({again, self.tried.other_name(address), address}), 2)
        self.test.assertEqual(address.carrier, self.carrier.name)
        near = await self.dial(again)
        await self.until(lambda: acceptor.ends)
        near.connection.abortConnection()


class TcpTests(CarrierContract, TestCase):
    def make(self) -> TriedCarrier:
        return TriedTcp(reactor)

    def test_one_network_is_an_ipv4_address_or_an_ipv6_64(self) -> None:
        first, other = IPv4Address("TCP", "192.0.2.1", 1), IPv4Address("TCP", "192.0.2.2", 1)
        near, far = IPv6Address("TCP", "2001:db8::1", 1), IPv6Address("TCP", "2001:db8::2", 2)
        networks = [self.carrier.origin(each).network for each in (first, other, near, far)]
        self.assertEqual(networks, ["192.0.2.1", "192.0.2.2", "2001:db8::/64", "2001:db8::/64"])
        self.assertEqual(self.carrier.origin(far).address, "2001:db8::2")

    def test_addresses_are_written_as_in_the_configuration(self) -> None:
        self.assertEqual(str(TcpPeerAddress(host="192.0.2.1", port=4040)), "192.0.2.1:4040")
        self.assertEqual(str(TcpPeerAddress(host="2001:db8::1", port=1)), "[2001:db8::1]:1")

    async def test_small_messages_do_not_wait_for_each_other(self) -> None:
        near, far = await self.pair()
        for end in (near, far):
            self.assertTrue(cast(ITCPTransport, end.transport).getTcpNoDelay())


class UnixTests(CarrierContract, TestCase):
    def make(self) -> TriedCarrier:
        return TriedUnix(reactor)

    def test_addresses_are_written_as_in_the_configuration(self) -> None:
        self.assertEqual(str(UnixPeerAddress(Path("/run/edge.sock"))), "unix:/run/edge.sock")

    async def test_a_path_that_no_socket_can_have_is_named_at_once(self) -> None:
        with self.assertRaises(Unreachable) as caught:
            await self.dial(UnixPeerAddress(Path("/" + "x" * 200)))
        self.assertEqual(str(caught.exception), "the path is longer than 107 bytes")


class TcpErrorTests(SynchronousTestCase):
    """What goes wrong with TCP, in words for users."""

    def connect(self, host: str, error: Exception) -> str:
        """Dial a host whose connection fails; return the reason."""

        class Endpoint:
            def connect(self, factory: object) -> Deferred[IProtocol]:
                return fail(error)

        def endpoint(_reactor: object, *address: object, timeout: float) -> Endpoint:
            self.dialled = address
            return Endpoint()

        self.patch(tcp, "HostnameEndpoint", endpoint)
        carrier = TcpCarrier(MemoryReactorClock(), lambda *_: succeed([]))
        attempt = carrier.connect(TcpPeerAddress(host=host, port=4040), Factory())
        return str(self.failureResultOf(attempt, Unreachable).value)

    def test_problems_are_named_in_words(self) -> None:
        for error, words in (
            (ConnectionRefusedError(), "nothing listens there"),
            (DNSLookupError(), "no address is known for the name"),
            (TimeoutError(), "no answer"),
            (OSError(113, "No route to host"), "[Errno 113] No route to host"),
        ):
            self.assertEqual(self.connect("peer.example", error), words)

    def test_hosts_of_every_kind_are_connected_to(self) -> None:
        for host in ("192.0.2.1", "2001:db8::1", "fe80::1%eth0", "peer.example"):
            self.connect(host, TimeoutError())
            self.assertEqual(self.dialled, (host, 4040))

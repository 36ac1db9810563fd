# SPDX-License-Identifier: Apache-2.0
"""Listening on real sockets of the loopback: what works, what is refused, what is left behind."""

from __future__ import annotations

import errno
import os
import socket
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from shutil import rmtree
from typing import TYPE_CHECKING, Any, cast

from twisted.internet import reactor as global_reactor
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, UNIXClientEndpoint, connectProtocol
from twisted.internet.error import CannotListenError, ConnectionDone
from twisted.internet.interfaces import IAddress, IListeningPort, IResolutionReceiver
from twisted.internet.protocol import Factory, Protocol
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase

from edge_twisted.config.model import ListenAddress, TcpAddress, UnixAddress
from edge_twisted.services import listening
from edge_twisted.services.listen_errors import ListenFailed
from edge_twisted.services.listening import listen, listening_text, stop_listening
from edge_twisted.services.patient_port import ACCEPTS_PER_TURN, listen_patiently

if TYPE_CHECKING:
    from edge_twisted.services.reactor import Reactor

reactor = cast("Reactor", global_reactor)


CLOSED = Failure(ConnectionDone())


class Echo(Protocol):
    def dataReceived(self, data: bytes) -> None:
        assert self.transport
        self.transport.write(data)


class Asks(Protocol):
    """Sends a byte and answers what comes back."""

    def __init__(self) -> None:
        self.answer: Deferred[bytes] = Deferred()

    def connectionMade(self) -> None:
        assert self.transport
        self.transport.write(b"?")

    def dataReceived(self, data: bytes) -> None:
        assert self.transport
        self.transport.loseConnection()
        self.answer.callback(data)

    def connectionLost(self, reason: Failure = CLOSED) -> None:
        if not self.answer.called:
            self.answer.errback(reason)


class ListeningTests(TestCase):
    def setUp(self) -> None:
        # Short, because the path of a unix socket must be.
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(rmtree, self.folder)
        self.path = self.folder / "edge.sock"

    async def listen(self, address: ListenAddress) -> list[IListeningPort]:
        ports = await listen(reactor, address, Factory.forProtocol(Echo), 50)
        self.addCleanup(lambda: Deferred.fromCoroutine(stop_listening(ports)))
        return ports

    async def fails(self, address: ListenAddress) -> str:
        try:
            await self.listen(address)
        except ListenFailed as failure:
            return str(failure)
        raise AssertionError("it listens")

    async def assertServes(self, port: IListeningPort) -> None:
        host = port.getHost()
        if isinstance(host, IPv4Address | IPv6Address):
            endpoint: HostnameEndpoint | UNIXClientEndpoint = HostnameEndpoint(
                reactor, host.host.encode(), host.port
            )
        else:
            endpoint = UNIXClientEndpoint(reactor, str(self.path))
        client = await connectProtocol(endpoint, Asks())
        self.assertEqual(await client.answer, b"?")

    # -- TCP

    async def test_ipv4(self) -> None:
        (port,) = await self.listen(TcpAddress(host="127.0.0.1", port=0))
        await self.assertServes(port)
        host = port.getHost()
        assert isinstance(host, IPv4Address)
        self.assertNotEqual(host.port, 0)
        self.assertEqual(listening_text(port), f"127.0.0.1:{host.port}")

    async def test_ipv6(self) -> None:
        (port,) = await self.listen(TcpAddress(host="::1", port=0))
        await self.assertServes(port)
        self.assertRegex(listening_text(port), r"^\[::1\]:[1-9]\d*$")

    async def test_a_name_listens_on_its_addresses_at_one_port(self) -> None:
        ports = await self.listen(TcpAddress(host="localhost", port=0))
        numbers = set()
        for port in ports:
            await self.assertServes(port)
            numbers.add(listening_text(port).rpartition(":")[2])
        self.assertEqual(len(numbers), 1)

    async def test_a_taken_port_is_named(self) -> None:
        (taken,) = await self.listen(TcpAddress(host="127.0.0.1", port=0))
        host = taken.getHost()
        assert isinstance(host, IPv4Address)
        text = await self.fails(TcpAddress(host="127.0.0.1", port=host.port))
        self.assertIn(f"cannot listen on 127.0.0.1:{host.port}: port {host.port} is in use", text)
        await self.assertServes(taken)

    async def test_an_address_of_another_machine(self) -> None:
        text = await self.fails(TcpAddress(host="192.0.2.1", port=0))
        self.assertIn("this machine has no address 192.0.2.1", text)

    async def test_a_name_that_nobody_knows(self) -> None:
        text = await self.fails(TcpAddress(host="nowhere.invalid", port=4040))
        self.assertIn("nowhere.invalid:4040: no address is known for the name", text)

    # -- unix sockets

    async def test_a_unix_socket_for_owner_and_group(self) -> None:
        before = os.umask(0o077)
        try:
            (port,) = await self.listen(UnixAddress(self.path))
        finally:
            os.umask(before)
        await self.assertServes(port)
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o660)
        self.assertEqual(listening_text(port), f"unix:{self.path}")
        await stop_listening([port])
        self.assertEqual(list(self.folder.iterdir()), [])

    async def test_a_stale_socket_is_replaced(self) -> None:
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(self.path))
        (port,) = await self.listen(UnixAddress(self.path))
        await self.assertServes(port)

    async def test_a_live_socket_is_left_alone(self) -> None:
        (first,) = await self.listen(UnixAddress(self.path))
        text = await self.fails(UnixAddress(self.path))
        self.assertIn(f"unix:{self.path}: another server listens there", text)
        await self.assertServes(first)

    async def test_a_live_socket_with_a_full_queue_is_left_alone(self) -> None:
        with socket.socket(socket.AF_UNIX) as live, socket.socket(socket.AF_UNIX) as waiting:
            live.bind(str(self.path))
            live.listen(0)
            waiting.connect(str(self.path))
            self.assertIn("another server listens", await self.fails(UnixAddress(self.path)))
        self.assertTrue(self.path.exists())

    async def test_another_file_is_left_alone(self) -> None:
        self.path.write_text("precious")
        self.assertIn("another file is there", await self.fails(UnixAddress(self.path)))
        self.assertEqual(self.path.read_text(), "precious")
        link = self.folder / "link"
        link.symlink_to(self.path)
        self.assertIn("another file is there", await self.fails(UnixAddress(link)))

    async def test_paths_that_cannot_be(self) -> None:
        long = UnixAddress(self.folder / ("x" * 120))
        self.assertIn("longer than 107 bytes", await self.fails(long))
        missing = UnixAddress(self.folder / "missing" / "edge.sock")
        self.assertIn("its folder does not exist", await self.fails(missing))

    async def test_at_stop_only_the_own_file_is_removed(self) -> None:
        (port,) = await self.listen(UnixAddress(self.path))
        self.path.unlink()
        await stop_listening([port])
        (port,) = await self.listen(UnixAddress(self.path))
        self.path.unlink()
        self.path.write_text("of somebody else")
        await stop_listening([port])
        self.assertTrue(self.path.exists())

    # -- systemd

    def activate(self, *listeners: socket.socket) -> str:
        """Start a process with sockets as systemd does; return what it says when it has ended."""
        numbers = [listener.fileno() for listener in listeners]
        done = subprocess.run(
            [sys.executable, "-c", ACTIVATED, *map(str, numbers)],
            pass_fds=numbers,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        return done.stdout + done.stderr

    def test_sockets_of_systemd_are_used_and_left_to_it(self) -> None:
        with (
            socket.create_server(("127.0.0.1", 0)) as tcp,
            socket.socket(socket.AF_UNIX) as unix,
        ):
            unix.bind(str(self.path))
            unix.listen()
            told = self.activate(tcp, unix)
            port = tcp.getsockname()[1]
            self.assertEqual(
                told.splitlines(), [f"127.0.0.1:{port}", f"unix:{self.path}", "served", "served"]
            )
            # They still take connections, for the next process that systemd starts.
            socket.create_connection(("127.0.0.1", port)).close()
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(self.path))

    def test_a_socket_that_accepts_nothing_is_refused(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as plain:
            plain.bind(("127.0.0.1", 0))
            self.assertIn("it accepts no connections; use ListenStream=", self.activate(plain))


#: Puts its sockets where systemd does, listens, serves one client on each, stops.
ACTIVATED = """
import os, sys
for position, number in enumerate(map(int, sys.argv[1:]), start=3):
    assert number > 2 + len(sys.argv), "would be overwritten"
    os.dup2(number, position)
os.environ["LISTEN_PID"] = str(os.getpid())
os.environ["LISTEN_FDS"] = str(len(sys.argv) - 1)
os.environ["LISTEN_FDNAMES"] = ":".join("http" for _ in sys.argv[1:])
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory
from twisted.internet.task import react
from edge_twisted.config.model import TcpAddress
from edge_twisted.errors import EdgeError
from edge_twisted.services.listening import listen, listening_text, stop_listening
from tests.integration.test_listening import Asks, Echo
from twisted.internet.endpoints import UNIXClientEndpoint, clientFromString, connectProtocol

async def main(reactor):
    try:
        ports = await listen(reactor, TcpAddress(host="192.0.2.1", port=1),
                             Factory.forProtocol(Echo), 50)
    except EdgeError as error:
        print(error)
        return
    texts = [listening_text(port) for port in ports]
    print(*texts, sep="\\n")
    for text in texts:
        endpoint = (UNIXClientEndpoint(reactor, text[5:]) if text.startswith("unix:")
                    else clientFromString(reactor, "tcp:" + text))
        client = await connectProtocol(endpoint, Asks())
        assert await client.answer == b"?"
        print("served")
    await stop_listening(ports)

react(lambda reactor: Deferred.fromCoroutine(main(reactor)))
"""


class Readers:
    """A reactor that only takes readers."""

    def addReader(self, _reader: object) -> None: ...
    def removeReader(self, _reader: object) -> None: ...
    def removeWriter(self, _writer: object) -> None: ...


class AcceptingTests(SynchronousTestCase):
    def test_a_flood_is_accepted_a_few_in_each_turn(self) -> None:
        accepted: list[IAddress | None] = []

        class Counts(Factory):
            def buildProtocol(self, addr: IAddress | None) -> None:
                accepted.append(addr)

        reactor = cast("Reactor", Readers())
        port: Any = listen_patiently(reactor, 0, Counts(), 50, "127.0.0.1")
        self.addCleanup(port.connectionLost, Failure(ConnectionDone()))
        for _ in range(ACCEPTS_PER_TURN * 3 - 1):
            client = socket.create_connection(("127.0.0.1", port.getHost().port))
            self.addCleanup(client.close)
        for turns in (1, 2):
            port.doRead()
            self.assertEqual(len(accepted), ACCEPTS_PER_TURN * turns)
        port.doRead()
        self.assertEqual(len(accepted), ACCEPTS_PER_TURN * 3 - 1)


class FakePort:
    """A port that was opened, and perhaps closed again."""

    def __init__(self, host: str, number: int) -> None:
        self.host, self.number, self.open = host, number, True

    def getHost(self) -> IPv4Address:
        return IPv4Address("TCP", self.host, self.number)

    def stopListening(self) -> None:
        self.open = False


class FakeMachine:
    """A reactor with two addresses for every name, some of them taken or absent."""

    def __init__(self, *faults: tuple[str, int, int]) -> None:
        #: Host, port (0: every one), number of the error.
        self.faults = faults
        self.ports: list[FakePort] = []
        self.nameResolver = self

    def resolveHostName(self, receiver: IResolutionReceiver, name: str, port: int) -> None:
        for host in ("10.0.0.1", "10.0.0.2", "10.0.0.1"):
            receiver.addressResolved(IPv4Address("TCP", host, port))
        receiver.resolutionComplete()

    def listenTCP(self, number: int, factory: object, backlog: int, host: str) -> FakePort:
        for where, port, error in self.faults:
            if where == host and port in (0, number):
                raise CannotListenError(host, number, OSError(error, ""))
        opened = FakePort(host, number or 5000 + len(self.ports))
        self.ports.append(opened)
        return opened


class AddressesOfANameTests(SynchronousTestCase):
    def listen(self, machine: FakeMachine, number: int) -> Deferred[list[IListeningPort]]:
        self.patch(listening, "listen_patiently", FakeMachine.listenTCP)
        address = TcpAddress(host="edge.test", port=number)
        work = listen(cast("Reactor", machine), address, Factory.forProtocol(Echo), 50)
        return Deferred.fromCoroutine(work)

    def open(self, machine: FakeMachine) -> list[tuple[str, int]]:
        return [(port.host, port.number) for port in machine.ports if port.open]

    def test_every_address_once(self) -> None:
        machine = FakeMachine()
        self.successResultOf(self.listen(machine, 4040))
        self.assertEqual(self.open(machine), [("10.0.0.1", 4040), ("10.0.0.2", 4040)])

    def test_nothing_stays_open_when_one_address_fails(self) -> None:
        machine = FakeMachine(("10.0.0.2", 4040, errno.EADDRINUSE))
        failure = self.failureResultOf(self.listen(machine, 4040), ListenFailed)
        self.assertIn("10.0.0.2:4040: port 4040 is in use", str(failure.value))
        self.assertEqual(self.open(machine), [])

    def test_any_free_port_is_one_that_is_free_everywhere(self) -> None:
        machine = FakeMachine(("10.0.0.2", 5000, errno.EADDRINUSE))
        self.successResultOf(self.listen(machine, 0))
        self.assertEqual(self.open(machine), [("10.0.0.1", 5001), ("10.0.0.2", 5001)])

    def test_the_search_for_a_free_port_ends(self) -> None:
        machine = FakeMachine(("10.0.0.2", 0, errno.EADDRINUSE))
        self.failureResultOf(self.listen(machine, 0), ListenFailed)
        self.assertEqual(self.open(machine), [])

    def test_an_address_that_the_machine_lacks_is_passed_over(self) -> None:
        machine = FakeMachine(("10.0.0.1", 0, errno.EADDRNOTAVAIL))
        self.successResultOf(self.listen(machine, 4040))
        self.assertEqual(self.open(machine), [("10.0.0.2", 4040)])

    def test_a_machine_that_lacks_them_all(self) -> None:
        lacks = errno.EAFNOSUPPORT
        machine = FakeMachine(("10.0.0.1", 0, lacks), ("10.0.0.2", 0, lacks))
        failure = self.failureResultOf(self.listen(machine, 4040), ListenFailed)
        self.assertIn("edge.test:4040: this machine has no address", str(failure.value))

    def test_a_port_that_needs_a_capability(self) -> None:
        machine = FakeMachine(("10.0.0.1", 443, errno.EACCES))
        failure = self.failureResultOf(self.listen(machine, 443), ListenFailed)
        self.assertIn("CAP_NET_BIND_SERVICE", str(failure.value))

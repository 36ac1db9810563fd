# SPDX-License-Identifier: Apache-2.0
"""A site in memory: bytes in, bytes out, time as the test says, and a few endpoints to call."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from itertools import count
from typing import Any

from attrs import define, field, frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import ISSLTransport, ITCPTransport
from twisted.internet.protocol import connectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from zope.interface import directlyProvides

from edge_twisted.api.gate import ApiGate, GateRules
from edge_twisted.api.pipeline import Pipeline
from edge_twisted.api.request import Request
from edge_twisted.api.request_ids import RequestId
from edge_twisted.api.resource import FinishedRequest, Resource
from edge_twisted.api.response import AnyResponse, Response, StreamingResponse
from edge_twisted.api.route import Route
from edge_twisted.api.routing import Router
from edge_twisted.api.wire.context import ConnectionContext
from edge_twisted.api.wire.site import Site
from edge_twisted.config.model import Endpoint, HttpApi, HttpServer, TcpAddress


def http_server(**settings: Any) -> HttpServer:
    """Return the section of a configuration, with some settings of its own."""
    off = Endpoint(enabled=False)
    api = HttpApi(
        execute=off, attachments_upload=off, attachments_download=off, presence=off, logs=off
    )
    address = TcpAddress(host="127.0.0.1", port=0)
    return HttpServer(listen_addr=address, tls=None, http_api=api, **settings)


def _route(name: str, *methods: str, streams: bool = False, needs_key: bool = False) -> Route:
    return Route(
        endpoint=name, path=f"/{name}", methods=methods, setting=name, needs_key=needs_key,
        streams=streams,
    )  # fmt: skip


_ECHO = _route("echo", "GET", "POST")
_WAIT = _route("wait", "GET", "POST")
_TAKE = _route("take", "POST", streams=True)
_GIVE = _route("give", "GET")
_SECRET = _route("secret", "GET", needs_key=True)


@define
class Echo:
    """Answers with the body that it got."""

    route: Route = _ECHO
    max_body_bytes: int = 100_000

    async def respond(self, request: Request) -> AnyResponse:
        """Answer method, path, query and body."""
        body = await request.body()
        text = f"{request.method} {request.path} {request.query} ".encode()
        return Response(body=text + body, content_type=b"text/plain")


@define
class Waits:
    """Waits for the test, without looking at the body."""

    route: Route = _WAIT
    max_body_bytes: int = 100_000
    waiting: list[Deferred[bytes]] = field(factory=list)
    cancelled: int = 0

    async def respond(self, request: Request) -> AnyResponse:
        """Answer what the test says."""
        waiter: Deferred[bytes] = Deferred(self._cancelled)
        self.waiting.append(waiter)
        return Response(body=await waiter)

    def _cancelled(self, _waiter: Deferred[bytes]) -> None:
        self.cancelled += 1


@define
class Takes:
    """Takes its body piece by piece, each when the test says so."""

    route: Route = _TAKE
    max_body_bytes: int = 10_000_000
    pieces: list[bytes] = field(factory=list)
    turns: list[Deferred[None]] = field(factory=list)

    async def respond(self, request: Request) -> AnyResponse:
        """Answer how much there was."""
        async for piece in request.body_pieces():
            self.pieces.append(piece)
            turn: Deferred[None] = Deferred()
            self.turns.append(turn)
            await turn
        return Response.json(sum(map(len, self.pieces)))


@define
class Gives:
    """Streams `count` pieces of `size` bytes; `length` announces them."""

    route: Route = _GIVE
    max_body_bytes: int = 0
    count: int = 3
    size: int = 5
    announces: bool = False
    fails_after: int | None = None
    given: int = 0
    closed: int = 0

    async def respond(self, request: Request) -> AnyResponse:
        """Answer pieces."""
        length = self.count * self.size if self.announces else None
        return StreamingResponse(pieces=self._pieces(), length=length)

    async def _pieces(self) -> AsyncGenerator[bytes, None]:
        try:
            for index in range(self.count):
                if index == self.fails_after:
                    raise OSError("the disk is gone")
                self.given += 1
                yield b"x" * self.size
        finally:
            self.closed += 1


@define
class Notes:
    """An observer that keeps what it is told."""

    finished: list[FinishedRequest] = field(factory=list)

    def request_finished(self, finished: FinishedRequest) -> None:
        """See `Observer.request_finished`."""
        self.finished.append(finished)


@define
class FixedEndpoints:
    """A router with a gate."""

    router: Router
    gate: ApiGate

    def find(self, request: Request) -> Resource:
        """See `Router.find`."""
        return self.router.find(request)


class NotingTransport(StringTransport):
    """A transport that notes how its connection ended."""

    #: What carries TLS, if it is TLS.
    transport: NotingTransport | None = None

    def __init__(self, address: Any = None) -> None:
        super().__init__(peerAddress=address)
        self._is_aborted = False
        self._is_half_closed = False

    def abortConnection(self) -> None:
        self._is_aborted = True
        super().abortConnection()

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Send at once anyway."""

    def loseWriteConnection(self) -> None:
        self._is_half_closed = True

    # Methods, for a type checker takes attributes to be what they were asserted to be.

    def is_aborted(self) -> bool:
        """Whether the server has cut the connection."""
        return self._is_aborted

    def is_half_closed(self) -> bool:
        """Whether the server has said that nothing more comes."""
        return self._is_half_closed

    def is_ending(self) -> bool:
        """Whether the server has done something to end the connection."""
        return bool(self.disconnecting or self._is_aborted or self._is_half_closed)

    def is_read_from(self) -> bool:
        """Whether the server takes what the client sends."""
        return self.producerState == "producing"


@frozen
class WireClient:
    """A client's end of a connection in memory."""

    server: Any
    transport: NotingTransport

    def send(self, data: bytes) -> bytes:
        """Send bytes, and return what came back at once."""
        self.server.dataReceived(data)
        return self.received()

    def received(self) -> bytes:
        """Return what came back since the last time."""
        data: bytes = self.transport.value()
        self.transport.clear()
        return data

    def leave(self) -> None:
        """Go away."""

        self.server.connectionLost(connectionDone)


@define
class MemorySite:
    """A site with endpoints to try, and its clock."""

    settings: dict[str, Any] = field(factory=dict)
    echo: Echo = field(factory=Echo)
    waits: Waits = field(factory=Waits)
    takes: Takes = field(factory=Takes)
    gives: Gives = field(factory=Gives)
    notes: Notes = field(factory=Notes)
    gate: ApiGate = field(factory=lambda: ApiGate(GateRules(keys=None)))
    clock: Clock = field(factory=Clock)
    site: Site = field(init=False)

    def __attrs_post_init__(self) -> None:
        router = Router([self.echo, self.waits, self.takes, self.gives, Echo(route=_SECRET)])
        self.site = Site(
            ConnectionContext(
                Pipeline(FixedEndpoints(router, self.gate), self.notes),
                http_server(**self.settings),
                self.clock,
                now=self.clock.seconds,
                date=self.clock.seconds,
                # Counted, so that the same bytes in are the same bytes out.
                new_request_id=(RequestId(f"test{each:08x}") for each in count(1)).__next__,
                peer_of=lambda _address: "192.0.2.1",
                client_of=lambda peer, _fields: peer,
            )
        )

    def connect(self, *, over_tls: bool = False) -> WireClient:
        """Open a connection."""
        transport = NotingTransport()
        directlyProvides(transport, ITCPTransport)
        if over_tls:
            directlyProvides(transport, ITCPTransport, ISSLTransport)
            transport.transport = NotingTransport()
        server = self.site.buildProtocol(transport.getPeer())
        server.makeConnection(transport)
        return WireClient(server, transport)

    def pass_time(self, seconds: float, step: float = 0.05) -> None:
        """Let time pass, in steps short enough for every timer."""
        self.clock.pump([step] * round(seconds / step))

# SPDX-License-Identifier: Apache-2.0
"""
The API over `twisted.web`'s HTTP/1.1 channel.

Its channel parses, keeps connections alive, answers pipelined requests in order and refuses
ambiguous lengths; bodies are gathered before a request is handed on, up to the limit of the
endpoint that its path names, beyond which nothing is read.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from time import monotonic
from typing import TYPE_CHECKING, cast
from urllib.parse import unquote

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import IAddress, IPushProducer, IReactorTime
from twisted.internet.protocol import Protocol, ServerFactory, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web import http
from twisted.web.http_headers import Headers as RawHeaders
from zope.interface import implementer

from edge_twisted.api.body import RequestBody
from edge_twisted.api.errors import BodyTooLarge, Field
from edge_twisted.api.failures import code_of, response_to
from edge_twisted.api.pipeline import CLIENT_GONE, Pipeline
from edge_twisted.api.request import Headers, Request
from edge_twisted.api.response import AnyResponse, Response, StreamingResponse
from edge_twisted.config.model import HttpServer
from edge_twisted.errors import EdgeError

if TYPE_CHECKING:
    from twisted.internet.interfaces import ITransport

log = Logger()

_FULL_BODY = (
    b'{"error":{"code":"too_many_connections","description":"all connections are taken now"}}\n'
)
_FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\n"
    b"Retry-After: 1\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
) % len(_FULL_BODY) + _FULL_BODY


class _Gathered:
    """The source of a body that is here already."""

    def body_wanted(self) -> None:
        """Nothing waits."""

    def body_taken(self) -> None:
        """There was room."""


class ApiRequest(http.Request):
    """One request of twisted.web, handed to the pipeline once its body is here."""

    channel: ApiChannel
    _limit: int | None = None
    _refusal: EdgeError | None = None
    _received = 0

    def __init__(self, channel: ApiChannel, queued: object = None) -> None:
        super().__init__(channel, parsePOSTFormSubmission=False)
        self._work: Deferred[None] | None = None
        self._request: Request | None = None

    # -- the body, before `process`

    def gotLength(self, length: int | None) -> None:
        super().gotLength(min(length, 100_000) if length else length)
        try:
            head = self.channel.head_of_next(self.requestHeaders)
            self._limit = self.channel.factory.pipeline.limit_for(head)
        except EdgeError as error:
            self._refusal = error
            self._limit = 0
        if length is not None and length > self._limit:
            self.channel.refuse(self._refusal or BodyTooLarge(self._limit))

    def handleContentChunk(self, data: bytes) -> None:
        self._received += len(data)
        if self._limit is not None and self._received > self._limit:
            self.channel.refuse(self._refusal or BodyTooLarge(self._limit))
            return
        super().handleContentChunk(data)

    # -- the request, once its body is here

    def process(self) -> None:
        self._work = Deferred.fromCoroutine(self._run())
        self._work.addErrback(self._failed)

    async def _run(self) -> None:
        # A reload may put another one in its place meanwhile.
        pipeline = self.channel.factory.pipeline
        started = monotonic()
        body = self.content.read() if self.content is not None else b""
        request = self._request = self.channel.request_of(
            self.method, self.uri, self.requestHeaders, body
        )
        sent = 0
        status = CLIENT_GONE
        error: str | None = None
        try:
            response, error = await pipeline.answer(request)
            status = response.status
            sent = await self._send(response, pipeline.headers(request), request.id)
        finally:
            pipeline.finished(request, status, error, started, sent)

    async def _send(self, response: AnyResponse, fields: Sequence[Field], request_id: str) -> int:
        self.setResponseCode(response.status)
        set_header = self.responseHeaders.addRawHeader
        if response.content_type is not None:
            set_header(b"Content-Type", response.content_type)
        set_header(b"X-Request-Id", request_id.encode("ascii"))
        for name, value in (*response.headers, *fields):
            set_header(name, value)
        if self.channel.factory.is_draining:
            set_header(b"Connection", b"close")
        if isinstance(response, Response):
            if response.status not in (204, 304):
                set_header(b"Content-Length", b"%d" % len(response.body))
            if self.method != b"HEAD" and response.body:
                self.write(response.body)
            self.finish()
            return len(response.body)
        return await self._stream(response)

    async def _stream(self, response: StreamingResponse) -> int:
        if response.length is not None:
            self.responseHeaders.addRawHeader(b"Content-Length", b"%d" % response.length)
        sent = 0
        flow = _Flow()
        self.registerProducer(flow, True)
        try:
            if self.method != b"HEAD":
                async for piece in response.pieces:
                    self.write(piece)
                    sent += len(piece)
                    await flow.room()
        except CancelledError:
            raise
        except Exception:
            log.failure("A response broke off")
            self.unregisterProducer()
            self.channel.abortConnection()
            return sent
        finally:
            await _close(response.pieces)
        self.unregisterProducer()
        self.finish()
        return sent

    def connectionLost(self, reason: Failure) -> None:
        super().connectionLost(reason)
        work, self._work = self._work, None
        if work is not None:
            work.cancel()

    def _failed(self, failure: Failure) -> None:
        # The client is gone, or there is a bug after the response began.
        if not failure.check(CancelledError):
            log.failure("A request failed while it was answered", failure)
            self.channel.abortConnection()


async def _close(pieces: AsyncIterator[bytes]) -> None:
    close = getattr(pieces, "aclose", None)
    if close is not None:
        await close()


@implementer(IPushProducer)
class _Flow:
    """Tells a response that streams whether its client has room."""

    def __init__(self) -> None:
        self._waiting: Deferred[None] | None = None

    def room(self) -> Deferred[None]:
        """Fire when the client has room."""
        return succeed(None) if self._waiting is None else self._waiting

    def pauseProducing(self) -> None:
        if self._waiting is None:
            self._waiting = Deferred()

    def resumeProducing(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.callback(None)

    def stopProducing(self) -> None:
        """The request hears of the lost connection by itself."""


class ApiChannel(http.HTTPChannel):
    """One connection."""

    factory: ApiFactory

    def __init__(self) -> None:
        super().__init__()
        self.requestFactory = ApiRequest  # type: ignore[assignment]

    def connectionMade(self) -> None:
        super().connectionMade()
        self.factory.channels.add(self)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        super().connectionLost(reason)
        self.factory.forget(self)

    @property
    def is_idle(self) -> bool:
        """Whether no request is under way."""
        return not self.requests

    def requestDone(self, request: http.Request) -> None:
        super().requestDone(request)
        if self.factory.is_draining and self.is_idle:
            self.loseConnection()

    def head_of_next(self, headers: RawHeaders) -> Request:
        """Return the request whose headers just ended, with no body yet."""
        return self.request_of(self._command, self._path, headers, b"")

    def request_of(self, method: bytes, uri: bytes, headers: RawHeaders, body: bytes) -> Request:
        """Return our request for one of twisted.web's."""
        path, _, query = uri.partition(b"?")
        gathered = RequestBody(len(body), _Gathered())
        if body:
            gathered.feed(body)
            gathered.finish()
        fields = {name.lower(): b", ".join(values) for name, values in headers.getAllRawHeaders()}
        return Request(
            id=self.factory.new_request_id(),
            method=method.decode("latin-1"),
            path=unquote(path.decode("latin-1"), errors="replace"),
            query=query.decode("latin-1"),
            headers=Headers(fields),
            client=self.factory.client_of(self.getPeer(), fields),
            is_secure=self.isSecure(),
            body=gathered,
        )

    def refuse(self, error: EdgeError) -> None:
        """Answer a request whose body is not wanted, and read nothing more."""
        response = response_to(error, self.factory.new_request_id())
        text = http.RESPONSES.get(response.status, b"")
        lines = [
            b"HTTP/1.1 %d %s" % (response.status, text),
            b"Content-Type: application/json",
            b"Content-Length: %d" % len(response.body),
            b"Connection: close",
            *(b"%s: %s" % field for field in response.headers),
        ]
        cast("ITransport", self.transport).write(b"\r\n".join(lines) + b"\r\n\r\n" + response.body)
        self.loseConnection()
        log.debug("Refused a body: {code}", code=code_of(error))

    def abortConnection(self) -> None:
        """End the connection without the courtesy of an ending."""
        transport = cast("ITransport", self.transport)
        transport.loseConnection()


class ApiFactory(ServerFactory):
    """
    Makes connections, bounds their number, and drains them.

    `pipeline` may be replaced at any time; requests under way keep the one that they began with.
    """

    noisy = False

    def __init__(
        self,
        pipeline: Pipeline,
        http_server: HttpServer,
        clock: IReactorTime,
        new_request_id: Callable[[], str],
        client_of: Callable[[IAddress | None, dict[bytes, bytes]], str],
    ) -> None:
        self.pipeline = pipeline
        self.limits = http_server
        self.channels: set[ApiChannel] = set()
        self.is_draining = False
        self.new_request_id = new_request_id
        self.client_of = client_of
        self._clock = clock
        self._drained: Deferred[None] | None = None

    def buildProtocol(self, addr: IAddress | None) -> Protocol | None:
        if len(self.channels) >= self.limits.max_connections:
            return _Full()
        channel = ApiChannel()
        channel.factory = self
        channel.timeOut = -(-self.limits.keep_alive_timeout_ms // 1000)
        channel.totalHeadersSize = self.limits.max_header_bytes
        return cast(Protocol, channel)

    def log(self, request: http.Request) -> None:
        """Called by twisted.web for its access log, which observers replace."""

    def forget(self, channel: ApiChannel) -> None:
        """A connection ended."""
        self.channels.discard(channel)
        if self._drained is not None and not self.channels:
            drained, self._drained = self._drained, None
            drained.callback(None)

    def drain(self, limit_seconds: float) -> Deferred[None]:
        """
        Close idle connections now and the others after their request; fire when all are gone.

        What is still open after the limit is cut.
        """
        self.is_draining = True
        if not self.channels:
            return succeed(None)
        drained = self._drained = Deferred()
        late = self._clock.callLater(limit_seconds, self._cut)
        for channel in list(self.channels):
            if channel.is_idle:
                channel.loseConnection()

        def end(_: None) -> None:
            if late.active():
                late.cancel()

        drained.addCallback(end)
        return drained

    def _cut(self) -> None:
        log.warn("{count} connections did not end in time", count=len(self.channels))
        for channel in list(self.channels):
            channel.abortConnection()
            self.forget(channel)


class _Full(Protocol):
    """A connection above the limit: told so, and closed."""

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.write(_FULL)
        self.transport.loseConnection()

# SPDX-License-Identifier: Apache-2.0
"""One request and its response on a connection: from the parsed head to the last byte sent."""

from __future__ import annotations

from time import monotonic
from typing import Protocol

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from edge_twisted.api.body import RequestBody
from edge_twisted.api.errors import RequestTimeout
from edge_twisted.api.failures import log_cause
from edge_twisted.api.pipeline import CLIENT_GONE
from edge_twisted.api.request import Request
from edge_twisted.api.response import AnyResponse, Response, StreamingResponse
from edge_twisted.api.wire.answer import BODILESS, LAST_CHUNK, answer_head
from edge_twisted.api.wire.context import ConnectionContext
from edge_twisted.api.wire.head import RequestHead
from edge_twisted.api.wire.work import Work
from edge_twisted.security.networks import network_of

_CLOSE = b"Connection: close\r\n"
_KEEP_ALIVE = b"Connection: keep-alive\r\n"


class ResponseChannel(Protocol):
    """The connection as its exchange sees it."""

    context: ConnectionContext

    def write(self, data: bytes) -> None:
        """Send bytes to the client; do nothing once the client has gone."""

    def room(self) -> Deferred[None]:
        """Return a Deferred that fires with None when the client takes more bytes."""

    def has_progressed(self) -> None:
        """Restart the time limit of the request: a streamed body has moved on."""

    def can_go_on(self) -> bool:
        """Return whether another request can follow on the connection after this response."""

    def exchange_over(self, keep: bool) -> None:
        """Go on after the response: with the next request if `keep`, else close the connection."""

    def abort(self) -> None:
        """Cut the connection; what has not been sent is lost."""


class Exchange(Work):
    """
    Takes one request through the pipeline and sends its response.

    `start` begins it; after the last byte it calls `ResponseChannel.exchange_over`.
    """

    __slots__ = ("_channel", "_late_after", "_sent", "body", "has_begun", "head", "request")

    def __init__(
        self, channel: ResponseChannel, head: RequestHead, request: Request, body: RequestBody
    ) -> None:
        self._channel = channel
        self.head = head
        self.request = request
        self.body = body
        #: Whether the response has begun.
        self.has_begun = False
        #: After how many seconds `time_over` stopped the endpoint; None: it did not.
        self._late_after: float | None = None
        #: Bytes of the response's body that were sent.
        self._sent = 0
        super().__init__()

    @property
    def makes_progress(self) -> bool:
        """Whether each piece of the request's body restarts the time limit."""
        route = self.request.route
        return route is not None and route.streams

    def client_gone(self) -> None:
        """Cancel the endpoint's work: the client went away."""
        self.cancel()

    def time_over(self, error: RequestTimeout) -> bool:
        """
        Answer that the request took too long; return False if the response has begun already.

        The response is `error` if the endpoint waits for the rest of the body, else that the
        statement timed out.
        """
        if self.has_begun:
            return False
        if self.body.is_awaited:
            self.body.fail(error)
        else:
            self._late_after = self._channel.context.limits.request_timeout_ms / 1000
            self.cancel()
        return True

    # -- inner

    async def _run(self) -> None:
        channel, request = self._channel, self.request
        # Kept for the whole request: a reload may replace the context's pipeline meanwhile.
        pipeline = channel.context.pipeline
        started = monotonic()
        status, error = CLIENT_GONE, None
        keep = False
        try:
            try:
                response, error = await pipeline.answer(request)
                if request.identity is None and pipeline.is_stranger(request):
                    # Strangers share a small part of the reactor's time: this response, and with it
                    # the next request on the connection, waits for the network's turn.
                    await channel.context.strangers.turn(network_of(request.client))
            except CancelledError:
                if self._late_after is None:
                    raise
                response, error = pipeline.too_late(request, self._late_after)
            status = response.status
            self.has_begun = True
            keep = channel.can_go_on()
            lines = pipeline.header_lines(request)
            if isinstance(response, Response):
                self._send(response, lines, keep)
            else:
                keep = await self._stream(response, lines, keep)
        finally:
            pipeline.finished(request, status, error, started, self._sent)
        channel.exchange_over(keep)

    def _head(self, response: AnyResponse, lines: bytes, framing: bytes, keep: bool) -> bytes:
        if not keep:
            connection = _CLOSE
        else:
            connection = b"" if self.head.is_1_1 else _KEEP_ALIVE
        return answer_head(
            response.status,
            self.request.id,
            response.content_type,
            response.headers,
            self._channel.context.header_lines(is_secure=self.request.is_secure),
            framing,
            connection,
            lines,
        )

    def _send(self, response: Response, lines: bytes, keep: bool) -> None:
        body = response.body
        if response.status in BODILESS:
            framing, body = b"", b""
        else:
            framing = b"Content-Length: %d\r\n" % len(body)
            if self.head.method == "HEAD":
                body = b""
        self._channel.write(self._head(response, lines, framing, keep) + body)
        self._sent = len(body)

    async def _stream(self, response: StreamingResponse, lines: bytes, keep: bool) -> bool:
        """Send a response piece by piece; return whether the connection can go on."""
        chunked = False
        if response.length is not None:
            framing = b"Content-Length: %d\r\n" % response.length
        elif self.head.is_1_1:
            framing, chunked = b"Transfer-Encoding: chunked\r\n", True
        else:
            # HTTP/1.0 has no chunks: the end of the connection marks the end of the body.
            framing, keep = b"", False
        channel, pieces = self._channel, response.pieces
        try:
            channel.write(self._head(response, lines, framing, keep))
            if self.head.method == "HEAD":
                return keep
            async for piece in pieces:
                if not piece:
                    continue
                channel.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
                self._sent += len(piece)
                channel.has_progressed()
                await channel.room()
        finally:
            await pieces.aclose()
        if chunked:
            channel.write(LAST_CHUNK)
        return keep

    def _broke(self, failure: Failure) -> None:
        # A bug, or a streamed response that failed half-way.  Cutting the connection shows the
        # client that the body is not whole.
        what = "Request {request_id} broke off while it was answered"
        log_cause(failure, self.request.id, what)
        self._channel.abort()

# SPDX-License-Identifier: Apache-2.0
"""
One HTTP connection: its requests one after another, its time limits, its flow control.

Pipelined requests wait in the reader's buffer.  The connection answers one request before it looks
at the next one, so responses keep the order of the requests, and a read sees every write that was
sent before it.  A client that sends more than `MAX_AHEAD_BYTES` of further requests is not read
from until its request is answered; a client that does not read its responses gets no more of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import (
    IDelayedCall,
    IPushProducer,
    ISSLTransport,
    ITCPTransport,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from edge_twisted.api.body import RequestBody
from edge_twisted.api.errors import HttpError, RequestTimeout, Stopping
from edge_twisted.api.request import Request
from edge_twisted.api.wire.answer import CONTINUE
from edge_twisted.api.wire.context import ConnectionContext
from edge_twisted.api.wire.exchange import Exchange
from edge_twisted.api.wire.head import RequestHead, request_line_of
from edge_twisted.api.wire.pace import WINDOW_SECONDS, Pace, stall_seconds
from edge_twisted.api.wire.phases import Phase
from edge_twisted.api.wire.reader import RequestReader
from edge_twisted.api.wire.refusal import refusal
from edge_twisted.api.wire.transport import ByteTransport

#: Bytes of further requests that are read while one is answered: one read of Twisted's transport.
MAX_AHEAD_BYTES: Final = 65536
#: Buffered requests that are answered before other connections get their turn: a few ms of work.
REQUESTS_PER_TURN: Final = 16
#: The longest request body that is read and dropped after the response, so that the connection can
#: take the next request; behind a longer unread body the connection is closed.
SKIP_BYTES: Final = 65536
#: After the last response: how long the client may send or stay silent before the connection is
#: cut, and how many bytes it may send.  If the server closed at once, the client's system would
#: answer the unread bytes with a reset and drop the response.
LINGER_SECONDS: Final = 3.0
LINGER_BYTES: Final = 64 * 2**20


#: The phases as module globals: each request compares them many times, and access to a member of
#: an `Enum` costs 0.07 us under Python 3.11.
_HEAD, _EXCHANGE, _SKIP, _LINGER, _GONE = Phase


@implementer(IPushProducer)
class Connection(Protocol):
    """
    One connection of a `Site`: its requests, its exchanges, and its deadlines.

    :param opened: is called with the connection once it has a transport.
    :param closed: is called with the connection once its transport is gone.
    """

    transport: ByteTransport  # type: ignore[assignment]

    def __init__(
        self,
        context: ConnectionContext,
        *,
        opened: Callable[[Connection], None],
        closed: Callable[[Connection], None],
    ) -> None:
        self.context = context
        self._opened = opened
        self._closed = closed
        #: When the site calls `time_over`, by `context.now`; None: never.
        self.deadline: float | None = None
        #: Whether an earlier request on this connection had a known caller.
        self._was_known = False
        self._reader = RequestReader(context.limits.max_header_bytes)
        self._phase = _HEAD
        self._exchange: Exchange | None = None
        #: Whether the time limit of the awaited head is running.
        self._head_began = True
        #: Whether the rest of the current request cannot be parsed: the connection must close.
        self._is_broken = False
        #: Whether the client of the current request was told to send its body (100 Continue).
        self._continued = False
        #: Guards `_advance` against calls from inside itself.
        self._is_advancing = False
        #: The delayed call that goes on with buffered requests in a later reactor turn.
        self._turn: IDelayedCall | None = None
        #: Whether the transport is read from.
        self._is_reading = True
        #: Fires when the client reads again; None while the client takes what is written.
        self._room: Deferred[None] | None = None
        #: Bytes received in phase LINGER.
        self._lingered_bytes = 0
        #: When the current request is late, by `context.now`; None: never.
        self._request_due: float | None = None
        #: The least rate of the current request's body, while part of the body is missing.
        self._pace: Pace | None = None

    # -- IProtocol

    def connectionMade(self) -> None:
        """Prepare the transport, and give the client its time for the first head."""
        transport = self.transport
        self.is_secure = ISSLTransport.providedBy(transport)
        self.peer = self.context.peer_of(transport.getPeer())
        #: The transport as TCP, itself or below TLS; None: no socket, as in tests.
        self._tcp = transport if ITCPTransport.providedBy(transport) else None
        if self._tcp is not None:
            self._tcp.setTcpNoDelay(True)
        transport.registerProducer(self, True)
        self.deadline = self.context.now() + self.context.limits.header_timeout_ms / 1000
        self._opened(self)

    def dataReceived(self, data: bytes) -> None:
        """Take bytes of the client, and do what they complete."""
        if self._phase is _LINGER:
            self._lingered_bytes += len(data)
            if self._lingered_bytes > LINGER_BYTES:
                self.abort()
            return
        self._reader.receive(data)
        self._advance()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Cancel the work for a client that has gone."""
        self._phase = _GONE
        if self._turn is not None:
            self._turn.cancel()
            self._turn = None
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.client_gone()
        self._closed(self)

    # -- IPushProducer, for the transport

    def pauseProducing(self) -> None:
        """Note that the client takes no more bytes for now; `room` waits until it does."""
        if self._room is None:
            self._room = Deferred()
            self.has_progressed()
            self._head_began = False

    def resumeProducing(self) -> None:
        """Note that the client takes bytes again, and go on."""
        room, self._room = self._room, None
        if room is not None:
            self.has_progressed()
            room.callback(None)
            self._advance()

    def stopProducing(self) -> None:
        """Do nothing: `connectionLost` follows."""

    # -- BodySource

    def body_wanted(self) -> None:
        """Send 100 Continue if the client waits for it, and read on."""
        exchange = self._exchange
        if exchange is None:
            return
        if exchange.head.expects_continue and not self._continued:
            self._continued = True
            if not exchange.body.received and not self._reader.buffered:
                self.transport.write(CONTINUE)
        self._advance()

    def body_taken(self) -> None:
        """Read on: the body has room again."""
        self._advance()

    # -- ResponseChannel

    def write(self, data: bytes) -> None:
        """Send bytes to the client; do nothing once the client has gone."""
        if self._phase is not _GONE:
            self.transport.write(data)

    def room(self) -> Deferred[None]:
        """Return a Deferred that fires with None when the client takes more bytes."""
        return succeed(None) if self._room is None else self._room

    def has_progressed(self) -> None:
        """Restart the time limit of the request: a streamed body has moved on."""
        if self._phase is not _LINGER:
            self._begin_time()

    def can_go_on(self) -> bool:
        """Return whether another request can follow on the connection after this response."""
        exchange = self._exchange
        if exchange is None or not exchange.head.keeps_alive or self.context.is_draining:
            return False
        if self._is_broken:
            return False
        if exchange.body.is_exhausted:
            return True
        # Judged by the announced length, not by the bytes that have arrived, so that the response
        # does not depend on how the network cut the request.  A client that waits for 100 Continue
        # may never send the body.
        announced = exchange.body.announced
        return announced is not None and (
            not announced or (announced <= SKIP_BYTES and not exchange.head.expects_continue)
        )

    def exchange_over(self, keep: bool) -> None:
        """Go on after the response: with the next request if `keep`, else close."""
        if self._phase is not _EXCHANGE:
            return
        if self._exchange is not None and self._exchange.request.identity is not None:
            self._was_known = True
        self._exchange = self._pace = None
        if not keep:
            self._close()
            return
        self._phase = _HEAD if self._reader.is_body_complete else _SKIP
        self._head_began = False
        if self._phase is _SKIP:
            # The rest is at most `SKIP_BYTES`, so one window of time is enough for it.
            self._end_by(self.context.now() + WINDOW_SECONDS)
        self._advance()

    def abort(self) -> None:
        """Cut the connection, and drop what is still to be sent."""
        if self._phase is not _GONE:
            self.transport.abortConnection()

    # -- for the site

    @property
    def is_known(self) -> bool:
        """Whether a request on this connection had a known caller."""
        exchange = self._exchange
        return self._was_known or (exchange is not None and exchange.request.identity is not None)

    def time_over(self) -> None:
        """End what has taken too long, because `deadline` has passed: answer 408, or cut."""
        self.deadline = None
        if self._room is not None or self._phase in (_LINGER, _SKIP):
            self.abort()
        elif self._phase is _HEAD:
            if self._reader.buffered:
                seconds = self.context.limits.header_timeout_ms / 1000
                self._refuse(RequestTimeout.of_head(seconds))
            else:
                self._close()
        elif self._exchange is not None:
            error = self._lateness(self._exchange)
            if error is None:
                return
            # If the exchange does not end after all, the next deadline cuts the connection.
            self.deadline = self._request_due = self.context.now() + LINGER_SECONDS
            self._is_broken = not self._reader.is_body_complete
            if not self._exchange.time_over(error):
                self.abort()

    def drain(self) -> bool:
        """Close the connection if it is idle, else after its request; return whether it is idle."""
        is_idle = self._phase is _HEAD and not self._reader.buffered
        if is_idle:
            self._close()
        return is_idle

    def close_unconfirmed(self) -> None:
        """Close the transport below TLS, if any, without the client's close_notify."""
        if self.is_secure and self._room is None:
            below = self.transport.transport
            if below is not None:
                below.loseConnection()

    # -- inner: progress through the phases

    def _advance(self) -> None:
        """Go on with bodies and requests as far as the buffered bytes allow."""
        if self._is_advancing:
            return
        self._is_advancing = True
        try:
            more = self._take_turn()
        finally:
            self._is_advancing = False
        if more and self._turn is None:
            self._turn = self.context.clock.callLater(0, self._next_turn)
        self._regulate()

    def _next_turn(self) -> None:
        self._turn = None
        self._advance()

    def _take_turn(self) -> bool:
        """Answer `REQUESTS_PER_TURN` buffered requests at most; return whether more are ready."""
        for _ in range(REQUESTS_PER_TURN):
            if self._phase is _EXCHANGE:
                self._feed()
                if self._phase is _EXCHANGE:
                    return False
            if self._phase is _SKIP:
                self._skip()
                if self._is_broken:
                    self._close()
                elif not self._reader.is_body_complete:
                    return False
                else:
                    self._phase = _HEAD
            if self._phase is not _HEAD or self._room is not None:
                return False
            if self._turn is not None or not self._next_request():
                return False
        return self._phase is _HEAD or self._phase is _EXCHANGE

    def _next_request(self) -> bool:
        """Begin the next request; return False if no whole head is buffered, or it is refused."""
        try:
            head = self._reader.next_head()
        except HttpError as error:
            self._refuse(error)
            return False
        if head is None:
            self._await_head()
            return False
        if self.context.is_draining:
            self._refuse(Stopping(), (head.method, head.target.path))
            return False
        self._begin(head)
        return True

    def _await_head(self) -> None:
        """Set the deadline: of the head if it has begun to arrive, else of keep-alive."""
        if self._head_began:
            return
        limits = self.context.limits
        if self._reader.buffered:
            self._head_began = True
            self.deadline = self.context.now() + limits.header_timeout_ms / 1000
        elif self.context.is_draining:
            self._close()
        else:
            self.deadline = self.context.now() + limits.keep_alive_timeout_ms / 1000

    def _begin(self, head: RequestHead) -> None:
        """Start the exchange of a request whose head is complete."""
        self._phase = _EXCHANGE
        self._continued = False
        context, target, whole = self.context, head.target, self._reader.whole_body()
        rate = context.limits.min_body_bytes_per_sec
        self._pace = Pace(rate, context.now()) if whole is None and rate else None
        self._begin_time()
        body = RequestBody(head.content_length, self, whole)
        request = Request(
            context.new_request_id(),
            head.method,
            target.path,
            target.query,
            head.headers,
            context.client_of(self.peer, head.fields),
            self.is_secure,
            body,
        )
        exchange = self._exchange = Exchange(self, head, request, body)
        exchange.start()

    # -- inner: deadlines

    def _begin_time(self) -> None:
        """Set the deadline of the current request, counted from now."""
        limits = self.context.limits
        timeout = limits.request_timeout_ms
        self._request_due = self.deadline = self.context.now() + timeout / 1000 if timeout else None
        if self._pace is not None:
            self._end_by(self._pace.due)
        if self._room is not None and limits.min_body_bytes_per_sec:
            self._end_by(self.context.now() + stall_seconds(limits.min_body_bytes_per_sec))

    def _end_by(self, due: float) -> None:
        """Bring the deadline forward to `due`, unless it is earlier already."""
        if self.deadline is None or due < self.deadline:
            self.deadline = due

    def _lateness(self, exchange: Exchange) -> RequestTimeout | None:
        """Return the error of a late request; None, and a new deadline, if its body is on time."""
        context, pace = self.context, self._pace
        now = context.now()
        if pace is None or (self._request_due is not None and self._request_due <= now):
            return RequestTimeout.of_body(context.limits.request_timeout_ms / 1000)
        # Only while the endpoint waits for more: else flow control may hold the client back.
        if exchange.body.is_awaited and not pace.is_kept:
            return RequestTimeout.of_slow_body(
                context.limits.min_body_bytes_per_sec, WINDOW_SECONDS
            )
        pace.begin_window(now)
        self.deadline = self._request_due
        self._end_by(pace.due)
        return None

    # -- inner: bodies

    def _feed(self) -> None:
        """Give the current request the buffered part of its body."""
        exchange = self._exchange
        if exchange is None or exchange.body.is_complete or not exchange.body.is_taken:
            # A body is decoded only once its endpoint asks for it: the caller is admitted then.
            return
        body = exchange.body
        try:
            while not body.is_full and (piece := self._reader.next_piece()):
                body.feed(piece)
                if self._pace is not None:
                    self._pace.take(len(piece))
                if exchange.makes_progress:
                    self.has_progressed()
                if self._exchange is not exchange:
                    return
        except HttpError as error:
            self._is_broken = True
            body.fail(error)
            return
        if self._reader.is_body_complete and not body.is_complete:
            self._pace = None
            body.finish()

    def _skip(self) -> None:
        """Drop the buffered part of a body whose request is answered."""
        try:
            while self._reader.next_piece():
                pass
        except HttpError:
            self._is_broken = True

    def _regulate(self) -> None:
        """Pause the transport while the body or the buffer is full, and resume it afterwards."""
        if self._phase is _GONE:
            return
        exchange = self._exchange
        full = self._phase is not _LINGER and (
            (exchange is not None and exchange.body.is_full)
            or (self._reader.buffered > MAX_AHEAD_BYTES and self._phase is not _SKIP)
        )
        if full is not self._is_reading:
            return
        self._is_reading = not full
        if full:
            self.transport.pauseProducing()
        else:
            self.transport.resumeProducing()

    # -- inner: closing

    def _refuse(self, error: HttpError, line: tuple[str, str] | None = None) -> None:
        """
        Send the response for `error` without an exchange, and close the connection.

        `line` is the method and the path; None where the head could not be parsed.
        """
        line = line or request_line_of(self._reader.failed_head)
        answer = refusal(self.context, error, self.peer, is_secure=self.is_secure, line=line)
        self.transport.write(answer)
        self._is_broken = True
        self._close()

    def _close(self) -> None:
        """Close the connection after the written bytes; linger until the client has read them."""
        unread = not self._reader.is_body_complete or self._reader.buffered > 0 or self._is_broken
        self._phase = _LINGER
        self._reader.forget()
        self.deadline = self.context.now() + LINGER_SECONDS
        transport = self.transport
        transport.unregisterProducer()
        self._regulate()
        if unread and not self.is_secure and self._tcp is not None:
            self._tcp.loseWriteConnection()
        else:
            # TLS itself goes on reading until the client has sent its close_notify.
            transport.loseConnection()

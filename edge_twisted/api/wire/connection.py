# SPDX-License-Identifier: Apache-2.0
"""
One connection: its requests one after the other, its time limits, its flow in both directions.

Pipelined requests wait in the reader's buffer: one is answered before the next is looked at, so
that answers come in order and a write is done before a read that was sent after it.  Whoever sends
more than `MAX_AHEAD_BYTES` ahead is not read from, and whoever does not read its answers gets no
more of them.
"""

from __future__ import annotations

import typing
from collections.abc import Callable
from enum import Enum, auto
from typing import Final

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IAddress, IDelayedCall, IPushProducer, ISSLTransport
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
from edge_twisted.api.wire.reader import RequestReader
from edge_twisted.api.wire.refusal import refusal

#: Bytes of further requests that are read while one is answered: one read of Twisted's transport.
MAX_AHEAD_BYTES: Final = 65536
#: Requests that are at hand and answered before other connections get their turn: a few ms.
REQUESTS_PER_TURN: Final = 16
#: A body that nobody wanted is read to its end, if it is no longer, to go on with the connection.
SKIP_BYTES: Final = 65536
#: After the last answer: how long a client may go on sending or be silent before it is cut off, and
#: how much it may send.  Closing at once would make its system throw the answer away.
LINGER_SECONDS: Final = 3.0
LINGER_BYTES: Final = 64 * 2**20


class _Phase(Enum):
    #: Waits for a request, or for the rest of its head.
    HEAD = auto()
    #: One request is under way.
    EXCHANGE = auto()
    #: It is answered, and the rest of its body is thrown away.
    SKIP = auto()
    #: The last answer is out; what arrives is thrown away until the client closes.
    LINGER = auto()
    GONE = auto()


#: Looked at many times in every request, and a member of an `Enum` takes Python 3.11 0.07 us.
_HEAD, _EXCHANGE, _SKIP, _LINGER, _GONE = _Phase


class _Transport(typing.Protocol):
    """What a connection needs of its transport: TCP, TLS over it, or a unix socket."""

    def write(self, data: bytes) -> None: ...
    def getPeer(self) -> IAddress: ...
    def registerProducer(self, producer: IPushProducer, streaming: bool) -> None: ...
    def unregisterProducer(self) -> None: ...
    def pauseProducing(self) -> None: ...
    def resumeProducing(self) -> None: ...
    def loseConnection(self) -> None: ...
    def loseWriteConnection(self) -> None: ...
    def abortConnection(self) -> None: ...


@implementer(IPushProducer)
class Connection(Protocol):
    """
    One connection of a `Site`, which is told of its beginning (`opened`) and its end (`closed`).
    """

    transport: _Transport  # type: ignore[assignment]

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
        #: When the site calls `time_over`; None: never.
        self.deadline: float | None = None
        self._was_known = False
        self._reader = RequestReader(context.limits.max_header_bytes)
        self._phase = _HEAD
        self._exchange: Exchange | None = None
        #: Whether the time for the head that is awaited runs.
        self._head_began = True
        #: Whether the body under way can be read on, and whether its client was told to send it.
        self._is_broken = False
        self._continued = False
        self._is_advancing = False
        self._turn: IDelayedCall | None = None
        self._is_reading = True
        #: Set while the client does not take what was written.
        self._room: Deferred[None] | None = None
        self._lingered_bytes = 0
        #: When the request under way is late; None: never.
        self._request_due: float | None = None
        #: How fast the body under way comes, while some of it is missing.
        self._pace: Pace | None = None

    # -- IProtocol

    def connectionMade(self) -> None:
        transport = self.transport
        self.is_secure = ISSLTransport.providedBy(transport)
        self.peer = self.context.peer_of(transport.getPeer())
        set_no_delay = getattr(transport, "setTcpNoDelay", None)
        if set_no_delay is not None:
            set_no_delay(True)
        transport.registerProducer(self, True)
        self.deadline = self.context.now() + self.context.limits.header_timeout_ms / 1000
        self._opened(self)

    def dataReceived(self, data: bytes) -> None:
        if self._phase is _LINGER:
            self._lingered_bytes += len(data)
            if self._lingered_bytes > LINGER_BYTES:
                self.abort()
            return
        self._reader.receive(data)
        self._advance()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
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
        if self._room is None:
            self._room = Deferred()
            self.has_progressed()
            self._head_began = False

    def resumeProducing(self) -> None:
        room, self._room = self._room, None
        if room is not None:
            self.has_progressed()
            room.callback(None)
            self._advance()

    def stopProducing(self) -> None:
        """`connectionLost` follows."""

    # -- BodySource

    def body_wanted(self) -> None:
        """See `BodySource.body_wanted`."""
        exchange = self._exchange
        if exchange is None:
            return
        if exchange.head.expects_continue and not self._continued:
            self._continued = True
            if not exchange.body.received and not self._reader.buffered:
                self.transport.write(CONTINUE)
        self._advance()

    def body_taken(self) -> None:
        """See `BodySource.body_taken`."""
        self._advance()

    # -- for the exchange

    def write(self, data: bytes) -> None:
        """Send bytes."""
        if self._phase is not _GONE:
            self.transport.write(data)

    def room(self) -> Deferred[None]:
        """Fire when the client takes more."""
        return succeed(None) if self._room is None else self._room

    def has_progressed(self) -> None:
        """Give what streams its time anew."""
        if self._phase is not _LINGER:
            self._begin_time()

    def can_go_on(self) -> bool:
        """Return whether another request can follow the one that is about to be answered."""
        exchange = self._exchange
        if exchange is None or not exchange.head.keeps_alive or self.context.is_draining:
            return False
        if self._is_broken:
            return False
        if exchange.body.is_exhausted:
            return True
        # By what was announced, not by what happens to be here: the same bytes, the same answer.
        # Where the client waits to be told to go on, nobody knows whether the body will come.
        announced = exchange.body.announced
        return announced is not None and (
            not announced or (announced <= SKIP_BYTES and not exchange.head.expects_continue)
        )

    def exchange_over(self, keep: bool) -> None:
        """All of the response is out."""
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
            # It is short, and nobody waits for it.
            self._end_by(self.context.now() + WINDOW_SECONDS)
        self._advance()

    def abort(self) -> None:
        """Cut the connection."""
        if self._phase is not _GONE:
            self.transport.abortConnection()

    # -- for the site

    @property
    def is_known(self) -> bool:
        """Whether a caller was recognized on it: then it is no stranger's."""
        exchange = self._exchange
        return self._was_known or (exchange is not None and exchange.request.identity is not None)

    def time_over(self) -> None:
        """The deadline has passed."""
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
            # Should nothing come of it.
            self.deadline = self._request_due = self.context.now() + LINGER_SECONDS
            self._is_broken = not self._reader.is_body_complete
            if not self._exchange.time_over(error):
                self.abort()

    def drain(self) -> bool:
        """Close it if it is idle, and return whether it is; else it closes after its request."""
        is_idle = self._phase is _HEAD and not self._reader.buffered
        if is_idle:
            self._close()
        return is_idle

    def close_unconfirmed(self) -> None:
        """Close what carries TLS too, after what is still to be sent, without a confirmation."""
        below = getattr(self.transport, "transport", None)
        if self.is_secure and self._room is None and below is not None:
            below.loseConnection()

    # -- inner: what there is to do

    def _advance(self) -> None:
        """Go on as far as the bytes at hand allow."""
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
        """Return whether there is more to do at once, for which others had to wait too long."""
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
        """Begin the next request; False if there is none yet."""
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

    # -- inner: time

    def _begin_time(self) -> None:
        """Give the request under way its time, from now on."""
        limits = self.context.limits
        timeout = limits.request_timeout_ms
        self._request_due = self.deadline = self.context.now() + timeout / 1000 if timeout else None
        if self._pace is not None:
            self._end_by(self._pace.due)
        if self._room is not None and limits.min_body_bytes_per_sec:
            self._end_by(self.context.now() + stall_seconds(limits.min_body_bytes_per_sec))

    def _end_by(self, due: float) -> None:
        if self.deadline is None or due < self.deadline:
            self.deadline = due

    def _lateness(self, exchange: Exchange) -> RequestTimeout | None:
        """Return what a request is refused with; None for a body that comes fast enough."""
        context, pace = self.context, self._pace
        now = context.now()
        if pace is None or (self._request_due is not None and self._request_due <= now):
            return RequestTimeout.of_body(context.limits.request_timeout_ms / 1000)
        # While the endpoint works on what it has, the client cannot send.
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
        """Give the request under way what is here of its body."""
        exchange = self._exchange
        if exchange is None or exchange.body.is_complete or not exchange.body.is_taken:
            # Not before it is known who sent it, and that it is wanted: chunks cost time.
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
        """Throw away what is here of a body that nobody wants."""
        try:
            while self._reader.next_piece():
                pass
        except HttpError:
            self._is_broken = True

    def _regulate(self) -> None:
        """Read from the client as long as there is room for what it sends."""
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

    # -- inner: the end

    def _refuse(self, error: HttpError, line: tuple[str, str] | None = None) -> None:
        """
        Answer an error to what does not become a request, and close the connection.

        `line` is the method and the path; None where the head could not be parsed.
        """
        line = line or request_line_of(self._reader.failed_head)
        answer = refusal(self.context, error, self.peer, is_secure=self.is_secure, line=line)
        self.transport.write(answer)
        self._is_broken = True
        self._close()

    def _close(self) -> None:
        """End the connection once what was written is out, so that the client gets to read it."""
        unread = not self._reader.is_body_complete or self._reader.buffered > 0 or self._is_broken
        self._phase = _LINGER
        self._reader.forget()
        self.deadline = self.context.now() + LINGER_SECONDS
        transport = self.transport
        transport.unregisterProducer()
        self._regulate()
        if unread and not self.is_secure and hasattr(transport, "loseWriteConnection"):
            transport.loseWriteConnection()
        else:
            # Over TLS this reads on until the client has confirmed it.
            transport.loseConnection()

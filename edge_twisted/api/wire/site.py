# SPDX-License-Identifier: Apache-2.0
"""The factory of HTTP connections: bounds their number, ends late ones, and drains them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IAddress, ISSLTransport
from twisted.internet.protocol import Protocol, ServerFactory
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from edge_twisted.api.errors import HttpError, Stopping, TooManyConnections
from edge_twisted.api.wire.connection import Connection
from edge_twisted.api.wire.context import ConnectionContext
from edge_twisted.api.wire.newcomers import Newcomers
from edge_twisted.api.wire.refusal import refusal
from edge_twisted.security.networks import network_of

log = Logger()

#: How often the deadlines of all connections are checked.  That is cheaper than a timer for each:
#: 10,000 connections take about a millisecond.  Shorter time limits are checked more often.
SWEEP_SECONDS: Final = 0.5
MIN_SWEEP_SECONDS: Final = 0.05
#: How long an idle client may take to confirm the end of TLS when the server stops.  Most clients
#: confirm only when they send again.  All responses are sent, so closing loses nothing.
CONFIRM_SECONDS: Final = 0.25


class Site(ServerFactory):
    """Makes connections of one listener, ends those whose deadline has passed, and drains them."""

    noisy = False

    def __init__(self, context: ConnectionContext) -> None:
        self.context = context
        self.connections: set[Connection] = set()
        self._newcomers: Newcomers[Connection] = Newcomers()
        self._sweep = LoopingCall(self._look_at_deadlines)
        self._sweep.clock = context.clock
        self._drained: Deferred[None] | None = None

    # -- IProtocolFactory

    def buildProtocol(self, addr: IAddress | None) -> Protocol:
        """Return the protocol of a new connection: a `Connection`, or one that refuses.

        At the limit of connections, a newcomer of the largest network gives way, if there is one.
        """
        if self.context.is_draining:
            return _Refusal(self.context, Stopping())
        full = len(self.connections) >= self.context.limits.max_connections
        if full and (addr is None or not self._make_room(network_of(self.context.peer_of(addr)))):
            return _Refusal(self.context, TooManyConnections("all connections are taken now"))
        if not self._sweep.running:
            self._sweep.start(self._sweep_seconds(), now=False)
        return Connection(self.context, opened=self._opened, closed=self._closed)

    # -- for connections

    def _opened(self, connection: Connection) -> None:
        self.connections.add(connection)
        self._newcomers.add(connection, network_of(connection.peer))

    def _closed(self, connection: Connection) -> None:
        self.connections.discard(connection)
        self._newcomers.remove(connection)
        if self.connections:
            return
        if self._sweep.running:
            self._sweep.stop()
        if self._drained is not None:
            drained, self._drained = self._drained, None
            drained.callback(None)

    # -- for the service

    def drain(self, limit_seconds: float) -> Deferred[None]:
        """Close idle connections now and the others after their request.

        The Deferred fires with None when all are closed.  Those that are still open after
        `limit_seconds` are cut.
        """
        self.context.is_draining = True
        idle = [connection for connection in list(self.connections) if connection.drain()]
        if not self.connections:
            return succeed(None)
        drained = self._drained = Deferred()
        timers = [
            self.context.clock.callLater(limit_seconds, self._cut),
            self.context.clock.callLater(CONFIRM_SECONDS, self._close_unconfirmed, idle),
        ]

        def end(_: None) -> None:
            for timer in timers:
                if timer.active():
                    timer.cancel()

        return drained.addCallback(end)

    def _close_unconfirmed(self, idle: Sequence[Connection]) -> None:
        for connection in idle:
            if connection in self.connections:
                connection.close_unconfirmed()

    def _cut(self) -> None:
        log.warn("{count} connections did not end in time", count=len(self.connections))
        for connection in list(self.connections):
            connection.abort()
            self._closed(connection)

    # -- inner

    def _make_room(self, network: str) -> bool:
        """
        Cut the connection of a stranger from a crowded network; return whether one was cut.

        The new connection's `network` must have fewer strangers than the crowded one.
        """
        while (guest := self._newcomers.yielding_to(network)) is not None:
            self._newcomers.remove(guest)
            if not guest.is_known:
                guest.abort()
                self._closed(guest)
                return True
        return False

    def _sweep_seconds(self) -> float:
        limits = self.context.limits
        times = (limits.header_timeout_ms, limits.keep_alive_timeout_ms, limits.request_timeout_ms)
        shortest = min(each for each in (*times, 60_000) if each) / 1000
        return max(MIN_SWEEP_SECONDS, min(SWEEP_SECONDS, shortest / 4))

    def _look_at_deadlines(self) -> None:
        now = self.context.now()
        late = [c for c in self.connections if c.deadline is not None and c.deadline <= now]
        for connection in late:
            try:
                connection.time_over()
            except Exception:
                # The other connections' deadlines must be kept all the same.
                log.failure("Ending a connection failed")
                connection.abort()
        # A reload may have changed the limits.
        self._sweep.interval = self._sweep_seconds()


class _Refusal(Protocol):
    """A connection that is refused: it gets an error response, and is closed."""

    def __init__(self, context: ConnectionContext, error: HttpError) -> None:
        self._context = context
        self._error = error

    def connectionMade(self) -> None:
        """Send the error and close; over TLS, where no handshake has taken place, only cut."""
        context, transport = self._context, self.transport
        assert transport is not None
        is_secure = ISSLTransport.providedBy(transport)
        peer = context.peer_of(transport.getPeer())
        answer = refusal(context, self._error, peer, is_secure=is_secure)
        if is_secure:
            # A handshake only to send an error would cost too much under a flood.
            transport.abortConnection()  # type: ignore[attr-defined]
            return
        transport.write(answer)
        transport.loseConnection()

# SPDX-License-Identifier: Apache-2.0
"""All HTTP connections of a server: their number, their time limits, their end."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IAddress, IReactorTime, ISSLTransport
from twisted.internet.protocol import Protocol, ServerFactory
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from edge_twisted.api.errors import HttpError, Stopping, TooManyConnections
from edge_twisted.api.pipeline import Pipeline
from edge_twisted.api.wire.answer import DateField
from edge_twisted.api.wire.connection import Connection
from edge_twisted.api.wire.newcomers import Newcomers
from edge_twisted.api.wire.refusal import refusal
from edge_twisted.config.model import HttpServer
from edge_twisted.security.networks import network_of
from edge_twisted.security.time_share import TimeShare

log = Logger()

#: How often the time limits of all connections are looked at: cheaper than a timer for each, and
#: 10,000 of them take about a millisecond.  Limits that are shorter are looked at more often.
SWEEP_SECONDS: Final = 0.5
MIN_SWEEP_SECONDS: Final = 0.05
#: How long an idle client may take to confirm the end of TLS when the server stops.  Most do not
#: before they want to send again; all answers are out, so nothing is lost without.
CONFIRM_SECONDS: Final = 0.25
#: What is answered in one turn of the reactor to those who show no key, where keys are asked for:
#: so many answers, for each of which another request is read, so long.  Everyone else waits for
#: that at most, however many strangers there are.
STRANGERS_PER_TURN: Final = 8
STRANGERS_SECONDS: Final = 0.0005


class Site(ServerFactory):
    """
    Makes connections, bounds their number, ends those whose time is over, and drains them.

    `pipeline` and `limits` may be replaced at any time; requests under way keep the pipeline that
    they began with.

    :param now: a clock in seconds that never goes back.
    :param date: the wall clock, in seconds since 1970.
    :param client_of: the address to count and log, from the peer's and the header fields.
    """

    noisy = False

    def __init__(
        self,
        pipeline: Pipeline,
        http_server: HttpServer,
        clock: IReactorTime,
        *,
        now: Callable[[], float],
        date: Callable[[], float],
        new_request_id: Callable[[], str],
        peer_of: Callable[[IAddress], str],
        client_of: Callable[[str, Mapping[bytes, bytes]], str],
    ) -> None:
        self.pipeline = pipeline
        self.limits = http_server
        self.clock = clock
        self.now = now
        self.new_request_id = new_request_id
        self.peer_of = peer_of
        self.client_of = client_of
        self.connections: set[Connection] = set()
        self._newcomers: Newcomers[Connection] = Newcomers()
        self.is_draining = False
        self._wall = date
        #: What those who show no key get of the reactor's time.
        self.strangers = TimeShare(
            clock, now, slice_seconds=STRANGERS_SECONDS, most=STRANGERS_PER_TURN
        )
        self._date = DateField()
        self._sweep = LoopingCall(self._look_at_deadlines)
        self._sweep.clock = clock
        self._drained: Deferred[None] | None = None

    def lines(self, *, is_secure: bool) -> bytes:
        """Return the lines of fields that any response has that is sent now, Date first."""
        date = self._date.at(self._wall())
        seconds = self.limits.hsts_max_age_secs
        # RFC 6797, 7.2: never without TLS, for anybody could have put it there.
        if seconds and is_secure:
            return b"%bStrict-Transport-Security: max-age=%d\r\n" % (date, seconds)
        return date

    # -- IProtocolFactory

    def buildProtocol(self, addr: IAddress | None) -> Protocol:
        if self.is_draining:
            return _Refused(self, Stopping())
        full = len(self.connections) >= self.limits.max_connections
        if full and (addr is None or not self._make_room(network_of(self.peer_of(addr)))):
            return _Refused(self, TooManyConnections("all connections are taken now"))
        if not self._sweep.running:
            self._sweep.start(self._sweep_seconds(), now=False)
        return Connection(self)

    # -- for connections

    def welcome(self, connection: Connection) -> None:
        """A connection began."""
        self.connections.add(connection)
        self._newcomers.add(connection, network_of(connection.peer))

    def forget(self, connection: Connection) -> None:
        """A connection ended."""
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
        """
        Close idle connections now and the others after their request; fire when all are gone.

        What is still open after the limit is cut.
        """
        self.is_draining = True
        idle = [connection for connection in list(self.connections) if connection.drain()]
        if not self.connections:
            return succeed(None)
        drained = self._drained = Deferred()
        timers = [
            self.clock.callLater(limit_seconds, self._cut),
            self.clock.callLater(CONFIRM_SECONDS, self._close_unconfirmed, idle),
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
            self.forget(connection)

    # -- inner

    def _make_room(self, network: str) -> bool:
        """End a stranger's connection for one of a network that has fewer; False: there is none."""
        while (guest := self._newcomers.yielding_to(network)) is not None:
            self._newcomers.remove(guest)
            if not guest.is_known:
                guest.abort()
                self.forget(guest)
                return True
        return False

    def _sweep_seconds(self) -> float:
        limits = self.limits
        times = (limits.header_timeout_ms, limits.keep_alive_timeout_ms, limits.request_timeout_ms)
        shortest = min(each for each in (*times, 60_000) if each) / 1000
        return max(MIN_SWEEP_SECONDS, min(SWEEP_SECONDS, shortest / 4))

    def _look_at_deadlines(self) -> None:
        now = self.now()
        late = [c for c in self.connections if c.deadline is not None and c.deadline <= now]
        for connection in late:
            try:
                connection.time_over()
            except Exception:
                # Others must not wait forever because of one.
                log.failure("Ending a connection failed")
                connection.abort()
        # Limits may have changed.
        self._sweep.interval = self._sweep_seconds()


class _Refused(Protocol):
    """A connection that the site does not take: told why, and closed."""

    def __init__(self, site: Site, error: HttpError) -> None:
        self._site = site
        self._error = error

    def connectionMade(self) -> None:
        site, transport = self._site, self.transport
        assert transport is not None
        is_secure = ISSLTransport.providedBy(transport)
        answer = refusal(site, self._error, site.peer_of(transport.getPeer()), is_secure=is_secure)
        if is_secure:
            # A handshake would cost more than anything that is worth telling.
            transport.abortConnection()  # type: ignore[attr-defined]
            return
        transport.write(answer)
        transport.loseConnection()

# SPDX-License-Identifier: Apache-2.0
"""
The HTTP listener as a service: TLS, the endpoints, reload, drain.

If no certificate is valid at the start, the service starts all the same, and begins to listen when
there is a valid one.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from time import monotonic
from typing import TYPE_CHECKING

from twisted.application.service import Service
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IDelayedCall, IListeningPort, IProtocolFactory
from twisted.logger import Logger

from edge_twisted.api.client_address import UNIX, client_address, plain
from edge_twisted.api.health import Trouble
from edge_twisted.api.pipeline import Pipeline
from edge_twisted.api.reloadable import ReloadableApi
from edge_twisted.api.request_ids import request_ids
from edge_twisted.api.resource import Observer
from edge_twisted.api.throttle import Throttle
from edge_twisted.api.tree import ApiParts
from edge_twisted.api.wire.context import ConnectionContext
from edge_twisted.api.wire.site import Site
from edge_twisted.config.model import Configuration, HttpServer, TcpAddress
from edge_twisted.errors import EdgeError
from edge_twisted.logs.audit import AuditEvent, AuditLine, AuditLog
from edge_twisted.security.certificate_watch import (
    CertificateReload,
    CertificateWait,
    CertificateWatch,
)
from edge_twisted.security.certificates import Certificate, check_files
from edge_twisted.security.key_ring import DeferToPool
from edge_twisted.security.tls import ReloadableTlsContext, tls_factory
from edge_twisted.services.listening import listen, stop_listening
from edge_twisted.services.wall_clock import now_seconds, now_utc

if TYPE_CHECKING:
    from edge_twisted.services.reactor import Reactor

log = Logger()

#: How long current requests may take once the server stops; two seconds are left for mesh and
#: store, so that every stop ends within ten.
DRAIN_SECONDS = 8.0
#: Time between attempts to listen, if the port is in use when the certificate becomes valid.
LISTEN_AGAIN_SECONDS = 30.0


class HttpService(Service):
    """The HTTP listener; it starts last and stops first, while the store is open."""

    name = "http"

    def __init__(
        self,
        configuration: Configuration,
        reactor: Reactor,
        parts: ApiParts,
        observer: Observer,
        audit: AuditLog,
        defer_to_pool: DeferToPool,
    ) -> None:
        assert configuration.http_server is not None
        self._configuration = configuration
        self._http: HttpServer = configuration.http_server
        self._reactor = reactor
        self._audit = audit
        self._watch: CertificateWatch | None = None
        self._wait: CertificateWait | None = None
        self._again: IDelayedCall | None = None
        self._problem = ""
        #: Called when HTTPS begins after the start.
        self.when_served: Callable[[], None] = lambda: None
        self._ports: list[IListeningPort] = []
        address = self._http.listen_addr
        self._tls: ReloadableTlsContext | None = None
        self._api = ReloadableApi(
            configuration,
            parts,
            defer_to_pool=defer_to_pool,
            throttle_of=lambda http: Throttle(http.throttling, monotonic, self._throttled),
            # A browser reaches a unix socket only through a proxy, which has names of its own.
            own_names=self._names if isinstance(address, TcpAddress) else None,
        )
        self._metrics = parts.metrics
        self.site = self._site(observer)
        parts.metrics.refresh(self._refresh_metrics)
        parts.troubles.append(self._troubles)

    @property
    def ports(self) -> Sequence[IListeningPort]:
        """The ports that are listened on; none before the start and after the stop."""
        return self._ports

    @property
    def problem(self) -> str:
        """Why the service does not listen; empty if it does."""
        return str(self._wait.problem) if self._wait is not None else self._problem

    # -- IService

    def startService(self) -> Deferred[None]:
        """Begin to listen; fire once clients can connect.

        If the certificate's dates alone are wrong, fire at once, and begin when it is valid.  The
        Deferred fails with `CertificateProblem` or `ListenFailed`: the server must end with that
        reason.
        """
        super().startService()
        return Deferred.fromCoroutine(self._start())

    def stopService(self) -> Deferred[None]:
        """Stop listening and drain the connections; fire when all are closed."""
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    # -- Reloadable

    def verify(self, new: Configuration) -> Sequence[str]:
        """Return the reasons against a configuration, a sentence each, none if there are none."""
        return self._api.verify(new)

    def commit(self, new: Configuration) -> Sequence[str]:
        """Apply endpoints, keys, permissions, limits and certificate of a new configuration.

        A certificate that cannot be used is logged, and the one in use stays.  Return the keys of
        settings that need a restart.
        """
        old, http = self._http, new.http_server
        keys = self._api.commit(new)
        if http is None:
            return keys
        self.site.context.limits = http
        if self._watch is not None and http.tls is not None:
            self._watch.commit(self._watch.prepare(http.tls))
        if self._wait is not None and http.tls is not None:
            self._wait.use(http.tls)
        self._http = http
        fixed = [
            ("http_server.listen_addr", old.listen_addr != http.listen_addr),
            ("http_server.tls_config", (old.tls is None) != (http.tls is None)),
            ("http_server.backlog", old.backlog != http.backlog),
        ]
        return [key for key, changed in fixed if changed]

    # -- inner

    def _site(self, observer: Observer) -> Site:
        return Site(
            ConnectionContext(
                Pipeline(self._api, observer),
                self._http,
                self._reactor,
                now=monotonic,
                date=now_seconds,
                new_request_id=request_ids(),
                peer_of=_peer_of,
                client_of=self._client_of,
            )
        )

    async def _start(self) -> None:
        files = self._http.tls
        if files is None:
            await self._listen(self.site)
            return
        check = check_files(files.cert, files.key, self._host, now_utc())
        if check.certificate is not None:
            await self._begin(check.certificate)
        elif check.is_about_dates:
            self._wait = CertificateWait(
                files,
                self._host,
                check,
                clock=self._reactor,
                now=now_utc,
                found=self._found,
            )
            self._wait.start()
        else:
            raise check.problems[0]

    def _found(self, certificate: Certificate) -> None:
        """Begin to serve with a certificate that became valid after the start."""
        self._wait = self._again = None
        begun = Deferred.fromCoroutine(self._begin_late(certificate))
        begun.addErrback(lambda failure: log.failure("HTTPS could not begin", failure))

    async def _begin_late(self, certificate: Certificate) -> None:
        try:
            await self._begin(certificate)
        except EdgeError as error:
            self._problem = str(error)
            log.critical("HTTPS is not served; everything else is: {error}", error=self._problem)
            if self.running:
                self._again = self._reactor.callLater(
                    LISTEN_AGAIN_SECONDS, self._found, certificate
                )
            return
        if not self.running:
            await self._stop()
            return
        log.info("HTTPS is served from now on")
        self.when_served()

    async def _begin(self, certificate: Certificate) -> None:
        files = self._http.tls
        assert files is not None
        tls = ReloadableTlsContext(certificate)
        await self._listen(tls_factory(tls, self.site, self._reactor))
        self._tls = tls
        self._watch = CertificateWatch(
            tls,
            files,
            self._host,
            clock=self._reactor,
            now=now_utc,
            on_reload=self._certificate_reloaded,
        )
        self._watch.start()

    async def _listen(self, factory: IProtocolFactory) -> None:
        address, backlog = self._http.listen_addr, self._http.backlog
        self._ports = await listen(self._reactor, address, factory, backlog)
        self._problem = ""

    async def _stop(self) -> None:
        for waits in (self._watch, self._wait):
            if waits is not None:
                waits.stop()
        again, self._again = self._again, None
        if again is not None:
            again.cancel()
        await stop_listening(self._ports)
        self._ports = []
        await self.site.drain(DRAIN_SECONDS)

    @property
    def _host(self) -> str | None:
        address = self._http.listen_addr
        return address.host if isinstance(address, TcpAddress) else None

    def _certificate_reloaded(self, reload: CertificateReload) -> None:
        status = "refused" if reload.problems else "applied"
        self._audit.add(AuditLine("", AuditEvent.CERTIFICATE_RELOADED, status=status))

    def _throttled(self, strategy: str) -> None:
        self._metrics.throttled.labels(strategy).inc()

    def _refresh_metrics(self) -> None:
        self._metrics.http_connections.set(len(self.site.connections))
        if self._tls is not None:
            self._metrics.certificate_end.set(self._tls.certificate.expires.timestamp())

    def _troubles(self) -> Iterator[Trouble]:
        if self._tls is None:
            return
        certificate, now = self._tls.certificate, now_utc()
        if now > certificate.expires:
            yield Trouble("certificate_expired", "the certificate in use has expired; renew it")
        elif now < certificate.begins:
            what = "the certificate in use is not valid yet; is the server's clock right?"
            yield Trouble("certificate_not_yet_valid", what)

    def _names(self) -> Iterator[str]:
        """Yield the names under which this server may be called without keys."""
        machine = socket.gethostname()
        yield from (machine, f"{machine}.local")
        address = self._http.listen_addr
        if isinstance(address, TcpAddress):
            yield address.host
        if self._tls is not None:
            yield from self._tls.certificate.names

    def _client_of(self, peer: str, fields: Mapping[bytes, bytes]) -> str:
        forwarded = fields.get(b"x-forwarded-for")
        if forwarded is None:
            return peer
        return client_address(peer, forwarded.decode("latin-1"), self._http.trusted_proxies)


def _peer_of(address: IAddress) -> str:
    # The address of a unix socket has no host.
    return plain(address.host if isinstance(address, IPv4Address | IPv6Address) else UNIX)

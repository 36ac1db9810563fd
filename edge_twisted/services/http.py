# SPDX-License-Identifier: Apache-2.0
"""The HTTP listener as one part of the server: TLS, the endpoints, reload, drain."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping, Sequence
from time import monotonic
from typing import TYPE_CHECKING

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IListeningPort, IProtocolFactory
from twisted.logger import Logger

from edge_twisted.api.client_address import UNIX, client_address, plain
from edge_twisted.api.hosts import HostNames
from edge_twisted.api.live import LiveApi
from edge_twisted.api.pipeline import Pipeline
from edge_twisted.api.request_ids import request_ids
from edge_twisted.api.resource import Observer
from edge_twisted.api.throttle import Throttle
from edge_twisted.api.tree import Parts
from edge_twisted.api.wire.site import Site
from edge_twisted.config.model import Configuration, HttpServer, TcpAddress, TlsFiles
from edge_twisted.logs.audit import AuditEvent, AuditLog
from edge_twisted.security.certificate_watch import CertificateReload, CertificateWatch
from edge_twisted.security.certificates import check_files
from edge_twisted.security.key_ring import DeferToPool
from edge_twisted.security.tls import ReloadableTlsContext, tls_factory
from edge_twisted.services.listening import listen, stop_listening
from edge_twisted.services.wall_clock import now_seconds, now_utc

if TYPE_CHECKING:
    from edge_twisted.services.reactor import Reactor

log = Logger()

#: How long requests in flight may take once the server stops.
DRAIN_SECONDS = 10.0


class HttpService(Service):
    """Listens last and stops first, so that no request meets a store that is not open."""

    name = "http"

    def __init__(
        self,
        configuration: Configuration,
        reactor: Reactor,
        parts: Parts,
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
        self._ports: list[IListeningPort] = []
        address = self._http.listen_addr
        self._tls: ReloadableTlsContext | None = None
        self._api = LiveApi(
            configuration,
            parts,
            defer_to_pool=defer_to_pool,
            throttle_of=lambda http: Throttle(http.throttling, monotonic, self._throttled),
            # No browser gets at a unix socket but through a proxy, which has names of its own.
            hosts=HostNames(self._names) if isinstance(address, TcpAddress) else None,
        )
        self._metrics = parts.metrics
        self.site = Site(
            Pipeline(self._api, observer),
            self._http,
            reactor,
            now=monotonic,
            date=now_seconds,
            new_request_id=request_ids(),
            peer_of=_peer_of,
            client_of=self._client_of,
        )
        parts.metrics.refresh(self._count_connections)

    @property
    def ports(self) -> Sequence[IListeningPort]:
        """Where it listens, while it does."""
        return self._ports

    # -- IService

    def startService(self) -> Deferred[None]:
        super().startService()
        return Deferred.fromCoroutine(self._start())

    def stopService(self) -> Deferred[None]:
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    # -- Reloadable

    def verify(self, new: Configuration) -> Sequence[str]:
        """Return what stands against `new`."""
        return self._api.verify(new)

    def commit(self, new: Configuration) -> Sequence[str]:
        """Take endpoints, keys, permissions and limits over; certificates by their own rules."""
        old, http = self._http, new.http_server
        keys = self._api.commit(new)
        if http is None:
            return keys
        self.site.limits = http
        if self._watch is not None and http.tls is not None:
            self._watch.commit(self._watch.prepare(http.tls))
        self._http = http
        fixed = [
            ("http_server.listen_addr", old.listen_addr != http.listen_addr),
            ("http_server.tls_config", (old.tls is None) != (http.tls is None)),
            ("http_server.backlog", old.backlog != http.backlog),
        ]
        return [key for key, changed in fixed if changed]

    # -- inner

    async def _start(self) -> None:
        factory: IProtocolFactory = self.site
        if self._http.tls is not None:
            factory = self._with_tls(self._http.tls, factory)
        address, backlog = self._http.listen_addr, self._http.backlog
        self._ports = await listen(self._reactor, address, factory, backlog)
        if self._watch is not None:
            self._watch.start()

    async def _stop(self) -> None:
        if self._watch is not None:
            self._watch.stop()
        await stop_listening(self._ports)
        self._ports = []
        await self.site.drain(DRAIN_SECONDS)

    def _with_tls(self, files: TlsFiles, factory: IProtocolFactory) -> IProtocolFactory:
        address = self._http.listen_addr
        host = address.host if isinstance(address, TcpAddress) else None
        check = check_files(files.cert, files.key, host, now_utc())
        if check.certificate is None:
            raise check.problems[0]
        tls = self._tls = ReloadableTlsContext(check.certificate)
        self._watch = CertificateWatch(
            tls, files, host, clock=self._reactor, now=now_utc, on_reload=self._certificate_reloaded
        )
        return tls_factory(tls, factory, self._reactor)

    def _certificate_reloaded(self, reload: CertificateReload) -> None:
        status = "refused" if reload.problems else "applied"
        self._audit.record(AuditEvent.CERTIFICATE_RELOADED, status=status)

    def _throttled(self, strategy: str) -> None:
        self._metrics.throttled.labels(strategy).inc()

    def _count_connections(self) -> None:
        self._metrics.http_connections.set(len(self.site.connections))

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
    return plain(str(getattr(address, "host", UNIX)))

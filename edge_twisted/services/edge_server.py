# SPDX-License-Identifier: Apache-2.0
"""
The whole server: what it consists of, in the order in which the parts start.

`EdgeServer._parts_in_order` is that order.  Each part starts when the one before it has started;
a stop runs the other way.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping, MutableMapping
from typing import TYPE_CHECKING

from twisted.application.service import IService, IServiceCollection, Service
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from edge_twisted.api.metrics import Metrics
from edge_twisted.api.observation import AuditObserver, DebugObserver, Observers
from edge_twisted.api.tree import ApiParts
from edge_twisted.config.model import Configuration, TcpAddress
from edge_twisted.errors import EdgeError
from edge_twisted.logs.audit import AuditEvent, AuditLine
from edge_twisted.logs.errors import LogFolderUnusable
from edge_twisted.logs.service import LoggingService
from edge_twisted.logs.twistd import observe_with, streams_of
from edge_twisted.security.development import DevelopmentCertificate, development_certificate
from edge_twisted.services.allocator import Allocator
from edge_twisted.services.attachments import StoredBlobReferences
from edge_twisted.services.database import DatabaseService
from edge_twisted.services.embedded import welcome
from edge_twisted.services.garbage import GarbageCollection
from edge_twisted.services.http import HttpService
from edge_twisted.services.lag import LagMeter
from edge_twisted.services.listening import listening_text
from edge_twisted.services.mesh import MeshParts, MeshService
from edge_twisted.services.mesh_account import MeshAccount
from edge_twisted.services.mesh_attachments import MeshAttachments
from edge_twisted.services.mesh_status import HttpStatus, ServerStatus, status_of
from edge_twisted.services.ordered import OrderedService
from edge_twisted.services.process import EX_CONFIG, EX_FAILED, ExitStatus, install_signals
from edge_twisted.services.reload import Reloadable, Reloader
from edge_twisted.services.replication import ReplicationParts, StoreReplication
from edge_twisted.services.status import StatusService
from edge_twisted.services.store_metrics import measure_clock, measure_damage, measure_store
from edge_twisted.services.system_facts import measures_of
from edge_twisted.services.systemd import Notifier, Watchdog, watchdog_seconds
from edge_twisted.services.wall_clock import now_ms, now_seconds, now_utc
from edge_twisted.store.threads import ThreadPool

if TYPE_CHECKING:
    from edge_twisted.services.reactor import Reactor

log = Logger()

#: Seconds until a reload that arrives during the start is tried again.
RETRY_RELOAD_SECONDS = 0.5
#: The niceness of the thread that hashes API keys: unknown keys must not slow requests down.
HASH_NICENESS = 10

#: Reads the configuration anew; None where there is no file to read.
Load = Callable[[], Configuration]


@implementer(IService)
class EdgeServer(OrderedService):
    """The server of one configuration; construction does no I/O."""

    name = "edge server"

    def __init__(
        self,
        configuration: Configuration,
        load: Load | None,
        reactor: Reactor,
        status: ExitStatus,
        environ: MutableMapping[str, str],
        twistd_options: Mapping[str, object],
    ) -> None:
        self._configuration = configuration
        self._reactor = reactor
        self._status = status
        self._notifier = Notifier.from_environment(environ)
        self._logging = LoggingService.of(
            configuration, reactor, reactor, streams_of(twistd_options), now_seconds
        )
        self._development = _DevelopmentCertificate(configuration) if load is None else None
        self._is_serving = False
        self._metrics = Metrics(lambda: deferLater(reactor, 0.0))
        self._database = self._database_service()
        self._references = StoredBlobReferences(self._database.store, self._database.database)
        self._database.fetch = self._references.fetch_again
        self._mesh = self._mesh_service()
        self._http = self._http_service()
        super().__init__(self._parts_in_order(environ), self._failed, self._running)
        self._reloader = self._reloader_of(load) if load is not None else None

    # -- IService

    def startService(self) -> None:
        """Start all parts in order; signals are handled once the reactor runs."""
        # First of all, for an early SIGHUP would end the process; and once the reactor runs,
        # because it installs handlers of its own when it starts.
        self._reactor.callWhenRunning(install_signals, self._reactor, self._reactor, self._reload)
        super().startService()

    def setServiceParent(self, parent: IServiceCollection) -> None:
        """Join the application, and have its log go through this server's log service."""
        super().setServiceParent(parent)
        observe_with(parent, self._logging)

    # -- inner

    def _parts_in_order(self, environ: Mapping[str, str]) -> list[IService]:
        """Return what starts, the first first; a part is None where it is not configured."""
        reactor = self._reactor
        seconds = watchdog_seconds(environ, os.getpid())
        parts: list[IService | None] = [
            Allocator(reactor, reactor.callInThread),
            self._logging,
            self._development,
            LagMeter(reactor, self._metrics.reactor_lag.set),
            self._database,
            GarbageCollection(),
            self._mesh,
            StatusService(reactor, self._database.folder, self._status_document),
            self._http,
            None if seconds is None else Watchdog(reactor, self._notifier, seconds),
        ]
        return [part for part in parts if part is not None]

    def _reloader_of(self, load: Load) -> Reloader:
        parts: list[Reloadable] = [self._logging, self._database, self._mesh]
        return Reloader(load, parts if self._http is None else [*parts, self._http])

    def _database_service(self) -> DatabaseService:
        metrics, database = self._metrics, DatabaseService(self._configuration, self._reactor)
        database.database.vitals.metric_providers.append(measures_of(metrics.registry))
        measure_store(database.store, metrics, self._reactor)
        measure_damage(database.store, metrics, database.scrubber)
        measure_clock(database.clock_watch, metrics)
        return database

    def _mesh_service(self) -> MeshService:
        configuration, database = self._configuration, self._database
        replication = ReplicationParts(
            configuration=configuration.database,
            store=database.store,
            database=database.database,
            clock=self._reactor,
            now_ms=now_ms,
            entropy=os.urandom,
        )
        attachments = MeshAttachments(
            database.store,
            self._references,
            self._reactor,
            os.urandom,
            fetches_unasked=configuration.database.auto_fetch_attachments,
        )
        parts = MeshParts(
            replication=StoreReplication(replication),
            account=MeshAccount(self._metrics, self._logging.audit, self._reactor),
            attachments=attachments,
            folder=database.folder,
        )
        mesh = MeshService(configuration, self._reactor, parts)
        self._metrics.refresh(mesh.refresh_metrics)
        return mesh

    def _http_service(self) -> HttpService | None:
        if self._configuration.http_server is None:
            return None
        metrics, database, logging = self._metrics, self._database, self._logging
        parts = ApiParts(
            database=database.database,
            presence=self._mesh.presence,
            logs=logging,
            metrics=metrics,
            blobs=database.store.blobs,
            references=self._references,
            troubles=[database.troubles],
        )
        http = HttpService(
            self._configuration,
            self._reactor,
            parts,
            Observers(
                metrics.requests, AuditObserver(logging.audit), DebugObserver(logging.levels)
            ),
            logging.audit,
            ThreadPool(self._reactor, "key-hash", 1, niceness=HASH_NICENESS).call,
        )
        http.when_served = self._say_ready
        return http

    def _status_document(self) -> ServerStatus:
        """Return what `edge-server status` shows."""
        http = self._http
        listening = [] if http is None else [listening_text(port) for port in http.ports]
        problem = "" if http is None else http.problem
        return ServerStatus(
            **status_of(self._mesh),
            http=HttpStatus(listening=listening, problem=problem),
            problems=[trouble.description for trouble in self._database.troubles()],
        )

    def _say_ready(self) -> None:
        problem = "" if self._http is None else self._http.problem
        self._notifier.ready(f"serving all but HTTPS: {problem}" if problem else "serving")

    def _running(self) -> None:
        self._reactor.callWhenRunning(self._serving)

    def _serving(self) -> None:
        self._is_serving = True
        self._say_ready()
        if self._development is not None and self._http is not None:
            host = self._http.ports[0].getHost()
            assert isinstance(host, IPv4Address | IPv6Address)
            self._development.tell(host.port)

    def stopService(self):  # type: ignore[no-untyped-def]
        """Tell systemd, and stop all parts in reverse; fire when all have stopped."""
        self._notifier.stopping()
        return super().stopService()

    def _reload(self) -> None:
        if self._reloader is None:
            log.info("There is no configuration file to reload")
            return
        if not self._is_serving:
            log.info("Reload put off: the server is not ready yet")
            self._reactor.callLater(RETRY_RELOAD_SECONDS, self._reload)
            return
        self._notifier.reloading()
        outcome = self._reloader.reload()
        status = "applied" if outcome.applied else "refused"
        self._logging.audit.add(AuditLine("", AuditEvent.CONFIG_RELOADED, status=status))
        self._say_ready()

    def _failed(self, failure: Failure, part: str) -> None:
        error = failure.value
        if isinstance(error, EdgeError | OSError):
            status = EX_CONFIG if isinstance(error, LogFolderUnusable) else EX_FAILED
            self._status.fail(str(error), status)
        else:
            log.failure("Starting {part} failed", failure, part=part)
            self._status.fail(f"starting {part} failed: {error}")
        self._reactor.callWhenRunning(self._reactor.stop)


class _DevelopmentCertificate(Service):
    """Makes the certificate of the embedded configuration before the listener needs it."""

    name = "development certificate"

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration
        self._made: DevelopmentCertificate | None = None

    def startService(self) -> None:
        """Make the certificate, or take the one that is there."""
        super().startService()
        http = self._configuration.http_server
        assert http is not None and http.tls is not None
        assert isinstance(http.listen_addr, TcpAddress)
        folder = http.tls.cert.parent
        folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        self._made = development_certificate(folder, socket.gethostname(), now_utc())

    def tell(self, port: int) -> None:
        """Print on stderr what a newcomer can try with the server at this port."""
        assert self._made is not None
        os.write(2, welcome(self._made.files, port, self._made.created).encode())

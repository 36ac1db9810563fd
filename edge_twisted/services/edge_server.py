# SPDX-License-Identifier: Apache-2.0
"""
The whole server: its parts, in the order in which they start.

    logging -> store -> mesh -> HTTP listener; stopping runs the other way.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping, MutableMapping
from typing import TYPE_CHECKING, cast

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
from edge_twisted.logs.audit import AuditEvent
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
from edge_twisted.services.mesh_status import status_of
from edge_twisted.services.ordered import OrderedService
from edge_twisted.services.process import EX_CONFIG, EX_FAILED, ExitStatus, install_signals
from edge_twisted.services.reload import Reloadable, Reloader
from edge_twisted.services.replication import ReplicationParts, StoreReplication
from edge_twisted.services.status import StatusService
from edge_twisted.services.store_metrics import measure_damage, measure_store
from edge_twisted.services.system_facts import measures_of
from edge_twisted.services.systemd import Notifier, Watchdog, watchdog_seconds
from edge_twisted.services.wall_clock import now_ms, now_seconds, now_utc
from edge_twisted.store.threads import ThreadPool

if TYPE_CHECKING:
    from edge_twisted.services.reactor import Reactor
    from edge_twisted.store.interface import Store

log = Logger()

#: A reload that comes while the server starts is tried again after this.
RETRY_RELOAD_SECONDS = 0.5
#: Of the thread that hashes API keys: a stranger's key must not take the processor from requests.
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
        self._development = _Development(configuration) if load is None else None
        self._http: HttpService | None = None
        self._is_serving = False
        parts = self._parts_of(configuration, environ)
        super().__init__(parts, self._failed, self._running)
        reloadable = [cast(Reloadable, part) for part in parts if hasattr(part, "verify")]
        self._reloader = Reloader(load, reloadable) if load is not None else None

    # -- IService

    def startService(self) -> None:
        # First of all, for an early SIGHUP would end the process; and once the reactor runs,
        # because it installs handlers of its own when it starts.
        self._reactor.callWhenRunning(install_signals, self._reactor, self._reactor, self._reload)
        super().startService()

    def setServiceParent(self, parent: IServiceCollection) -> None:
        super().setServiceParent(parent)
        observe_with(parent, self._logging)

    # -- inner

    def _parts_of(self, configuration: Configuration, environ: Mapping[str, str]) -> list[IService]:
        metrics = Metrics(lambda: deferLater(self._reactor, 0.0))
        database = DatabaseService(configuration, self._reactor)
        database.database.vitals.measures.append(measures_of(metrics.registry))
        measure_store(cast("Store", database.store), metrics, self._reactor)
        measure_damage(cast("Store", database.store), metrics, database.scrubber)
        in_thread = self._reactor.callInThread
        parts: list[IService] = [Allocator(self._reactor, in_thread), self._logging]
        if self._development is not None:
            parts.append(self._development)
        parts.append(LagMeter(self._reactor, metrics.reactor_lag.set))
        parts.append(database)
        parts.append(GarbageCollection())
        references = StoredBlobReferences(cast("Store", database.store), database.database)
        database.fetch = references.fetch_again
        mesh = self._mesh_service(configuration, database, references, metrics)
        parts += [
            mesh,
            StatusService(self._reactor, database.folder, lambda: self._status_of(mesh, database)),
        ]
        if configuration.http_server is not None:
            self._http = self._http_service(configuration, database, references, mesh, metrics)
            self._http.when_served = self._say_ready
            parts.append(self._http)
        seconds = watchdog_seconds(environ, os.getpid())
        if seconds is not None:
            parts.append(Watchdog(self._reactor, self._notifier, seconds))
        return parts

    def _mesh_service(
        self,
        configuration: Configuration,
        database: DatabaseService,
        references: StoredBlobReferences,
        metrics: Metrics,
    ) -> MeshService:
        store = cast("Store", database.store)
        replication = StoreReplication(
            ReplicationParts(
                configuration=configuration.database,
                store=store,
                database=database.database,
                clock=self._reactor,
                now_ms=now_ms,
                entropy=os.urandom,
            )
        )
        account = MeshAccount(metrics, self._logging.audit, self._reactor)
        attachments = MeshAttachments(
            store,
            references,
            self._reactor,
            os.urandom,
            fetches_unasked=configuration.database.auto_fetch_attachments,
        )
        parts = MeshParts(
            replication=replication,
            account=account,
            attachments=attachments,
            folder=database.folder,
        )
        mesh = MeshService(configuration, self._reactor, parts)
        metrics.refresh(mesh.refresh_metrics)
        return mesh

    def _http_service(
        self,
        configuration: Configuration,
        database: DatabaseService,
        references: StoredBlobReferences,
        mesh: MeshService,
        metrics: Metrics,
    ) -> HttpService:
        store = cast("Store", database.store)
        audit = self._logging.audit
        return HttpService(
            configuration,
            self._reactor,
            ApiParts(
                database=database.database,
                presence=mesh.presence,
                logs=self._logging,
                metrics=metrics,
                blobs=store.blobs,
                references=references,
                troubles=[database.troubles],
            ),
            Observers(metrics.requests, AuditObserver(audit), DebugObserver(self._logging.levels)),
            audit,
            ThreadPool(self._reactor, "key-hash", 1, niceness=HASH_NICENESS).call,
        )

    def _status_of(self, mesh: MeshService, database: DatabaseService) -> object:
        http = self._http
        listening = [] if http is None else [listening_text(port) for port in http.ports]
        problem = "" if http is None else http.problem
        return {
            **status_of(mesh),
            "http": {"listening": listening, "problem": problem},
            "problems": [trouble.description for trouble in database.troubles()],
        }

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
        self._logging.audit.record(AuditEvent.CONFIG_RELOADED, status=status)
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


class _Development(Service):
    """Makes the certificate of the embedded configuration before the listener needs it."""

    name = "development certificate"

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration
        self._made: DevelopmentCertificate | None = None

    def startService(self) -> None:
        super().startService()
        http = self._configuration.http_server
        assert http is not None and http.tls is not None
        assert isinstance(http.listen_addr, TcpAddress)
        folder = http.tls.cert.parent
        folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        self._made = development_certificate(folder, socket.gethostname(), now_utc())

    def tell(self, port: int) -> None:
        """Tell a newcomer what to try."""
        assert self._made is not None
        os.write(2, welcome(self._made.files, port, self._made.created).encode())

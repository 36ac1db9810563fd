# SPDX-License-Identifier: Apache-2.0
"""
The logging of a server as a Twisted service: the first to start, the last to stop.

`LoggingService.observer` works as soon as it is made, so that twistd's first lines go through it
too.  Folders are made and files opened in `startService`, after twistd has forked and given up its
privileges; earlier lines wait in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from twisted.application.service import Service
from twisted.internet.interfaces import IReactorFromThreads, IReactorTime
from twisted.logger import ILogObserver, LogPublisher, globalLogPublisher

from edge_twisted.config.model import Configuration, Logging
from edge_twisted.logs.archive import ArchiveEntry, FileEntry, MemoryEntry, gzip_tar
from edge_twisted.logs.audit import AuditEvent, AuditLine, AuditLog, FileAuditLog, NullAuditLog
from edge_twisted.logs.errors import LogFolderUnusable
from edge_twisted.logs.levels import Levels
from edge_twisted.logs.outputs import Outputs, StandardStreams
from edge_twisted.logs.redaction import Redactor
from edge_twisted.logs.repeats import Repeats
from edge_twisted.logs.router import CallFromThread, LogRouter
from edge_twisted.logs.series import (
    AUDIT_KEY,
    ROTATING_KEY,
    audit_series,
    check_names,
    rotating_series,
)

#: Settings that only a restart changes.
_FIXED: Final[dict[str, Callable[[Logging], object]]] = {
    "logging.edge_server.console_logs": lambda logging: logging.console,
    "logging.edge_server.format": lambda logging: logging.format,
    AUDIT_KEY: lambda logging: logging.audit,
    ROTATING_KEY: lambda logging: logging.rotating,
}


class LoggingService(Service):
    """
    Owns the outputs of one server and feeds them from ``twisted.logger``.

    :param now: the wall clock, in seconds since 1970.
    """

    name = "logging"

    def __init__(
        self,
        logging: Logging,
        clock: IReactorTime,
        call_from_thread: CallFromThread,
        *,
        now: Callable[[], float],
        streams: StandardStreams | None = None,
        publisher: LogPublisher = globalLogPublisher,
    ) -> None:
        self._logging = logging
        self._now = now
        self._publisher = publisher
        self._removes_observer = True
        #: Removes secrets from every line; secrets may be added at any time.
        self.redactor = Redactor()
        #: The levels in force, for callers whose lines are costly to make.
        self.levels = Levels(logging)
        self._rotating = rotating_series(logging, clock, now)
        self._audit_files = audit_series(logging, clock, now)
        self._audit_log = (
            FileAuditLog(self._audit_files.writer, clock, self.redactor, now)
            if self._audit_files is not None
            else None
        )
        #: The audit log, which takes events before the start too.
        self.audit: AuditLog = self._audit_log or NullAuditLog()
        self._outputs = Outputs(
            logging,
            clock,
            streams or StandardStreams(),
            self._rotating.writer if self._rotating is not None else None,
        )
        #: The observer of ``twisted.logger`` events.
        self.observer = LogRouter(self.redactor, call_from_thread=call_from_thread)
        self._repeats = Repeats(clock, self.observer.observe)
        self.observer.is_line = self._repeats.is_line
        self.observer.use(self._outputs.routes(logging))

    @classmethod
    def of(
        cls,
        configuration: Configuration,
        clock: IReactorTime,
        threads: IReactorFromThreads,
        streams: StandardStreams,
        now: Callable[[], float],
    ) -> LoggingService:
        """
        Return the logging of a server, with all secrets of its configuration registered.

        :param now: returns the time in seconds since the epoch.
        """
        service = cls(
            configuration.logging, clock, threads.callFromThread, now=now, streams=streams
        )
        service.redactor.add_all_of(configuration)
        return service

    def observer_for_twistd(self) -> ILogObserver:
        """
        Return the observer to set on twistd's application.

        twistd, not `stopService`, then removes the observer, after its very last line.
        """
        self._removes_observer = False
        return self.observer

    # -- IService

    def startService(self) -> None:
        """
        Make folders, open files, and begin to observe.

        :raises LogFolderUnusable: log files cannot be written where the configuration wants them.
        """
        super().startService()
        check_names(self._logging)
        for series in (self._rotating, self._audit_files):
            if series is not None:
                series.open()
        # twistd has done so already if it was given the observer; adding twice adds once.
        self._publisher.addObserver(self.observer)
        self.audit.add(AuditLine("", AuditEvent.SERVER_STARTED))

    def stopService(self) -> None:
        """Write the waiting lines, close the files, and stop observing."""
        super().stopService()
        self._repeats.stop()
        self.audit.add(AuditLine("", AuditEvent.SERVER_STOPPED))
        if self._audit_log is not None:
            self._audit_log.flush()
        for series in (self._audit_files, self._rotating):
            if series is not None:
                series.close()
        self._outputs.stop_consoles()
        if self._removes_observer:
            self._publisher.removeObserver(self.observer)

    # -- Reloadable

    def verify(self, new: Configuration) -> Sequence[str]:
        """
        Return what forbids a new configuration, as texts for the user; none if it can be used.

        Its folders are checked by the rules of `config`.
        """
        try:
            check_names(new.logging)
        except LogFolderUnusable as problem:
            return [str(problem)]
        return ()

    def commit(self, new: Configuration) -> Sequence[str]:
        """Take over levels and secrets of `new`; return the changed keys that need a restart."""
        self.redactor.add_all_of(new)
        self.levels.apply(new.logging)
        self.observer.use(self._outputs.routes(new.logging))
        return self._needing_restart(new.logging)

    # -- for GET /logs

    def archive(self, *, with_audit: bool) -> Iterator[bytes]:
        """
        Yield the bytes of a gzip tar of all logs, in pieces.

        Take the pieces one by one on the reactor thread, so that other work gets its turn.

        :param with_audit: include the audit log; only for callers with the permission ``full``.
        """
        if self._audit_log is not None:
            self._audit_log.flush()
        return gzip_tar(list(self._entries(with_audit=with_audit)), self._now())

    # -- inner

    def _needing_restart(self, new: Logging) -> list[str]:
        return [key for key, value in _FIXED.items() if value(new) != value(self._logging)]

    def _entries(self, *, with_audit: bool) -> Iterator[ArchiveEntry]:
        if self._rotating is None:
            content = self._outputs.edge_buffer.content()
            yield MemoryEntry("edge-server/edge-server.log", content)
        else:
            for path in self._rotating.files():
                yield FileEntry(f"edge-server/{path.name}", path)
        yield MemoryEntry("ditto_sdk/ditto_sdk.log", self._outputs.data_buffer.content())
        if with_audit and self._audit_files is not None:
            for path in self._audit_files.files():
                yield FileEntry(f"audit/{path.name}", path)

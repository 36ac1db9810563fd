# SPDX-License-Identifier: Apache-2.0
"""The store and the database on it, as one part of the server."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

from attrs import evolve
from twisted.application.service import Service
from twisted.internet.defer import Deferred

from edge_twisted.api.health import Trouble
from edge_twisted.config import model
from edge_twisted.config.model import Configuration, TemporaryFolder
from edge_twisted.database.database import Database, TimeAndChance
from edge_twisted.database.system_parameters import ParameterValues
from edge_twisted.services.hybrid_clock import HybridClockWatch
from edge_twisted.services.system_facts import facts_of
from edge_twisted.services.uuid7 import uuid7
from edge_twisted.services.wall_clock import now_ms
from edge_twisted.store.housekeeping import Housekeeping, Retention
from edge_twisted.store.rows import DamageReport
from edge_twisted.store.scrubber import Scrubber, ScrubbingPace
from edge_twisted.store.sqlite.files import Layout
from edge_twisted.store.sqlite.store import SqliteStore

if TYPE_CHECKING:
    from edge_twisted.services.reactor import Reactor


class DatabaseService(Service):
    """Opens the store before anything that needs it starts, and closes it after all of that."""

    name = "store"

    def __init__(self, configuration: Configuration, reactor: Reactor) -> None:
        self._configuration = configuration.database
        self._temporary: Path | None = None
        folder = self._configuration.persistence_dir
        if isinstance(folder, TemporaryFolder):
            # Only a name is made up here; the folder is made when the store opens.
            folder = Path(tempfile.gettempdir()) / f"edge-server-{os.urandom(8).hex()}"
            self._temporary = folder
        self._folder = folder
        self.store = SqliteStore(
            Layout(folder, self._configuration.db_id),
            threads=reactor,
            clock=reactor,
            now_ms=now_ms,
            entropy=os.urandom,
            most_collections=self._configuration.max_collections,
        )
        self.database = Database(
            self.store,
            self._configuration.db_id,
            TimeAndChance(
                now_ms=now_ms,
                monotonic=monotonic,
                new_id=_new_id,
                later=reactor.callLater,
            ),
            {},
        )
        self.database.vitals.info_providers.append(facts_of(configuration, folder))
        self.clock_watch = HybridClockWatch(self.store, reactor, now_ms)
        self._housekeeping = Housekeeping(self.store, reactor, now_ms)
        self.database.watch_parameters(self._retain)
        pace = pace_of(self._configuration)
        self.scrubber = Scrubber(self.store.scrubbed, reactor, now_ms, pace)
        self.store.watch_damage(self.scrubber.hurry, self._lost)
        #: Fetches an attachment that was lost from the mesh; `EdgeServer` sets it.
        self.fetch: Callable[[str], object] = lambda attachment: None

    @property
    def folder(self) -> Path:
        """The persistence folder, which exists once the service has started."""
        return self._folder

    # -- IService

    def startService(self) -> Deferred[None]:
        """Open the store and recover it; fire once it can be used.

        The Deferred fails if the store cannot be opened: the server must end with that reason.
        """
        super().startService()
        return Deferred.fromCoroutine(self._open())

    def stopService(self) -> Deferred[None]:
        """Close the store; fire once everything is on disk."""
        super().stopService()
        return Deferred.fromCoroutine(self._close())

    # -- inner

    async def _open(self) -> None:
        self._folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        await self.store.open()
        self.database.start()
        self.clock_watch.start()
        self._housekeeping.start()
        self.scrubber.start()

    async def _close(self) -> None:
        self.clock_watch.stop()
        await self.scrubber.stop()
        await self._housekeeping.stop()
        await self.store.close()
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)

    def troubles(self) -> Iterator[Trouble]:
        """Yield the store's faults, for ``GET /health`` and `edge-server status`."""
        for text in damage_texts(self.store.damage):
            yield Trouble("store_corrupt", text)
        yield from self.clock_watch.troubles()

    def _lost(self, attachment: str) -> None:
        self.fetch(attachment)

    def _retain(self, parameters: ParameterValues) -> None:
        """Set the retention of tombstones to that of the system parameters."""
        retention = retention_of(parameters)
        if retention != self._housekeeping.retention:
            self._housekeeping.retention = retention

    # -- Reloadable

    def verify(self, new: Configuration) -> list[str]:
        """Return no objections: a changed database section takes effect at the next start."""
        return []

    def commit(self, new: Configuration) -> list[str]:
        """Change nothing; return ``database`` if a restart would change something."""
        # The transport is left out: `MeshService.commit` reports its changes.
        comparable = evolve(new.database, transport=self._configuration.transport)
        return ["database"] if comparable != self._configuration else []


def pace_of(configuration: model.DatabaseConfig) -> ScrubbingPace:
    """Return how fast (bytes per second) and how often (hours) the store is scrubbed."""
    return ScrubbingPace(
        bytes_per_second=configuration.scrub_kib_per_second * 1024,
        interval_hours=configuration.scrub_interval_hours,
    )


def retention_of(parameters: ParameterValues) -> Retention:
    """Return how long tombstones are kept, and how they are reaped, by the system's parameters."""
    return Retention(
        tombstone_ttl_enabled=parameters.boolean("tombstone_ttl_enabled"),
        tombstone_ttl_hours=parameters.integer("tombstone_ttl_hours"),
        days_between_reaping=parameters.integer("days_between_reaping"),
        tombstone_reap_batch_size=parameters.integer("tombstone_reap_batch_size"),
    )


def damage_texts(damage: DamageReport) -> Iterator[str]:
    """Yield a sentence for each kind of damage, with its remedy, without names from the data."""
    for count, what in ((damage.documents, "documents"), (damage.attachments, "attachments")):
        if count:
            yield f"{count} damaged {what} are in quarantine; the log names them"
    if damage.pages:
        yield "the store file is damaged; the log says where: restore a backup"


def _new_id() -> str:
    return uuid7(now_ms(), os.urandom)

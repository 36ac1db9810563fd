# SPDX-License-Identifier: Apache-2.0
"""
``system:vitals``, ``system:metrics`` and ``system:system_info``: figures of the database.

Other parts of the server add entries: `Vitals.info_providers`, `Vitals.metric_providers`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import Final

from attrs import define, field, frozen

from edge_twisted import __version__
from edge_twisted.database.admission import StatementAdmission
from edge_twisted.database.history import StatementHistory, StatementState
from edge_twisted.database.statement_cache import StatementCache
from edge_twisted.database.virtual_collections import ReadContext
from edge_twisted.documents.values import Value
from edge_twisted.dql.rows import Document


@frozen
class InfoEntry:
    """One line of ``system:system_info``."""

    namespace: str
    key: str
    value: Value


@frozen(kw_only=True)
class MetricEntry:
    """One line of ``system:metrics``: a name, labels, a number."""

    name: str
    labels: dict[str, str]
    value: int | float


@define(kw_only=True, eq=False)
class Vitals:
    """Makes the documents of the three collections; on any thread."""

    app_id: str
    #: When the database started, in ms since 1970.
    started_ms: int
    #: Returns the seconds since then, by the monotonic clock.
    uptime_seconds: Callable[[], float]
    history: StatementHistory
    statements: StatementCache
    admission: StatementAdmission
    #: Called on any thread; see `virtual_collections.Provider`.
    info_providers: list[Callable[[], Iterable[InfoEntry]]] = field(factory=list)
    metric_providers: list[Callable[[], Iterable[MetricEntry]]] = field(factory=list)

    def vitals(self, context: ReadContext) -> Iterator[Document]:
        """Yield the one document of ``system:vitals``: version, uptime (s) and counts."""
        counts = self.history.counts
        census = context.snapshot.census(0)
        started = datetime.fromtimestamp(self.started_ms / 1000, UTC)
        yield {
            "_id": "vitals",
            "version": __version__,
            "db_id": self.app_id,
            "start_time": started.isoformat(timespec="milliseconds"),
            "uptime_seconds": int(self.uptime_seconds()),
            "requests": {
                "active": self.history.active_count,
                "waiting": self.admission.waiting_count,
                "slow": self.history.slow,
                **{state.value: counts[state] for state in _FINISHED},
            },
            "statements_cached": len(self.statements),
            "collections": census.collections,
            "documents": census.documents,
            "commit": context.snapshot.lsn,
        }

    def metrics(self, context: ReadContext) -> Iterator[Document]:
        """Yield the documents of ``system:metrics``, one for each number; `timestamp` is in ms."""
        own = [
            MetricEntry(
                name="dql_requests_total",
                labels={"state": state.value},
                value=self.history.counts[state],
            )
            for state in _FINISHED
        ]
        own.append(
            MetricEntry(name="dql_requests_active", labels={}, value=self.history.active_count)
        )
        own.append(MetricEntry(name="dql_requests_slow_total", labels={}, value=self.history.slow))
        for each in (*own, *(found for give in self.metric_providers for found in give())):
            labels = ",".join(f"{name}={value}" for name, value in sorted(each.labels.items()))
            yield {
                "_id": f"{each.name}{{{labels}}}",
                "name": each.name,
                "labels": dict(each.labels),
                "value": each.value,
                "timestamp": context.now_ms,
            }

    def system_info(self, context: ReadContext) -> Iterator[Document]:
        """Yield the documents of ``system:system_info``, one for each key; `timestamp` is in ms."""
        for entry in (
            *self._own_info(context),
            *(each for give in self.info_providers for each in give()),
        ):
            yield {
                "_id": f"{entry.namespace}.{entry.key}",
                "namespace": entry.namespace,
                "key": entry.key,
                "value": entry.value,
                "timestamp": context.now_ms,
            }

    def _own_info(self, context: ReadContext) -> Iterator[InfoEntry]:
        yield InfoEntry("core", "version", __version__)
        yield InfoEntry("core", "db_id", self.app_id)
        yield InfoEntry("core", "started", self.started_ms)
        for name, value in context.parameters.changed.items():
            yield InfoEntry("core", f"non_default_system_parameter[{name}]", value)
        collections = context.snapshot.collections()
        yield InfoEntry("store", "commit", context.snapshot.lsn)
        yield InfoEntry("store", "num_collections", len(collections))
        for each in collections:
            yield InfoEntry("store", f"collection_num_docs[{each.name}]", each.count)
        scopes = context.parameters.mapping("user_collection_sync_scopes")
        for name, scope in scopes.items():
            yield InfoEntry("sync_scopes", name, scope)


_FINISHED: Final = (
    StatementState.COMPLETED,
    StatementState.TIMEOUT,
    StatementState.CANCELLED,
    StatementState.FATAL,
)

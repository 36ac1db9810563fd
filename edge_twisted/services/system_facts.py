# SPDX-License-Identifier: Apache-2.0
"""Facts and measures of ``system:`` collections from outside the database."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from prometheus_client import CollectorRegistry

from edge_twisted.config.model import Configuration
from edge_twisted.database.vitals import InfoEntry, MetricEntry
from edge_twisted.store.sqlite.connection import library_version


def facts_of(configuration: Configuration, folder: Path) -> Callable[[], Iterable[InfoEntry]]:
    """Return a function that yields facts: settings of the configuration, bytes in `folder`."""

    def facts() -> Iterator[InfoEntry]:
        yield InfoEntry("core", "device_name", configuration.database.device_name)
        yield InfoEntry("store", "fs_usage_total", _size_of(folder))
        yield InfoEntry("logs", "ditto_sdk_level", configuration.logging.ditto_sdk.name.lower())
        yield InfoEntry("logs", "edge_server_level", configuration.logging.level.name.lower())
        for number, each in enumerate(configuration.database.subscriptions):
            yield InfoEntry("replication", f"local_subscriptions[{number}]", each.query)
        yield InfoEntry("backend_sqlite3", "version", library_version())

    return facts


def measures_of(registry: CollectorRegistry) -> Callable[[], Iterable[MetricEntry]]:
    """Return a function that yields the samples of ``GET /metrics`` as measures.

    A measure has name, labels and value; a sample without a finite value is left out.
    """

    def measures() -> Iterator[MetricEntry]:
        for family in registry.collect():
            for sample in family.samples:
                value = float(sample.value)
                # Documents hold finite numbers only; a gauge may say "not a number".
                if value - value == 0.0:
                    yield MetricEntry(name=sample.name, labels=dict(sample.labels), value=value)

    return measures


def _size_of(folder: Path) -> int:
    """Return the total size in bytes of the files below `folder`; vanished files count nothing."""
    total = 0
    for path in folder.rglob("*"):
        try:
            if path.is_file():
                total += path.stat().st_size
        except OSError:
            continue
    return total

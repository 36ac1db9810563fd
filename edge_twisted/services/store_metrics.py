# SPDX-License-Identifier: Apache-2.0
"""Metrics of the store: commits as they happen, documents and damage per scrape."""

from __future__ import annotations

from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from edge_twisted.api.metrics import Metrics
from edge_twisted.services.hybrid_clock import HybridClockWatch
from edge_twisted.store.interface import Store
from edge_twisted.store.rows import Census, Commit
from edge_twisted.store.scrubber import Scrubber

#: Number of collections with a label of their own: those with the most documents.  Prometheus keeps
#: a series for each label for months, and the page must not grow with the database.
LABELLED_COLLECTIONS: Final = 50
#: The label of all other collections together.
OTHER: Final = "other"
#: How long a scrape waits for the counts; after that it shows those of the scrape before.
PATIENCE_SECONDS: Final = 2.0


def measure_store(store: Store, metrics: Metrics, clock: IReactorTime) -> None:
    """Feed the metrics of `store` from now on; the store need not be open yet."""

    def committed(commit: Commit) -> None:
        metrics.store_commits.inc(commit.units)
        metrics.store_commit_duration.observe(commit.seconds)

    def count_documents() -> Deferred[None]:
        counted = store.read("metrics", lambda snapshot: snapshot.census(LABELLED_COLLECTIONS))
        return counted.addTimeout(PATIENCE_SECONDS, clock).addCallback(_show, metrics)

    store.on_commit(committed)
    metrics.refresh(count_documents)


def measure_damage(store: Store, metrics: Metrics, scrubber: Scrubber) -> None:
    """Feed the metrics of a store's damage, and of the time since its last complete scrub."""

    def show() -> None:
        damage = store.damage
        metrics.store_damaged.labels("document").set(damage.documents)
        metrics.store_damaged.labels("attachment").set(damage.attachments)
        metrics.store_damaged.labels("page").set(len(damage.pages))
        metrics.store_scrub_age.set(scrubber.age_seconds)

    metrics.refresh(show)


def measure_clock(watch: HybridClockWatch, metrics: Metrics) -> None:
    """Set the metric of the hybrid clock's lead (seconds) at each scrape from now on."""
    metrics.refresh(lambda: metrics.clock_ahead.set(watch.ahead_seconds))


def _show(census: Census, metrics: Metrics) -> None:
    metrics.store_collections.set(census.collections)
    counts = dict(census.largest)
    if census.collections > len(counts):
        # A collection of this very name is counted among the others, so that the label is unique.
        counts.pop(OTHER, None)
        counts[OTHER] = census.documents - sum(counts.values())
    # Cleared, because a collection may have left the largest ones.
    metrics.store_documents.clear()
    for name, count in counts.items():
        metrics.store_documents.labels(name).set(count)

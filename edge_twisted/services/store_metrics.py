# SPDX-License-Identifier: Apache-2.0
"""What the metrics say of the store: commits as they become durable, documents when asked."""

from __future__ import annotations

from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from edge_twisted.api.metrics import Metrics
from edge_twisted.services.hybrid_clock import HybridClockWatch
from edge_twisted.store.interface import Store
from edge_twisted.store.rows import Census, Commit
from edge_twisted.store.scrubber import Scrubber

#: So many collections have a label of their own, those with most documents: what reads metrics
#: keeps a series for each, for months, and a page of them must not grow with the database.
LABELLED_COLLECTIONS: Final = 50
#: The label of all other collections together.
OTHER: Final = "other"
#: Counting waits so long for a thread at most; then the page shows the counts of the last time.
PATIENCE_SECONDS: Final = 2.0


def measure_store(store: Store, metrics: Metrics, clock: IReactorTime) -> None:
    """Have a store counted from now on; it need not be open yet."""

    def committed(commit: Commit) -> None:
        metrics.store_commits.inc(commit.units)
        metrics.store_commit_duration.observe(commit.seconds)

    def count_documents() -> Deferred[None]:
        counted = store.read("metrics", lambda snapshot: snapshot.census(LABELLED_COLLECTIONS))
        return counted.addTimeout(PATIENCE_SECONDS, clock).addCallback(_show, metrics)

    store.on_commit(committed)
    metrics.refresh(count_documents)


def measure_damage(store: Store, metrics: Metrics, scrubber: Scrubber) -> None:
    """Have it told from now on what of a store is damaged, and when it was looked through last."""

    def show() -> None:
        damage = store.damage
        metrics.store_damaged.labels("document").set(damage.documents)
        metrics.store_damaged.labels("attachment").set(damage.attachments)
        metrics.store_damaged.labels("page").set(len(damage.pages))
        metrics.store_scrub_age.set(scrubber.age_seconds)

    metrics.refresh(show)


def measure_clock(watch: HybridClockWatch, metrics: Metrics) -> None:
    """Have it told from now on by how much the hybrid clock is ahead."""
    metrics.refresh(lambda: metrics.clock_ahead.set(watch.ahead_seconds))


def _show(census: Census, metrics: Metrics) -> None:
    metrics.store_collections.set(census.collections)
    counts = dict(census.largest)
    if census.collections > len(counts):
        # A collection of this very name is among the others: a label says one thing.
        counts.pop(OTHER, None)
        counts[OTHER] = census.documents - sum(counts.values())
    # A collection that is no more among the largest must not be shown for ever.
    metrics.store_documents.clear()
    for name, count in counts.items():
        metrics.store_documents.labels(name).set(count)

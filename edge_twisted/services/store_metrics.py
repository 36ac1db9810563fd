# SPDX-License-Identifier: Apache-2.0
"""What the metrics say of the store: commits as they become durable, documents when asked."""

from __future__ import annotations

from edge_twisted.api.metrics import Metrics
from edge_twisted.store.interface import Store
from edge_twisted.store.rows import Commit


def measure_store(store: Store, metrics: Metrics) -> None:
    """Have a store counted from now on; it need not be open yet."""

    def committed(commit: Commit) -> None:
        metrics.store_commits.inc(commit.units)
        metrics.store_commit_duration.observe(commit.seconds)

    def count_documents() -> None:
        with store.snapshot() as snapshot:
            counts = {each.name: each.count for each in snapshot.collections()}
        # A collection that is gone must not be shown for ever.
        metrics.store_documents.clear()
        for name, count in counts.items():
            metrics.store_documents.labels(name).set(count)

    store.on_commit(committed)
    metrics.refresh(count_documents)

# SPDX-License-Identifier: Apache-2.0
"""``GET /metrics`` of a real daemon: each metric of the store and of HTTP moves when it should."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.system.daemon import Client, connect, running
from tests.system.fixtures import configuration, write_configuration

pytestmark = pytest.mark.system


def scrape(client: Client) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Return the samples by name and sorted labels."""
    answer = client.request("GET", "/metrics")
    assert answer.status == 200
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.body.decode())
        for sample in family.samples
    }


def test_each_metric_moves(tmp_path: Path) -> None:
    """Commits, their durations, documents, queries, connections, and refusals by a limit."""
    most = 8
    data = configuration(
        enable_metrics=True,
        throttling={
            "strategies": [{"strategy": "ip_address", "max_requests": most, "window_secs": 3600}]
        },
    )
    path = write_configuration(tmp_path, data)
    with running(["--config", str(path)], tmp_path) as daemon:
        port, ca = daemon.port, tmp_path / "cert.pem"
        client = connect(port, ca)
        before = scrape(client)
        name = ("edge_store_documents", (("collection", "tasks"),))
        assert name not in before
        assert before["edge_http_connections", ()] == 1.0

        other = connect(port, ca)
        two = [{"_id": "t1"}, {"_id": "t2"}]
        for document in two:
            done = other.execute("INSERT INTO tasks DOCUMENTS (:task)", {"task": document})
            assert done.status == 200, done.body
        assert client.execute("SELECT * FROM tasks").json()["items"] == two
        after = scrape(client)
        assert after[name] == 2.0
        assert after["edge_store_commits_total", ()] == before["edge_store_commits_total", ()] + 2
        for part in ("count", "sum"):
            duration = (f"edge_store_commit_duration_seconds_{part}", ())
            assert after[duration] > before[duration]
        counted = "edge_query_duration_seconds_count"
        assert after[counted, (("verb", "insert"),)] == 2.0
        assert after[counted, (("verb", "select"),)] == 1.0
        assert after["edge_http_connections", ()] == 2.0

        assert client.execute("DELETE FROM tasks WHERE _id = 't1'").status == 200
        last = scrape(client)
        assert last[name] == 1.0, "a tombstone is no document"
        label = ("edge_throttled_total", (("strategy", "ip_address"),))
        assert label not in last
        refused = 0
        for _ in range(most):
            refused += client.execute("SELECT * FROM tasks").status == 429
        assert refused == most - 1, "seven requests were within the limit before"
        assert daemon.stop() == 0

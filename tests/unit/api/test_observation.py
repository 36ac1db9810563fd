# SPDX-License-Identifier: Apache-2.0
"""What is kept of requests: audit records, metrics, debug lines."""

from __future__ import annotations

from itertools import count
from typing import cast

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families
from twisted.internet.defer import Deferred
from twisted.logger import ILogObserver, LogEvent, LogLevel, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from edge_twisted.api import metrics as page_of_metrics
from edge_twisted.api.metrics import Metrics, MetricsPage
from edge_twisted.api.observation import AuditObserver, DebugObserver, Observers
from edge_twisted.api.resource import FinishedRequest
from edge_twisted.config.model import IdentityConfig, Level, Logging
from edge_twisted.logs.audit import AuditEvent, AuditLine
from edge_twisted.logs.levels import Levels
from edge_twisted.security.callers import ANYBODY, Caller
from tests.support.api_requests import answered, api_request

TILL = Caller.of(IdentityConfig(id="till", api_key_hash="", permissions=("full",)))


class ListAudit:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[tuple[AuditEvent, dict[str, object]]] = []

    def add(self, line: AuditLine) -> None:
        said = msgspec.structs.asdict(line)
        del said["time"]
        self.lines.append((AuditEvent(said.pop("event")), said))


def finished(
    status: int = 200,
    *,
    error: str | None = None,
    identity: Caller | None = TILL,
    endpoint: str = "execute",
    method: str = "POST",
    seconds: float = 0.0123456,
    verb: str | None = "select",
) -> FinishedRequest:
    request = api_request(method, "/execute", identity=identity)
    request.verb = verb
    request.collections = ("tasks",)
    return FinishedRequest(
        request=request,
        endpoint=endpoint,
        status=status,
        error=error,
        duration_seconds=seconds,
        bytes_in=10,
        bytes_out=20,
    )


def test_the_fields_of_a_record() -> None:
    audit = ListAudit()
    AuditObserver(audit).request_finished(finished())
    assert audit.lines == [
        (
            AuditEvent.REQUEST,
            {
                "request_id": "r-1",
                "identity": "till",
                "client": "192.0.2.1",
                "method": "POST",
                "path": "/execute",
                "verb": "select",
                "collections": ("tasks",),
                "status": 200,
                "duration_ms": 12.346,
                "bytes_in": 10,
                "bytes_out": 20,
            },
        )
    ]


@pytest.mark.parametrize(
    ("error", "identity", "event", "name"),
    [
        (None, TILL, AuditEvent.REQUEST, "till"),
        ("query_syntax", TILL, AuditEvent.REQUEST, "till"),
        (None, ANYBODY, AuditEvent.REQUEST, None),
        ("unauthorized", None, AuditEvent.REFUSAL, None),
        ("forbidden", TILL, AuditEvent.REFUSAL, "till"),
        ("too_many_requests", None, AuditEvent.REFUSAL, None),
        ("stopping", None, AuditEvent.REFUSAL, None),
        (None, None, None, None),
        ("not_found", None, None, None),
    ],
)
def test_what_is_recorded(
    error: str | None, identity: Caller | None, event: AuditEvent | None, name: str | None
) -> None:
    audit = ListAudit()
    AuditObserver(audit).request_finished(finished(error=error, identity=identity))
    assert [kind for kind, _ in audit.lines] == ([] if event is None else [event])
    assert [said["identity"] for _, said in audit.lines] == ([] if event is None else [name])


def text_of(metrics: Metrics) -> str:
    """Return the page, which waits for nothing in these tests."""
    text: list[bytes] = []
    Deferred.fromCoroutine(metrics.text()).addCallback(text.append)
    return text[0].decode()


def samples(metrics: Metrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text_of(metrics))
        for sample in family.samples
    }


def test_requests_are_counted_and_timed() -> None:
    metrics = Metrics()
    for each in (
        finished(seconds=0.0004),
        finished(seconds=0.0005),
        finished(seconds=100.0),
        finished(400, method="BREW", verb=None),
        finished(404, endpoint="unknown", method="GET", verb=None),
    ):
        metrics.requests.request_finished(each)
    found = samples(metrics)

    def value(name: str, **labels: str) -> float:
        return found[name, tuple(sorted(labels.items()))]

    requests = "edge_http_requests_total"
    assert value(requests, endpoint="execute", method="POST", status="200") == 3
    assert value(requests, endpoint="execute", method="other", status="400") == 1
    assert value(requests, endpoint="unknown", method="GET", status="404") == 1
    duration = "edge_http_request_duration_seconds"
    assert value(f"{duration}_bucket", endpoint="execute", le="0.0005") == 2
    assert value(f"{duration}_bucket", endpoint="execute", le="10.0") == 3
    assert value(f"{duration}_bucket", endpoint="execute", le="+Inf") == 4
    assert value(f"{duration}_count", endpoint="execute") == 4
    assert abs(value("edge_query_duration_seconds_sum", verb="select") - 100.0009) < 1e-9


def test_the_published_names() -> None:
    metrics = Metrics()
    asked: list[int] = []
    metrics.refresh(lambda: asked.append(1))
    names = {family.name for family in text_string_to_metric_families(text_of(metrics))}
    assert asked == [1]
    assert names >= {
        "edge_http_requests", "edge_http_request_duration_seconds", "edge_http_connections",
        "edge_store_commits", "edge_store_commit_duration_seconds", "edge_store_documents",
        "edge_query_duration_seconds", "edge_mesh_peers", "edge_mesh_bytes",
        "edge_mesh_documents", "edge_mesh_lag_commits", "edge_reactor_lag_seconds",
        "edge_mesh_transit_bytes", "edge_mesh_transit_documents", "edge_mesh_transit_scopes",
        "edge_mesh_transit_paused", "edge_mesh_transit_dropped", "edge_mesh_transit_unwanted",
        "edge_throttled", "process_resident_memory_bytes", "edge_mesh_presence_refused",
    }  # fmt: skip


class Observing(SynchronousTestCase):
    """Observers together, and those that log."""

    def test_the_page(self) -> None:
        response = self.successResultOf(
            Deferred.fromCoroutine(answered(MetricsPage(Metrics()), api_request()))
        )
        assert response.content_type is not None
        self.assertTrue(response.content_type.startswith(b"text/plain; version=0.0.4"))
        self.assertIn(b"edge_http_connections 0.0", response.body)

    def test_the_page_is_written_a_little_a_turn(self) -> None:
        """The reactor gets its turn whenever a slice of time is over."""
        turns: list[Deferred[None]] = []

        def turn() -> Deferred[None]:
            turns.append(Deferred())
            return turns[-1]

        times = count(0)
        slice_seconds = page_of_metrics.SLICE_SECONDS
        self.patch(page_of_metrics, "perf_counter", lambda: next(times) * slice_seconds)
        page = Metrics(turn)
        text = Deferred.fromCoroutine(page.text())
        families = len(list(page.registry.collect()))
        for _ in range(families // 2):
            self.assertNoResult(text)
            turns[-1].callback(None)
        while not text.called:
            turns[-1].callback(None)
        self.assertGreaterEqual(len(turns), families // 2)
        self.assertIn(b"edge_http_connections 0.0", self.successResultOf(text))

    def test_what_cannot_be_brought_up_to_date_is_shown_as_it_was(self) -> None:
        page = Metrics()
        page.mesh_peers.set(3)
        waiting: Deferred[None] = Deferred()
        page.refresh(lambda: waiting)
        text = Deferred.fromCoroutine(page.text())
        self.assertNoResult(text)
        waiting.errback(ZeroDivisionError())
        self.assertIn(b"edge_mesh_peers 3.0", self.successResultOf(text))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_one_that_fails_does_not_keep_the_others_from_it(self) -> None:
        class Broken:
            def request_finished(self, finished: FinishedRequest) -> None:
                raise RuntimeError("broken")

        audit = ListAudit()
        Observers(Broken(), AuditObserver(audit)).request_finished(finished())
        self.assertEqual(len(audit.lines), 1)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_a_line_at_debug_only(self) -> None:
        events: list[LogEvent] = []
        observe = cast("ILogObserver", events.append)
        globalLogPublisher.addObserver(observe)
        self.addCleanup(globalLogPublisher.removeObserver, observe)
        levels = Levels(Logging(level=Level.INFO))
        observer = DebugObserver(levels)
        observer.request_finished(finished())
        self.assertEqual(events, [])
        levels.apply(Logging(level=Level.DEBUG))
        observer.request_finished(finished())
        (event,) = events
        self.assertEqual((event["log_level"], event["status"]), (LogLevel.debug, 200))

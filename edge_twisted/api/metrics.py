# SPDX-License-Identifier: Apache-2.0
"""
The server's metrics, and ``GET /metrics`` that shows them as Prometheus text.

The names and labels are part of the published interface.  Whoever measures something holds the
metric itself; what is asked for at scrape time only is set by a function of `refresh`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from time import perf_counter
from typing import Final

from attrs import frozen
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    Metric,
    PlatformCollector,
    ProcessCollector,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from twisted.internet.defer import succeed
from twisted.logger import Logger

from edge_twisted.api.openapi.operation import Operation, content
from edge_twisted.api.request import Request
from edge_twisted.api.response import AnyResponse, Response
from edge_twisted.api.route import Route
from edge_twisted.api.tallies import RequestTallies

log = Logger()

#: Seconds; from an id look-up over loopback to the statement that hits its timeout.
DURATION_BUCKETS = (
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
)  # fmt: skip

#: Names of the labels, each the only one of its metrics.
_COLLECTION, _DIRECTION, _FAULT, _KIND, _PEER, _STRATEGY = (
    ["collection"], ["direction"], ["fault"], ["kind"], ["peer"], ["strategy"],
)  # fmt: skip

#: Most time of writing metrics in one reactor turn; one family takes about 0.1 ms.
SLICE_SECONDS: Final = 0.004

#: Sets metrics that are not counted as events happen; may return an awaitable to wait for.
Refresher = Callable[[], Awaitable[None] | None]


def at_once() -> Awaitable[None]:
    """Return an awaitable that is ready: no wait for the reactor's next turn."""
    return succeed(None)


@frozen
class _One:
    """A registry of one family."""

    _family: Metric

    def collect(self) -> Iterable[Metric]:
        """Return the one family."""
        return (self._family,)


ROUTE = Route(
    endpoint="metrics",
    path="/metrics",
    methods=("GET",),
    setting="http_server.enable_metrics",
)

OPERATION = Operation(
    route=ROUTE,
    id="metrics",
    summary="Metrics as Prometheus text.",
    responses={200: {"description": "The metrics.", "content": content("Text", "text/plain")}},
)


class TransitMetrics:
    """Metrics of what a server carries for its neighbours; all 0 where it carries nothing."""

    def __init__(self, registry: CollectorRegistry) -> None:
        counter, gauge = partial(Counter, registry=registry), partial(Gauge, registry=registry)
        self.bytes = gauge("edge_mesh_transit_bytes", "Bytes of documents kept for neighbours.")
        self.documents = gauge("edge_mesh_transit_documents", "Documents kept for neighbours.")
        self.scopes = gauge(
            "edge_mesh_transit_scopes", "Scopes that are subscribed to for neighbours."
        )
        self.paused = gauge(
            "edge_mesh_transit_paused", "1 while nothing more is taken for neighbours."
        )
        self.dropped = counter(
            "edge_mesh_transit_dropped_total",
            "Documents kept for neighbours that were dropped to make room.",
        )
        self.unwanted = counter(
            "edge_mesh_transit_unwanted_total",
            "Documents from peers that were ignored, because nobody subscribes to them.",
        )


class Metrics:
    """
    All metrics of one server, in a registry of its own.

    :param turn: waits for the reactor's next turn.
    """

    def __init__(self, turn: Callable[[], Awaitable[None]] = at_once) -> None:
        self.registry = registry = CollectorRegistry()
        self._turn = turn
        self._refreshers: list[Refresher] = []
        counter, gauge = partial(Counter, registry=registry), partial(Gauge, registry=registry)
        self.requests = RequestTallies(DURATION_BUCKETS)
        registry.register(self.requests)
        self.http_connections = gauge("edge_http_connections", "Connections that are open.")
        self.certificate_end = gauge(
            "edge_tls_certificate_expiry_timestamp_seconds",
            "When the certificate in use ends, in seconds since 1970.",
        )
        self.throttled = counter("edge_throttled_total", "Requests refused by a limit.", _STRATEGY)
        self.store_commits = counter("edge_store_commits_total", "Commits made durable.")
        self.store_commit_duration = Histogram(
            "edge_store_commit_duration_seconds",
            "Group commits, with their fsync.",
            registry=registry,
            buckets=DURATION_BUCKETS,
        )
        self.store_documents = gauge("edge_store_documents", "Documents.", _COLLECTION)
        self.store_collections = gauge("edge_store_collections", "Collections.")
        self.store_damaged = gauge(
            "edge_store_damaged",
            "What is damaged of the store, as far as it was noticed.",
            _KIND,
        )
        self.store_scrub_age = gauge(
            "edge_store_scrub_age_seconds", "How long ago the store was scrubbed wholly."
        )
        self.clock_ahead = gauge(
            "edge_clock_ahead_seconds",
            "How far the hybrid clock, which stamps writes, is ahead of the machine's clock.",
        )
        self.mesh_peers = gauge("edge_mesh_peers", "Peers that are connected.")
        self.mesh_bytes = counter("edge_mesh_bytes_total", "Bytes to and from peers.", _DIRECTION)
        self.mesh_documents = counter(
            "edge_mesh_documents_total", "Document changes to and from peers.", _DIRECTION
        )
        self.mesh_presence_refused = counter(
            "edge_mesh_presence_refused_total",
            "Presence records not believed.",
            _FAULT,
        )
        self.mesh_lag_commits = gauge(
            "edge_mesh_lag_commits", "Commits that a peer has not acknowledged.", _PEER
        )
        self.transit = TransitMetrics(registry)
        self.reactor_lag = gauge("edge_reactor_lag_seconds", "How late a timer was called last.")
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)

    def refresh(self, refresher: Refresher) -> None:
        """Call `refresher` before each scrape, to set metrics that no event updates.

        If the refresher returns an awaitable, the scrape waits for it; an error is logged.
        """
        self._refreshers.append(refresher)

    async def text(self) -> bytes:
        """Return all metrics in the text format of Prometheus, in UTF-8.

        It is made in slices, so that the reactor serves others between two of them.
        """
        for refresher in self._refreshers:
            try:
                waiting = refresher()
                if waiting is not None:
                    await waiting
            except Exception:
                # The other metrics are needed most when something is wrong.
                log.failure("Some metrics could not be brought up to date")
        pieces: list[bytes] = []
        end = perf_counter() + SLICE_SECONDS
        for family in self.registry.collect():
            pieces.append(generate_latest(_One(family)))
            if perf_counter() > end:
                await self._turn()
                end = perf_counter() + SLICE_SECONDS
        return b"".join(pieces)


class MetricsPage:
    """The endpoint ``/metrics``."""

    route = ROUTE
    max_body_bytes = 0

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    async def respond(self, request: Request) -> AnyResponse:
        """Answer with the text of all metrics."""
        return Response(
            body=await self._metrics.text(),
            content_type=CONTENT_TYPE_PLAIN_0_0_4.encode("ascii"),
            headers=((b"Cache-Control", b"no-store"),),
        )

# SPDX-License-Identifier: Apache-2.0
"""
Counters and histograms of requests, as metrics.

The Prometheus library's own counters cost 1 to 2 microseconds each, for locks that a single thread
does not need.  These are plain integers, which become the library's samples at collection.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from edge_twisted.api.resource import FinishedRequest

#: Methods with a label of their own; all others share one, because a client can send any word.
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class _Durations:
    """One histogram: counts by bucket, the last one for longer durations, and the sum."""

    __slots__ = ("counts", "sum")

    def __init__(self, buckets: int) -> None:
        self.counts = [0] * (buckets + 1)
        self.sum = 0.0


class RequestTallies(Collector):
    """Observes requests; a collector of the Prometheus client library."""

    def __init__(self, buckets: Sequence[float]) -> None:
        self._buckets = list(buckets)
        self._bounds = [*map(floatToGoString, buckets), "+Inf"]
        self._requests: dict[tuple[str, str, int], int] = {}
        self._by_endpoint: dict[str, _Durations] = {}
        self._by_verb: dict[str, _Durations] = {}

    def request_finished(self, finished: FinishedRequest) -> None:
        """Count a finished request and its duration."""
        request = finished.request
        endpoint, method, seconds = finished.endpoint, request.method, finished.duration_seconds
        key = (endpoint, method if method in _METHODS else "other", finished.status)
        self._requests[key] = self._requests.get(key, 0) + 1
        bucket = bisect_left(self._buckets, seconds)
        durations = self._by_endpoint.get(endpoint)
        if durations is None:
            durations = self._by_endpoint[endpoint] = _Durations(len(self._buckets))
        durations.counts[bucket] += 1
        durations.sum += seconds
        verb = request.verb
        if verb is None:
            return
        durations = self._by_verb.get(verb)
        if durations is None:
            durations = self._by_verb[verb] = _Durations(len(self._buckets))
        durations.counts[bucket] += 1
        durations.sum += seconds

    def collect(self) -> Iterable[Metric]:
        """Return the counters and histograms of requests as of now.

        It may run on any thread, so dictionaries are copied before use.
        """
        requests = CounterMetricFamily(
            "edge_http_requests", "Requests answered.", labels=["endpoint", "method", "status"]
        )
        for (endpoint, method, status), count in list(self._requests.items()):
            requests.add_metric([endpoint, method, str(status)], count)
        return (
            requests,
            self._histogram(
                "edge_http_request_duration_seconds",
                "From a request's head to the end of its answer.",
                "endpoint",
                self._by_endpoint,
            ),
            self._histogram(
                "edge_query_duration_seconds",
                "Requests that ran a statement, from head to end.",
                "verb",
                self._by_verb,
            ),
        )

    def _histogram(
        self, name: str, text: str, label: str, tallies: Mapping[str, _Durations]
    ) -> HistogramMetricFamily:
        family = HistogramMetricFamily(name, text, labels=[label])
        for value, durations in list(tallies.items()):
            cumulative = zip(self._bounds, accumulate(durations.counts), strict=True)
            family.add_metric(
                [value], [(bound, float(n)) for bound, n in cumulative], durations.sum
            )
        return family

"""
What the service counts, and how a scraper reads it.

Counting a request is one dictionary entry; Prometheus' text is made when somebody asks for it.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, NamedTuple

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from prometheus_client.core import Metric

#: Upper bounds of the classes of latency, in seconds.
BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Gauges(NamedTuple):
    """
    How things stand now.
    """

    journal_bytes: int
    lag_bytes: Mapping[str, int]
    dead_letters: Mapping[str, int]
    runs: Mapping[str, int]


class Metrics:
    """
    The requests of one service, by method, route and status.
    """

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str, int], int] = {}
        self._latencies: dict[str, list[float]] = {}

    def count(self, method: str, route: str, status: int, seconds: float) -> None:
        """
        Count a request.
        """
        key = (method, route, status)
        self._counts[key] = self._counts.get(key, 0) + 1
        classes = self._latencies.get(route)
        if classes is None:
            # One for each bound, one beyond them, and the sum.
            classes = self._latencies[route] = [0.0] * (len(BOUNDS_S) + 2)
        classes[bisect_left(BOUNDS_S, seconds)] += 1
        classes[-1] += seconds

    def text(self, gauges: Gauges) -> bytes:
        """
        Return everything as Prometheus reads it.
        """
        registry = CollectorRegistry()
        registry.register(_Collector([*self._requests(), *_states(gauges)]))
        return generate_latest(registry)

    def _requests(self) -> Iterator[Metric]:
        requests = CounterMetricFamily(
            "telemetry_requests", "Requests answered.", labels=("method", "route", "status")
        )
        for (method, route, status), count in self._counts.items():
            requests.add_metric((method, route, str(status)), count)
        yield requests
        latencies = HistogramMetricFamily(
            "telemetry_request_seconds", "Time from the head to the answer.", labels=("route",)
        )
        for route, classes in self._latencies.items():
            latencies.add_metric((route,), _buckets(classes), classes[-1])
        yield latencies


class _Collector:
    """
    Hands over metrics that are ready.
    """

    def __init__(self, metrics: list[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> list[Metric]:
        """
        Return the metrics.
        """
        return self._metrics


def _buckets(classes: list[float]) -> list[tuple[str, float]]:
    below, buckets = 0.0, []
    for bound, count in zip([*map(str, BOUNDS_S), "+Inf"], classes):
        below += count
        buckets.append((bound, below))
    return buckets


def _states(gauges: Gauges) -> Iterator[Metric]:
    journal = GaugeMetricFamily("telemetry_journal_bytes", "Bytes of the journal.")
    journal.add_metric((), gauges.journal_bytes)
    yield journal
    yield _gauge("telemetry_lag_bytes", "Journal not followed yet.", "sink", gauges.lag_bytes)
    yield _gauge(
        "telemetry_dead_letters",
        "Records that a sink can never take.",
        "sink",
        gauges.dead_letters,
    )
    yield _gauge("telemetry_runs", "Runs in the database.", "status", gauges.runs)


def _gauge(name: str, words: str, label: str, values: Mapping[str, int]) -> Metric:
    gauge = GaugeMetricFamily(name, words, labels=(label,))
    for value, count in values.items():
        gauge.add_metric((value,), count)
    return gauge

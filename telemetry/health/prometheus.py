"""
Results as Prometheus reads them, for a node exporter's directory of text files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from telemetry.health.results import Result

_LABELS = ("check", "subject")


class _Collector:
    def __init__(self, results: Sequence[Result], made_at: float) -> None:
        self._results = results
        self._made_at = made_at

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """
        Yield what the checks said, and each thing they measured.
        """
        outcomes = GaugeMetricFamily(
            "telemetry_health_outcome", "0 sound, 1 warning, 2 finding.", labels=_LABELS
        )
        for result in self._results:
            outcomes.add_metric((result.name, result.subject), int(result.outcome))
        yield outcomes
        families: dict[str, GaugeMetricFamily] = {}
        for result in self._results:
            for name, value in result.numbers.items():
                if name not in families:
                    families[name] = GaugeMetricFamily(
                        f"telemetry_health_{name}", f"Measured by {result.name}.", labels=_LABELS
                    )
                families[name].add_metric((result.name, result.subject), value)
        yield from families.values()
        yield GaugeMetricFamily(
            "telemetry_health_checked_timestamp_seconds",
            "When this was measured.",
            value=self._made_at,
        )


def as_text(results: Sequence[Result], made_at: float) -> str:
    """
    Return results in Prometheus' text format.

    Args:
        made_at: When they were found, as a Unix time.
    """
    registry = CollectorRegistry()
    registry.register(_Collector(_distinct(results), made_at))
    return generate_latest(registry).decode()


def _distinct(results: Sequence[Result]) -> list[Result]:
    """
    Return one result for each check and subject, the worst: a series has one value.
    """
    worst: dict[tuple[str, str], Result] = {}
    for result in results:
        key = (result.name, result.subject)
        if key not in worst or result.outcome > worst[key].outcome:
            worst[key] = result
    return list(worst.values())

"""
The conformance checks as one call, for a sink that has no test class of its own.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Callable, Optional

from telemetry.testing.conformance import SinkConformance

if TYPE_CHECKING:
    from collections.abc import Sequence

    from telemetry.sinks import Sink


def check_sink(
    make_sink: Callable[[Path], Sink],
    *,
    delivered: Optional[Callable[[Path], Sequence[str]]] = None,
    repeats_are_harmless: bool = True,
) -> None:
    """
    Run every check on a sink.

    Args:
        make_sink: Returns a new sink that keeps its data in a directory.
        delivered: Returns the ids of the records that have arrived, in order.
        repeats_are_harmless: False declares at-least-once delivery.

    Raises:
        AssertionError: The sink breaks a rule; the message says which.
    """
    checks = _Checks(make_sink, delivered, repeats_are_harmless=repeats_are_harmless)
    for name in dir(SinkConformance):
        if name.startswith("test_"):
            with tempfile.TemporaryDirectory() as directory:
                getattr(checks, name)(Path(directory))


class _Checks(SinkConformance):
    """
    The checks of a sink that is given by functions.
    """

    def __init__(
        self,
        make_sink: Callable[[Path], Sink],
        delivered: Optional[Callable[[Path], Sequence[str]]],
        *,
        repeats_are_harmless: bool,
    ) -> None:
        self._make_sink = make_sink
        self._delivered = delivered
        self.repeats_are_harmless = repeats_are_harmless  # type: ignore[misc]

    def make_sink(self, base: Path) -> Sink:
        """
        Return what the function makes.
        """
        return self._make_sink(base)

    def delivered(self, base: Path) -> Optional[Sequence[str]]:
        """
        Return what the function sees.
        """
        return self._delivered(base) if self._delivered is not None else None

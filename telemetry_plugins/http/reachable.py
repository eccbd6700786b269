"""
Whether the service that records are shipped to answers.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from telemetry.health import Check, Outcome, Result
from telemetry.model.errors import SinkError
from telemetry_plugins.http.answers import Request, Verdict
from telemetry_plugins.http.records import HEALTH_PATH
from telemetry_plugins.http.wire import Wire

if TYPE_CHECKING:
    from telemetry.config import TelemetryConfig
    from telemetry.health import Scene

#: A person is waiting.
TIMEOUT_S = 3.0
NAME = "service"


def service_check(config: TelemetryConfig) -> Check:
    """
    Return the check of the service at ``TELEMETRY_API_URL``.
    """
    return Check(name=NAME, run=partial(_ask, config))


def _ask(config: TelemetryConfig, scene: Scene) -> Iterator[Result]:
    wire = Wire(config.api_url, config.api_token, timeout_s=TIMEOUT_S)
    try:
        answer = wire.exchange(Request(method="GET", path=HEALTH_PATH, is_repeatable=True))
    except SinkError as error:
        yield _unreachable(f"{wire.shown} does not answer: {wire.masked(str(error))}")
        return
    finally:
        wire.close()
    if answer.verdict is not Verdict.DONE:
        yield _unreachable(f"{wire.shown} answers with {answer.status}")
        return
    yield Result(name=NAME, outcome=Outcome.OK, sentence=f"{wire.shown} answers")


def _unreachable(sentence: str) -> Result:
    return Result(
        name=NAME,
        # Nothing is lost: the journal keeps what could not be sent.
        outcome=Outcome.WARNING,
        sentence=sentence,
        way_out="start it (telemetry serve), or set TELEMETRY_API_URL to where it is; records wait"
        " in the journal meanwhile",
    )

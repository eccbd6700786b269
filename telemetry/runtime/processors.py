"""
The chain of processors that a payload passes before it is cleaned.

A processor has structlog's signature, so that any of structlog's can be plugged in by hook.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Callable

from telemetry.runtime.emit import DROPPED
from telemetry.runtime.notices import notice

if TYPE_CHECKING:
    from telemetry.logs import Processor

#: The key under which a payload that is no mapping travels through the chain.
VALUE_KEY = "value"


def guarded_processors(processors: Sequence[Processor]) -> list[Callable[[str, Any], Any]]:
    """
    Return processors that cannot raise: a broken one is one notice, and the payload goes on.
    """
    return [_guarded(processor) for processor in processors]


def _guarded(processor: Processor) -> Callable[[str, Any], Any]:
    def run(event_type: str, payload: Any) -> Any:
        event = dict(payload) if isinstance(payload, dict) else {VALUE_KEY: payload}
        try:
            processed = processor(None, event_type, event)
        except Exception as error:  # noqa: BLE001 (the guarded boundary around a plugin)
            if type(error).__name__ == "DropEvent":  # structlog's, known by name: it may be absent
                return DROPPED
            name = getattr(processor, "__name__", type(processor).__name__)
            notice(f"processor:{name}", f"processor {name} failed, its event goes on: {error}")
            return payload
        if not isinstance(payload, dict) and set(processed) == {VALUE_KEY}:
            return processed[VALUE_KEY]
        return processed

    return run

"""
The chain of processors that a payload passes before it is cleaned.

A processor has structlog's signature, so that any of structlog's can be plugged in by hook.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
        try:
            processed = _checked(processor(None, event_type, _mapping(payload)))
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 (the guarded boundary around a plugin)
            # structlog's own way of dropping an event, known by name: structlog may be absent.
            if type(error).__name__ == "DropEvent":
                return DROPPED
            name = getattr(processor, "__name__", type(processor).__name__)
            notice(
                f"processor:{name}",
                f"processor {name} failed, its event goes on ({type(error).__name__}: {error})",
            )
            return payload
        if payload is None and not processed:
            return None
        if not isinstance(payload, dict) and set(processed) == {VALUE_KEY}:
            return processed[VALUE_KEY]
        return processed

    return run


def _mapping(payload: Any) -> dict[str, Any]:
    """
    Return a payload as the mapping that a processor takes; no payload is an empty one.
    """
    if payload is None:
        return {}
    return dict(payload) if isinstance(payload, dict) else {VALUE_KEY: payload}


def _checked(processed: Any) -> Mapping[str, Any]:
    """
    Return what a processor returned, if it is what a processor returns.

    Raises:
        TypeError: It is a rendered line or nothing at all.
    """
    if not isinstance(processed, Mapping):
        raise TypeError(f"a processor must return a mapping (got a {type(processed).__name__})")
    return processed

"""
What a source holds, whatever it is: records of ours, runs, events, and what nobody can read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Union

import attrs

from telemetry.model.records import Record


@attrs.frozen
class FoundRecord:
    """
    A record of another journal of ours; it is taken as it is, by its own id.
    """

    record: Record


@attrs.frozen
class FoundRun:
    """
    What one line or row says of a run, under the columns' names.
    """

    fields: Mapping[str, Any]
    place: str
    #: Of two that speak of the same moment the higher is believed: a table was corrected by people.
    rank: int = 0


@attrs.frozen
class FoundEvent:
    """
    One event: ``run_id``, ``event_type``, ``timestamp`` and its payload as a value.
    """

    run_id: str
    event_type: str
    timestamp: str
    payload: Any
    place: str


@attrs.frozen
class Refused:
    """
    Something that cannot be imported.
    """

    reason: str
    place: str
    #: Whether it is damaged, not only useless.
    is_damage: bool = False


Found = Union[FoundRecord, FoundRun, FoundEvent, Refused]
EVENT_KEYS = ("run_id", "event_type", "timestamp")


def from_object(said: Mapping[str, Any], place: str) -> Found:
    """
    Return what a JSON object of ours or of the original system says.
    """
    if said.get("record_type") == "event" or ("event_type" in said and "agent_name" not in said):
        return event_from(said, place)
    if said.get("record_type", "run") != "run":
        return Refused("its record_type must be run or event", place)
    if "run" in said and isinstance(said["run"], dict):  # as ``telemetry show --json`` has it
        said = said["run"]
    if not said.get("run_id") and not said.get("event_id"):
        return Refused("it must name a run, by run_id or event_id", place)
    return FoundRun(said, place)


def event_from(said: Mapping[str, Any], place: str) -> Found:
    """
    Return the event that an object or a row of a table says.
    """
    missing = [key for key in EVENT_KEYS if not isinstance(said.get(key), str) or not said[key]]
    if missing:
        return Refused(f"an event must have its {missing[0]}", place)
    payload = said.get("payload")
    if payload is None:
        payload = value_of(said.get("payload_json"))
    run_id, event_type, timestamp = (said[key] for key in EVENT_KEYS)
    return FoundEvent(run_id, event_type, timestamp, payload, place)


def value_of(text: Any) -> Any:
    """
    Return the value of a JSON text; what is none stands for itself.
    """
    import json

    if not isinstance(text, str):
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text

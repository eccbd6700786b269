"""
A run's life in records: its start, what changes, its end.

Works on the caller's thread and follows the rules of `telemetry.runtime.emit`. What a caller gives
is cleaned here once, so that everything behind it holds plain, bounded, scrubbed values.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Optional

from telemetry.model import ids
from telemetry.model.outcomes import Outcome
from telemetry.model.records import Change, RecordType
from telemetry.model.run import (
    COLUMNS,
    MAX_INTEGER,
    Column,
    Kind,
    Status,
    parse_status,
)
from telemetry.model.values import accept, suggest
from telemetry.runtime.emit import encode_part, identity
from telemetry.runtime.notices import notice
from telemetry.runtime.openruns import OpenRun

if TYPE_CHECKING:
    from telemetry.model.payload import PayloadEncoder
    from telemetry.runtime.emit import Emitter

#: Columns that the library alone writes.
OWN_COLUMNS = frozenset({"event_id", "run_id", "schema_version", "created_at", "updated_at"})
_MAX_CACHED_NAMES = 512
_CLEANED_KINDS = frozenset({Kind.TEXT, Kind.JSON})


class Recorder:
    """
    Writes runs through an emitter.

    ``origin`` is what every run of this process says about where it ran.
    """

    def __init__(
        self, emitter: Emitter, encoder: PayloadEncoder, origin: Mapping[str, Any]
    ) -> None:
        self._emitter = emitter
        self._encoder = encoder
        self._origin = dict(origin)
        self._names: dict[str, str] = {}

    def start(  # noqa: PLR0913 (what a start says)
        self,
        agent_name: str,
        job_type: str,
        trigger_type: str,
        fields: Mapping[str, Any],
        *,
        run_id: str = "",
        parent_run_id: Optional[str] = None,
        trace_id: str = "",
    ) -> OpenRun:
        """
        Record the start of a run.

        Args:
            run_id: The caller's own, already found good; empty for a new one.
            parent_run_id: The run it is nested in.
            trace_id: The trace it belongs to; empty to begin one.
        """
        clock = self._emitter.clock
        now = clock.now_us()
        event_id = ids.new_event_id(now)
        agent_name = self._name("agent_name", agent_name)
        start_time = clock.text(now)
        run_id = run_id or ids.new_run_id(agent_name, start_time[:19])
        values: dict[str, Any] = {
            "agent_name": agent_name,
            "job_type": self._name("job_type", job_type),
            "trigger_type": self._trigger(trigger_type),
            "status": "running",
            "start_time": start_time,
            **self._origin,
            "pid": self._emitter.pid,
            "work_dir": _work_dir(),
            "trace_id": trace_id or event_id.replace("-", ""),
        }
        if parent_run_id:
            values["parent_run_id"] = parent_run_id
        if fields:
            values.update(self._accept_all(fields, values))
        run = OpenRun(
            event_id=event_id,
            run_id=run_id,
            part=identity(event_id, run_id),
            values=values,
            pid=self._emitter.pid,
            started_us=now,
            started_mono_ns=time.monotonic_ns(),
        )
        self._emitter.change_at(now, RecordType.RUN, Change.STARTED, run.part, encode_part(values))
        return run

    def update(self, run: OpenRun, fields: Mapping[str, Any]) -> None:
        """
        Record new values of an open run. A final status is kept for the end.
        """
        accepted = self._accept_all(fields, run.values)
        status = parse_status(accepted.pop("status", None))
        if status is not None and status is not Status.RUNNING:
            run.final_status = status
        if accepted:
            run.values = {**run.values, **accepted}
            run.last_us = self._emitter.change(
                RecordType.RUN, Change.UPDATED, run.part, encode_part(accepted)
            )

    def heartbeat(self, run: OpenRun) -> None:
        """
        Record that an open run is still alive.
        """
        run.last_us = self._emitter.change(RecordType.RUN, Change.UPDATED, run.part, b"")

    def end(self, run: OpenRun, outcome: Outcome, fields: Mapping[str, Any]) -> None:
        """
        Record the end of a run, with the whole run as it then stands.
        """
        elapsed_ms = (time.monotonic_ns() - run.started_mono_ns) // 1_000_000
        clock = self._emitter.clock
        now = clock.now_us()
        values = {
            **run.values,
            "status": outcome.status.value,
            "end_time": clock.text(now),
            "duration_ms": max(elapsed_ms, 0),
        }
        values.update(self._errors(outcome))
        if fields:
            values.update(self._accept_all(fields, values))
        run.values = values
        run.last_us = now
        self._emitter.change_at(now, RecordType.RUN, Change.ENDED, run.part, encode_part(values))

    def end_elsewhere(
        self, event_id: str, run_id: str, outcome: Outcome, fields: Mapping[str, Any]
    ) -> None:
        """
        Record the end of a run that another process began; only what is known here is said.
        """
        clock = self._emitter.clock
        now = clock.now_us()
        values = {
            "status": outcome.status.value,
            "end_time": clock.text(now),
            **self._errors(outcome),
            **self._accept_all(fields, {}),
        }
        part = identity(event_id, run_id)
        self._emitter.change_at(now, RecordType.RUN, Change.ENDED, part, encode_part(values))

    def commit(self, event_id: str, run_id: str, fields: Mapping[str, Any]) -> None:
        """
        Record the commit that came of a run.
        """
        part = identity(event_id, run_id)
        accepted = self._accept_all(fields, {})
        self._emitter.change(RecordType.COMMIT, "", part, encode_part(accepted))

    def add(self, event_id: str, run_id: str, fields: Mapping[str, Any]) -> None:
        """
        Record fields of a run that were found out about it, open or not, of any process.
        """
        accepted = self._accept_all(fields, {})
        if accepted:
            self.change(Change.UPDATED, event_id, run_id, accepted)

    def change(self, change: Change, event_id: str, run_id: str, fields: Mapping[str, Any]) -> None:
        """
        Record a change of any kind with plain values, such as what the reaper infers.
        """
        part = identity(event_id, run_id)
        self._emitter.change(RecordType.RUN, change, part, encode_part(fields))

    def _errors(self, outcome: Outcome) -> dict[str, Any]:
        said = {
            "error_summary": outcome.error_summary,
            "error_details": outcome.error_details,
        }
        return {name: self._accept(COLUMNS[name], text) for name, text in said.items() if text}

    def _name(self, column: str, name: object) -> str:
        """
        Return an agent's or a job's name as it is stored, remembered if there are not too many.
        """
        try:
            return self._names[name]  # type: ignore[index]
        except (KeyError, TypeError):
            pass
        stored = str(self._accept(COLUMNS[column], name) or "unnamed")
        if isinstance(name, str) and len(self._names) < _MAX_CACHED_NAMES:
            self._names[name] = stored
        return stored

    def _trigger(self, trigger_type: object) -> Any:
        return (
            trigger_type
            if trigger_type == "cli"
            else self._accept(COLUMNS["trigger_type"], trigger_type)
        )

    def _accept(self, column: Column, value: object) -> Any:
        """
        Return a value as its column holds it; None, and one notice, where it cannot.
        """
        if column.kind is Kind.COUNT and type(value) is int and 0 <= value <= MAX_INTEGER:
            return value
        if column.kind in _CLEANED_KINDS:
            value = self._encoder.clean(value)
        accepted = accept(column, value)
        if accepted.problem:
            notice(f"value:{column.name}", accepted.problem)
        return accepted.value

    def _accept_all(self, fields: Mapping[str, Any], said: Mapping[str, Any]) -> dict[str, Any]:
        """
        Return given fields as columns; unknown names go under ``context_json``.
        """
        accepted: dict[str, Any] = {}
        unknown: dict[str, Any] = {}
        for name, value in fields.items():
            column = COLUMNS.get(name)
            if column is None:
                unknown[name] = self._encoder.clean({name: value})
            elif name in OWN_COLUMNS:
                notice(f"own:{name}", f"{name} is set by the library itself; it was left as it is")
            elif value is not None:
                stored = self._accept(column, value)
                if stored is not None:
                    accepted[name] = stored
        if unknown:
            accepted["context_json"] = self._keep_unknown(unknown, accepted, said)
        return accepted

    def _keep_unknown(
        self, unknown: dict[str, Any], accepted: Mapping[str, Any], said: Mapping[str, Any]
    ) -> Any:
        for name in unknown:
            near = suggest(name)
            hint = f"; did you mean {near!r}?" if near else ""
            notice(f"field:{name}", f"{name!r} is no field of a run, kept in context_json{hint}")
        context = accepted.get("context_json", said.get("context_json"))
        merged: dict[str, Any] = (
            dict(context) if isinstance(context, dict) else {"context": context} if context else {}
        )
        for cleaned in unknown.values():
            merged.update(cleaned if isinstance(cleaned, dict) else {})
        return merged


def _work_dir() -> Optional[str]:
    try:
        return os.getcwd()  # noqa: PTH109 (a Path costs four times as much)
    except OSError:  # the directory was removed under the agent
        return None

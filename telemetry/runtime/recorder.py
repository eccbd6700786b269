"""
A run's life in records: its start, what changes, its end.

Works on the caller's thread and follows the rules of `telemetry.runtime.emit`. What a caller gives
is cleaned here once, so that everything behind it holds plain, bounded, scrubbed values.
"""

from __future__ import annotations

from binascii import hexlify
from collections.abc import Mapping
from os import getcwd
from time import monotonic_ns
from typing import TYPE_CHECKING, Any, Callable
from zlib import crc32

import msgspec

from telemetry.model.ids import name_in_run_id, new_ids
from telemetry.model.outcomes import Outcome
from telemetry.model.records import Change
from telemetry.model.run import (
    COLUMNS,
    MAX_INTEGER,
    Column,
    Kind,
    Status,
    parse_status,
)
from telemetry.model.values import accept, suggest
from telemetry.runtime.emit import (
    COMMIT,
    CRC,
    END,
    big_endian,
    encode_part,
    encode_text,
    identity,
    join,
    sealing,
)
from telemetry.runtime.notices import notice
from telemetry.runtime.openruns import NOTHING, OpenRun

if TYPE_CHECKING:
    from telemetry.model.payload import PayloadEncoder
    from telemetry.runtime.emit import Emitter
    from telemetry.runtime.forkmark import ForkMark

#: Columns that the library alone writes.
OWN_COLUMNS = frozenset({"event_id", "run_id", "schema_version", "created_at", "updated_at"})
_MAX_CACHED_OPENINGS = 512
#: Columns that plain counters go to, as most agents set them: looked at without any call.
_COUNTS = frozenset(
    name
    for name, column in COLUMNS.items()
    if column.kind is Kind.COUNT and name not in OWN_COLUMNS
)
_CLEANED_KINDS = frozenset({Kind.TEXT, Kind.JSON})

UNNAMED = "unnamed"

#: What all runs of one agent, job, trigger and directory say alike: the agent's name as it stands
#: in a run id, whether such an id stands in JSON as it is, and the fields as they stand in a line.
Opening = tuple[str, bool, str]
Start = Callable[[str, str, str, Mapping[str, Any], str, str, str], OpenRun]
End = Callable[[OpenRun, Outcome, Mapping[str, Any]], None]
#: What every end says, whatever else.
_USUAL = frozenset({"status", "end_time", "duration_ms"})
_UPDATED = Change.UPDATED.value
_ENDED = Change.ENDED.value


class Recorder:
    """
    Writes runs through an emitter.

    `start` and `end` are compiled once per writer, for the same reason as `Emitter.event`.

    Args:
        origin: What every run of this process says about where it ran.
    """

    #: Record the start of a run, and return it. Takes agent, job, trigger and fields; a run id of
    #: the caller's own, already found good, or none; the run it is nested in, and the trace it
    #: belongs to. Each may be empty.
    start: Start
    #: Record the end of a run, with the whole run as it then stands.
    end: End

    def __init__(
        self, emitter: Emitter, encoder: PayloadEncoder, origin: Mapping[str, Any]
    ) -> None:
        self._emitter = emitter
        self._encoder = encoder
        self._origin = dict(origin)
        #: What an opening says; a caller that says otherwise is heard.
        self._opening_names = frozenset(
            {*origin, "agent_name", "job_type", "trigger_type", "pid", "work_dir"}
            | {"start_time", "trace_id", "parent_run_id"}
        )
        self.after_fork()

    def after_fork(self) -> None:
        """
        Forget what names the parent's process; called in a child, and once at the beginning.
        """
        self._openings: dict[tuple[Any, ...], Opening] = {}
        self.start = self._compile_start()
        self.end = self._compile_end()

    def _renew(self, mark: ForkMark) -> None:
        """
        Go on in a child process that Python knows nothing of, as `mark` has told.
        """
        if self._emitter.mark is mark:
            self._emitter.after_fork()
        self.after_fork()

    def _compile_start(self) -> Start:  # noqa: C901 (a call costs more than a branch)
        emitter, openings = self._emitter, self._openings
        mark, number, read = emitter.mark, emitter.number, emitter.clock.read
        append, refused = emitter.append, emitter.refused
        bell, ring = emitter.bell, emitter.bell.ring
        head, begun = sealing(emitter.head(f'"run","change":"{Change.STARTED.value}"'))
        # The run that the last one was nested in, and how that stands in a line.
        nested = _nested_in("")

        def start(  # noqa: PLR0913, PLR0917 (what a start says; by position it costs less)
            agent_name: str,
            job_type: str,
            trigger_type: str,
            fields: Mapping[str, Any],
            run_id: str,
            parent_run_id: str,
            trace_id: str,
        ) -> OpenRun:
            nonlocal nested
            if not mark[0]:
                self._renew(mark)
                names = agent_name, job_type, trigger_type
                return self.start(*names, fields, run_id, parent_run_id, trace_id)
            now, start_time, stamp, second = read()
            try:
                directory = getcwd()  # noqa: PTH109 (a Path costs four times as much)
            except OSError:  # the directory was removed under the agent
                directory = None
            try:
                opening = openings[agent_name, job_type, trigger_type, directory]
            except (KeyError, TypeError):
                opening = self._opening(agent_name, job_type, trigger_type, directory)
            name, is_plain, shared = opening
            # One reading of one name: another thread may put its own parent there.
            parent = nested
            if parent[0] != parent_run_id:
                parent = nested = _nested_in(parent_run_id)
            event_id, new_trace_id, new_run_id = new_ids(now, stamp, name)
            if not trace_id:
                trace_id = new_trace_id
            if is_plain and not run_id:
                run_id = new_run_id
                part = f'","event_id":"{event_id}","run_id":"{run_id}"'
            else:
                run_id = run_id or new_run_id
                part = identity(event_id, run_id)
            said = f'{shared},"start_time":"{start_time}","trace_id":"{trace_id}"{parent[1]}'
            run = OpenRun(event_id, run_id, trace_id, part, said, now, monotonic_ns())
            more = ',"status":"running"'
            if fields:
                self._hold(run, self._accept_all(fields, run.values))
                said, more = run.opening, more + encode_part(run.values)
            rest = f'{number()}","timestamp":"{start_time}{part}{said}{more}'.encode()
            line = join((head, rest, CRC, hexlify(big_endian(crc32(rest, begun))), END))
            if not append(line, second):
                refused(line, second)
            if not bell.is_rung:
                ring()
            return run

        return start

    def _compile_end(self) -> End:
        emitter = self._emitter
        mark, number, read = emitter.mark, emitter.number, emitter.clock.read
        append, refused = emitter.append, emitter.refused
        bell, ring = emitter.bell, emitter.bell.ring
        head, begun = sealing(emitter.head(f'"run","change":"{Change.ENDED.value}"'))

        def end(run: OpenRun, outcome: Outcome, fields: Mapping[str, Any]) -> None:
            if not mark[0]:
                self._renew(mark)
                self.end(run, outcome, fields)
                return
            elapsed_ms = (monotonic_ns() - run.started_mono_ns) // 1_000_000
            _, end_time, _, second = read()
            word = outcome.word
            said = f',"status":"{word}","end_time":"{end_time}","duration_ms":{elapsed_ms}'
            if run.values is not NOTHING or fields or outcome.error_summary:
                said = self._said_at_end(run, outcome, fields, said)
            rest = f'{number()}","timestamp":"{end_time}{run.part}{run.opening}{said}'.encode()
            line = join((head, rest, CRC, hexlify(big_endian(crc32(rest, begun))), END))
            if not append(line, second):
                refused(line, second)
            if not bell.is_rung:
                ring()

        return end

    def _said_at_end(
        self, run: OpenRun, outcome: Outcome, fields: Mapping[str, Any], usual: str
    ) -> str:
        """
        Return what an end says behind the opening, where that is more than the usual.
        """
        accepted = self._accept_all(fields, run.values) if fields else {}
        if accepted:
            self._hold(run, accepted)
        errors = self._errors(outcome) if outcome.error_summary else {}
        if _USUAL.isdisjoint(run.values):
            return encode_part({**run.values, **errors, **accepted}) + usual
        said = msgspec.json.decode(f"{{{usual[1:]}}}")
        return encode_part({**run.values, **said, **errors, **accepted})

    def update(self, run: OpenRun, fields: Mapping[str, Any]) -> None:
        """
        Record new values of an open run. A final status is kept for the end.
        """
        accepted = self._accept_all(fields, run.values)
        self._hold(run, accepted)
        if accepted:
            run.last_us = self._emitter.change(_UPDATED, run.part, encode_part(accepted))

    def heartbeat(self, run: OpenRun) -> None:
        """
        Record that an open run is still alive.
        """
        run.last_us = self._emitter.change(_UPDATED, run.part, "")

    def end_elsewhere(
        self, event_id: str, run_id: str, outcome: Outcome, fields: Mapping[str, Any]
    ) -> None:
        """
        Record the end of a run that another process began; only what is known here is said.
        """
        _, end_time, _, second = self._emitter.clock.read()
        values = {
            "status": outcome.word,
            "end_time": end_time,
            **self._errors(outcome),
            **self._accept_all(fields, {}),
        }
        part = identity(event_id, run_id)
        self._emitter.record(_ENDED, second, end_time, part, encode_part(values), "")

    def commit(self, event_id: str, run_id: str, fields: Mapping[str, Any]) -> None:
        """
        Record the commit that came of a run.
        """
        part = identity(event_id, run_id)
        accepted = self._accept_all(fields, {})
        self._emitter.change(COMMIT, part, encode_part(accepted))

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
        self._emitter.change(change.value, part, encode_part(fields))

    def _errors(self, outcome: Outcome) -> dict[str, Any]:
        said = {
            "error_summary": outcome.error_summary,
            "error_details": outcome.error_details,
        }
        # Without a notice: nobody chose how long a traceback is.
        clean = self._encoder.clean
        return {
            name: accept(COLUMNS[name], clean(text)).value for name, text in said.items() if text
        }

    def _opening(self, *key: Any) -> Opening:
        """
        Return what a run of these names and this directory says first.

        Remembered if there are not too many.
        """
        agent_name, job_type, trigger_type, directory = key
        given = {
            "agent_name": agent_name,
            "job_type": job_type,
            "trigger_type": trigger_type,
            **self._origin,
            "pid": self._emitter.pid,
            "work_dir": directory,
        }
        accepted = {name: self._accept(COLUMNS[name], value) for name, value in given.items()}
        for name in ("agent_name", "job_type"):
            accepted[name] = accepted[name] or UNNAMED
        said = {name: value for name, value in accepted.items() if value is not None}
        name = name_in_run_id(str(said["agent_name"]))
        opening = (name, encode_text(name) == f'"{name}"', encode_part(said))
        if all(isinstance(name, str) for name in key[:3]):
            if len(self._openings) >= _MAX_CACHED_OPENINGS:
                self._openings.clear()
            self._openings[key] = opening
        return opening

    def _hold(self, run: OpenRun, accepted: dict[str, Any]) -> None:
        """
        Keep what was accepted with the run, for its end to repeat.

        A final status waits for the end; what contradicts the opening replaces it there.
        """
        if "status" in accepted:
            status = parse_status(accepted["status"])
            if status is not None and status is not Status.RUNNING:
                run.final_status = status
                del accepted["status"]
        if not self._opening_names.isdisjoint(accepted):
            said = msgspec.json.decode(f"{{{run.opening[1:]}}}")
            run.values = {**said, **run.values}
            run.opening = ""
        if accepted:
            run.values = {**run.values, **accepted}

    def _accept(self, column: Column, value: object) -> Any:
        """
        Return a value as its column holds it; None, and one notice, where it cannot.
        """
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
            if name in _COUNTS and type(value) is int and 0 <= value <= MAX_INTEGER:
                accepted[name] = value
                continue
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


def _nested_in(parent_run_id: str) -> tuple[str, str]:
    """
    Return a parent's run id, and the field that names it in a line; empty for no parent.
    """
    said = f',"parent_run_id":{encode_text(parent_run_id)}' if parent_run_id else ""
    return parent_run_id, said

"""
One process recording into one base directory: the parts, made once and wired together.

Nothing is opened and no thread is started before the first record. Clients of the same directory
share one `Runtime`; a forked child goes on with the same objects under a new writer.
"""

from __future__ import annotations

import os
import platform
import re
import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Optional

import attrs

from telemetry.model import ids
from telemetry.model.payload import PayloadEncoder
from telemetry.model.run import SCHEMA_VERSION
from telemetry.model.scrub import Scrubber
from telemetry.runtime.desk import WritingDesk, attach
from telemetry.runtime.durable import appending
from telemetry.runtime.emit import Emitter, identity
from telemetry.runtime.followers import Followers
from telemetry.runtime.forks import on_fork_in_child
from telemetry.runtime.handing import taken_over
from telemetry.runtime.liveness import Liveness
from telemetry.runtime.lookup import Lookup
from telemetry.runtime.notices import notice, set_level
from telemetry.runtime.observers import ObserverSink
from telemetry.runtime.openruns import OpenRun, OpenRuns
from telemetry.runtime.places import usable
from telemetry.runtime.plugins import Plugins
from telemetry.runtime.processors import guarded_processors
from telemetry.runtime.recorder import Recorder
from telemetry.runtime.surroundings import AGENT, Manners
from telemetry.runtime.watcher import Chore

if TYPE_CHECKING:
    from telemetry.config import TelemetryConfig
    from telemetry.model.records import Record

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")


class Runtime:
    """
    What a process needs to record into one base directory.

    Thread safe; every public method may be called again after `close`, which only flushes and
    releases.
    """

    def __init__(
        self,
        config: TelemetryConfig,
        plugins: Sequence[object] = (),
        *,
        manners: Manners = AGENT,
    ) -> None:
        self.config = usable(config)
        set_level(self.config.log_level)
        for problem in self.config.problems:
            notice(f"config:{problem}", problem)
        self.runs = OpenRuns()
        self.plugins = Plugins.load(self.config, plugins)
        self.journal = self.plugins.journal(self.config)
        encoder = PayloadEncoder(self.config.limits, _scrubber(self.config))
        self.encoder = encoder
        self.sinks = [*self.plugins.sinks(self.config), *self._observing()]
        chore = Chore(self._tend, self.config.heartbeat_s / 2)
        self.followers = Followers(
            self.sinks, self.journal, self.config, chore=chore, manners=manners
        )
        self.emitter = Emitter(
            appending(self.journal, self.config.fsync),
            encoder,
            refused=self.followers.spill,
            bell=self.followers.bell,
            processors=guarded_processors(self.plugins.processors(self.config)),
        )
        self.recorder = Recorder(self.emitter, encoder, _origin(self.config))
        self.liveness = Liveness(self.config, self.runs, self.emitter, self.recorder)
        self._lookup = Lookup(self.config.db_path, self.journal)
        desk = WritingDesk(
            self.recorder, self.config.db_path, self.journal, self.followers.time_left_s
        )
        attach(self.sinks, desk)
        #: The run and the trace that a parent process handed down; empty for none.
        self.run_id, self.trace_id = _parent_of(os.environ)
        on_fork_in_child(self.after_fork)

    def _observing(self) -> list[ObserverSink]:
        """
        Return the follower that plugins observe runs through; none where no plugin wants to.
        """
        observers = self.plugins.observers()
        if not observers.started and not observers.ended:
            return []
        return [ObserverSink(observers.started, observers.ended, self._found)]

    def _found(self, record: Record, fields: Mapping[str, Any]) -> None:
        self.recorder.add(record.event_id, record.run_id, fields)

    def _tend(self) -> None:
        """
        Show that open runs are alive; whoever drains also looks for those whose owner is not.
        """
        self.liveness.beat()
        if self.followers.is_leading:
            self.liveness.reap()

    def part_of(self, run_id: str) -> str:
        """
        Return the keys of a run as they stand in a line, of this process or another.
        """
        run = self.runs.find(run_id)
        if run is not None:
            return run.part
        return self._lookup.part(run_id)

    def find(self, run_id: str) -> Optional[str]:
        """
        Return the event id of a recorded run; None for an unknown one.
        """
        run = self.runs.find(run_id)
        return run.event_id if run is not None else self._lookup.event_id(run_id)

    def link(self, run_id: str, fields: Mapping[str, Any]) -> tuple[bool, str]:
        """
        Record the commit that came of a run, and say what happened.
        """
        event_id = self.find(run_id)
        if event_id is None:
            return False, f"run_id must be that of a recorded run (got {str(run_id)[:80]!r})"
        self.recorder.commit(event_id, run_id, fields)
        return True, f"commit {fields['git_commit_hash']} is linked to run {run_id}"

    def unrecorded(self, agent_name: str) -> OpenRun:
        """
        Return a run that nothing is known of, for an agent whose start could not be recorded.
        """
        now, _, stamp, _ = self.emitter.clock.read()
        run_id = f"error-{ids.new_ids(now, stamp, ids.name_in_run_id(agent_name))[2]}"
        return OpenRun("", run_id, "", identity("", run_id), "", now, 0)

    def notice(self, key: str, message: str) -> None:
        """
        Say something about what a caller gave.
        """
        notice(key, message)

    def contain(self, error: Exception) -> None:
        """
        Keep an error of ours from the agent: one notice; under TELEMETRY_STRICT the error itself.
        """
        if self.config.strict:
            raise error
        try:
            notice(f"contained:{type(error).__name__}", str(error) or type(error).__name__)
        except RecursionError:  # no room to say it
            return

    def flush(self, timeout_s: float) -> bool:
        """
        Wait until everything journaled before this call has reached every sink.
        """
        return self.followers.flush(timeout_s)

    def catch_up(self, timeout_s: float) -> bool:
        """
        Drain everything in the base directory on this thread.
        """
        return self.followers.catch_up(timeout_s)

    def reap(self) -> list[str]:
        """
        Record the death of runs whose owner is gone.
        """
        return self.liveness.reap()

    def stats(self) -> dict[str, Any]:
        """
        Return counts over everything in the database.
        """
        return self._lookup.stats()

    def close(self, timeout_s: float) -> bool:
        """
        Flush for at most so many seconds, and release threads and files.

        Later records still reach the journal; the next client or process takes them on from there.
        A sink that asks for it is refused: it would end what carries the other sinks.
        """
        if self.followers.is_asked_by_a_sink():
            notice("sink:closes", "a sink must not close the client (one did); all sinks go on")
            return False
        _forget(self)
        done = self.followers.close(timeout_s)
        self.journal.close()
        return done

    def after_fork(self) -> None:
        """
        Become another writer in a child process.
        """
        self.runs.after_fork()
        self.journal.after_fork()
        self.emitter.after_fork()
        self.recorder.after_fork()
        self.liveness.after_fork()


_shared: dict[tuple[Any, ...], Runtime] = {}
_shared_lock = threading.Lock()


def shared_runtime(config: TelemetryConfig, plugins: Sequence[object] = ()) -> Runtime:
    """
    Return this process's runtime for these settings, made at the first call.

    Settings that only differ in where they came from are the same; with plugins of its own, a
    client gets a runtime of its own.
    """
    key = (_values(config), tuple(map(id, plugins)))
    with _shared_lock:
        runtime = _shared.get(key)
        if runtime is None:
            runtime = _shared[key] = Runtime(config, plugins)
        return runtime


def _forget(runtime: Runtime) -> None:
    """
    Let the next client of the same settings have a runtime of its own.
    """
    with _shared_lock:
        for key in [key for key, value in _shared.items() if value is runtime]:
            del _shared[key]


def _forget_lock() -> None:
    global _shared_lock  # noqa: PLW0603 (a lock another thread held at the fork)
    _shared_lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_lock)


def _values(config: TelemetryConfig) -> tuple[Any, ...]:
    """
    Return the settings themselves, without where they came from.
    """
    fields = attrs.fields(type(config))
    return tuple(getattr(config, field.name) for field in fields if field.metadata)


def _scrubber(config: TelemetryConfig) -> Scrubber:
    return Scrubber(
        keys=config.scrub_keys,
        patterns=config.scrub_patterns,
        allow=config.scrub_allow,
        enabled=config.scrub,
    )


def _origin(config: TelemetryConfig) -> dict[str, Any]:
    """
    Return what every run of this process says about where it ran.
    """
    said = {
        "host": platform.node() or None,
        "agent_owner": config.agent_owner,
        "environment": config.environment,
        "schema_version": SCHEMA_VERSION,
    }
    return {name: value for name, value in said.items() if value is not None}


def _parent_of(environ: Mapping[str, str]) -> tuple[str, str]:
    """
    Return the run id and the trace that a parent process handed down; empty for none.
    """
    parent = taken_over(environ.get("TELEMETRY_PARENT_RUN_ID", ""))
    if ids.run_id_problem(parent):
        parent = ""
    found = _TRACEPARENT.fullmatch(environ.get("TRACEPARENT", "").strip().lower())
    return parent, found.group(1) if found else ""

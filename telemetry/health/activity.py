"""
Whether anything is recorded, how much of it fails, and what was left open.

Each question is answered from an index alone, so that a million runs take no longer than a few.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Optional

from telemetry.health.results import Check, Outcome, Result, graded
from telemetry.health.times import moment
from telemetry.model.run import Status
from telemetry.model.values import time_text
from telemetry.model.words import several, span
from telemetry.runtime.staleness import Examiner, Finding
from telemetry.storage.reader import Reader

if TYPE_CHECKING:
    import sqlite3

    from telemetry.health.scene import Scene

DAY = timedelta(hours=24)
#: How runs end that failed; cancelled and partial ones did not.
FAILURES = (Status.FAILED.value, Status.TIMEOUT.value)
_LAST_SQL = "SELECT max(start_time) FROM agent_runs"
_SINCE_SQL = "SELECT count(*) FROM agent_runs WHERE start_time >= ?"
_DAY_SQL = "SELECT count(*) FROM agent_runs WHERE created_at >= ?"
_OPEN_SQL = "SELECT count(*) FROM agent_runs WHERE created_at >= ? AND status = 'running'"
_FAILED_SQL = (
    "SELECT count(*) FROM agent_runs WHERE created_at >= ? AND status <> 'success'"
    " AND status <> 'running' AND (status = ? OR status = ?)"
)


def activity(scene: Scene) -> Iterator[Result]:
    """
    Look when the last run began.
    """
    if not scene.has_runs:
        return
    with scene.database() as connection:
        last = connection.execute(_LAST_SQL).fetchone()[0]
        hour = _count(connection, _SINCE_SQL, time_text(scene.now - timedelta(hours=1)))
    numbers: dict[str, float] = {"runs_last_hour": hour}
    idle_s = _age_s(scene, last)
    if idle_s is None:
        outcome, sentence = Outcome.WARNING, "no run was ever recorded"
    else:
        numbers["idle_seconds"] = idle_s
        outcome = graded(idle_s, scene.limits.idle_warn, scene.limits.idle_fail)
        sentence = (
            f"{several(hour, 'run')} began in the last hour, the newest {span(idle_s)} ago"
            f"{_of_the_journal(scene)}"
        )
    yield Result(
        name="activity",
        outcome=outcome,
        sentence=sentence,
        way_out=""
        if outcome is Outcome.OK
        else "see that agents run, and record here: telemetry config base_dir, telemetry demo",
        numbers=numbers,
    )


def failures(scene: Scene) -> Iterator[Result]:
    """
    Work out which share of the last day's runs failed.
    """
    if not scene.has_runs:
        return
    since = time_text(scene.now - DAY)
    with scene.database() as connection:
        begun = _count(connection, _DAY_SQL, since)
        still_open = _count(connection, _OPEN_SQL, since)
        failed = _count(connection, _FAILED_SQL, since, *FAILURES)
    finished = max(0, begun - still_open)
    rate = failed / finished if finished else 0.0
    limits = scene.limits
    is_enough = finished >= (limits.failure_rate_runs or 0)
    outcome = Outcome.OK
    if is_enough and finished:
        outcome = graded(rate, limits.failure_rate_warn, limits.failure_rate_fail)
    yield Result(
        name="failures",
        outcome=outcome,
        sentence=f"{failed:,} of {several(finished, 'finished run')} of the last 24 hours failed"
        f" ({rate:.1%})" + ("" if is_enough or not failed else ", too few to judge"),
        way_out=""
        if outcome is Outcome.OK
        else "telemetry runs --failed --since 24h lists them, telemetry show @last-failed says why",
        numbers={"runs_last_day": begun, "failed_last_day": failed, "failure_ratio": rate},
    )


def stale(scene: Scene) -> Iterator[Result]:
    """
    Look for open runs whose process is gone, or that say nothing.
    """
    if not scene.has_runs:
        return
    rows = Reader(scene.config.db_path).open_runs()
    silence = scene.limits.stale_after
    examiner = Examiner(
        scene.config, timedelta.max if silence is None else timedelta(seconds=silence)
    )
    found = examiner.stale(rows)
    dead = sum(run.finding is Finding.DEAD for run in found)
    outcome = graded(len(found), scene.limits.stale_warn, scene.limits.stale_fail)
    yield Result(
        name="stale",
        outcome=outcome if found else Outcome.OK,
        sentence=f"{several(len(rows), 'run')} open, {dead:,} of them without a living process,"
        f" {len(found) - dead:,} silent for long",
        way_out="telemetry stale explains each, telemetry stale --close ends them" if found else "",
        numbers={"runs_open": len(rows), "runs_dead": dead, "runs_silent": len(found) - dead},
    )


def _count(connection: sqlite3.Connection, sql: str, *values: str) -> int:
    return int(connection.execute(sql, values).fetchone()[0])


def _of_the_journal(scene: Scene) -> str:
    """
    Say when the journal was last written, which may be later than the database knows.
    """
    times = [segment.path.stat().st_mtime for segment in scene.segments[-3:]]
    if not times:
        return ""
    return f"; the journal was written {span(max(0.0, scene.now.timestamp() - max(times)))} ago"


def _age_s(scene: Scene, text: Optional[str]) -> Optional[float]:
    then = moment(text)
    return None if then is None else max(0.0, (scene.now - then).total_seconds())


CHECKS = (
    Check(name="activity", run=activity),
    Check(name="failures", run=failures),
    Check(name="stale", run=stale),
)

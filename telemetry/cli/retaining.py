"""
Retention at work: what there is to do in a base directory, and doing it.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Optional

import attrs

from telemetry.cli.alone import without_writers
from telemetry.cli.bars import progress_bar, waiting
from telemetry.cli.exits import Exit, fail
from telemetry.storage.expiry import Expired, choose, delete
from telemetry.storage.retention import Action, Cover, Due, cover_of, drop, due
from telemetry.storage.shrinking import Shrunk, free_bytes, shrink

if TYPE_CHECKING:
    from collections.abc import Sequence

    from telemetry.cli.retentionrules import Policy
    from telemetry.cli.session import Session
    from telemetry.sinks import Journal
    from telemetry.storage.backupfiles import BackupFile

#: A database with less of it empty is left as it is, where no run was deleted.
SHRINKS_FROM_SHARE = 0.1


@attrs.frozen(kw_only=True)
class Plan:
    """
    What is to be done, and what must stay.
    """

    segments: Sequence[Due] = ()
    cover: Cover = attrs.field(factory=Cover)
    #: None where no rule is about runs, or there is no database.
    expired: Optional[Expired] = None
    #: Of the database, that holds nothing.
    free_bytes: int = 0
    shrinks: bool = False
    backups: Sequence[BackupFile] = ()
    kept_backup_count: int = 0

    def going(self, action: Action) -> list[Due]:
        """
        Return the segments to which this is done.
        """
        return [one for one in self.segments if one.action is action and not one.reasons]

    def staying(self, action: Action) -> list[Due]:
        """
        Return the segments to which this should be done and is not.
        """
        return [one for one in self.segments if one.action is action and one.reasons]

    @property
    def run_count(self) -> int:
        """
        Return how many runs go.
        """
        return self.expired.count if self.expired is not None else 0

    @property
    def is_empty(self) -> bool:
        """
        Return whether there is nothing to do.
        """
        segments = any(not one.reasons for one in self.segments)
        return not (segments or self.run_count or self.shrinks or self.backups)


@attrs.define(kw_only=True)
class Done:
    """
    What was done.
    """

    compressed_count: int = 0
    compressed_bytes: int = 0
    dropped_count: int = 0
    dropped_bytes: int = 0
    deleted_count: int = 0
    shrunk: Optional[Shrunk] = None
    removed_count: int = 0
    removed_bytes: int = 0
    #: What could not be done, and why.
    problems: list[str] = attrs.field(factory=list)

    @property
    def freed_bytes(self) -> int:
        """
        Return how much smaller the files are.
        """
        shrunk = self.shrunk.freed_bytes if self.shrunk is not None else 0
        return self.compressed_bytes + self.dropped_bytes + shrunk + self.removed_bytes


def survey(session: Session, policy: Policy) -> Plan:
    """
    Bring the database up to date, and find what there is to do.
    """
    config = session.config
    now = datetime.now(timezone.utc)
    _catch_up(session)
    has_database = config.db_path.exists()
    cover, segments = _segments(session, policy, now)
    expired, free = None, 0
    if has_database and not policy.rules.is_empty:
        expired = choose(config.db_path, policy.rules, now)
        free = free_bytes(config.db_path)
    is_empty_enough = free > SHRINKS_FROM_SHARE * config.db_path.stat().st_size if free else False
    going, kept = _backups(session, policy, now)
    return Plan(
        segments=segments,
        cover=cover,
        expired=expired,
        free_bytes=free,
        shrinks=is_empty_enough or bool(expired and expired.count),
        backups=going,
        kept_backup_count=kept,
    )


def carry_out(session: Session, policy: Policy, plan: Plan, wait_s: float) -> Done:
    """
    Do what a plan says; the caller is the only operator, and has been since it was made.
    """
    done = Done()
    # What frees room comes before what needs some: the disk may be full.
    if plan.going(Action.DROP):
        with without_writers(session.config, wait_s):
            _drop(session, policy, plan, done)
    if plan.backups:
        from telemetry.storage.backupfiles import remove

        done.removed_bytes = remove(plan.backups)
        done.removed_count = len(plan.backups)
    _compress(session, plan, done)
    if plan.expired is not None and plan.expired.count:
        _delete(session, plan.expired, done)
    if plan.shrinks:
        title = "writing the database anew; whoever reads it goes on"
        with without_writers(session.config, wait_s), waiting(session, title):
            done.shrunk = shrink(session.config.db_path)
        if done.shrunk.problem:
            done.problems.append(f"the database stays as large as it is: {done.shrunk.problem}")
    return done


def _catch_up(session: Session) -> bool:
    from telemetry.cli.offline import CATCH_UP_TIMEOUT_S, offline
    from telemetry.cli.strangers import refuse_strangers
    from telemetry.client import TelemetryClient

    refuse_strangers(session.config)
    if not session.config.ndjson_dir.is_dir():
        return True
    client = TelemetryClient(offline(session.config))
    try:
        return client.catch_up(CATCH_UP_TIMEOUT_S)
    finally:
        client.close()


def _journal(session: Session) -> Journal:
    from telemetry.runtime.plugins import Plugins

    return Plugins.load(session.config).journal(session.config)


def _segments(session: Session, policy: Policy, now: datetime) -> tuple[Cover, list[Due]]:
    from telemetry.runtime.plugins import Plugins
    from telemetry.runtime.standings import standings

    if policy.ages.compress_after is None and policy.ages.drop_after is None:
        return Cover(), []
    config = session.config
    plugins = Plugins.load(config)
    found = standings(config, plugins.sinks(config))
    journal = plugins.journal(config)
    ids = [segment.id for segment in journal.segments()]
    cover = cover_of(config.db_path, config.backups_dir, ids)
    return cover, due(journal, policy.ages, now, found, cover)


def _backups(session: Session, policy: Policy, now: datetime) -> tuple[Sequence[BackupFile], int]:
    from telemetry.storage.backupfiles import list_backups, superfluous

    backups = list_backups(session.config.backups_dir)
    if policy.keep_backup_days is None:
        return (), len(backups)
    going = superfluous(backups, now, keep_days=policy.keep_backup_days)
    return going, len(backups) - len(going)


def _compress(session: Session, plan: Plan, done: Done) -> None:
    from telemetry.storage.packing import ChangedSegmentError, pack, sweep_unfinished

    chosen = plan.going(Action.COMPRESS)
    if not chosen:
        return
    sweep_unfinished(session.config.ndjson_dir)
    total, at = sum(one.file_bytes for one in chosen), 0
    with progress_bar(session, "compressing") as progress:

        def advance(count: int) -> None:
            nonlocal at
            at += count
            if progress is not None:
                progress(at, total)

        for one in chosen:
            try:
                done.compressed_bytes += pack(one.segment.path, advance=advance)
                done.compressed_count += 1
            except ChangedSegmentError as error:
                done.problems.append(str(error))


def _drop(session: Session, policy: Policy, plan: Plan, done: Done) -> None:
    """
    Drop what may still be dropped, now that nobody writes the database.
    """
    from telemetry.storage.backup import UnusableBackupError, verify
    from telemetry.storage.backupfiles import note_verified
    from telemetry.storage.packing import ChangedSegmentError

    cover, found = _segments(session, policy, datetime.now(timezone.utc))
    backup = cover.backup
    if backup is None:
        fail(f"no segment was dropped: {cover.problem}", Exit.UNAVAILABLE)
    try:
        verify(backup)
    except UnusableBackupError as error:
        with suppress(OSError):
            note_verified(backup, str(error))
        fail(f"no segment was dropped: {error}", Exit.INTEGRITY)
    meant = {one.segment.id for one in plan.going(Action.DROP)}
    for one in found:
        if one.action is not Action.DROP or one.segment.id not in meant:
            continue
        if one.reasons:
            done.problems.append(f"{one.segment.path.name} stays: {one.reasons[0]}")
            continue
        try:
            done.dropped_bytes += drop(one.segment)
            done.dropped_count += 1
        except ChangedSegmentError as error:
            done.problems.append(str(error))


def _delete(session: Session, expired: Expired, done: Done) -> None:
    with progress_bar(session, "deleting", counts="runs") as progress:
        done.deleted_count = delete(
            session.config.db_path,
            _journal(session),
            expired.selection,
            progress=None if progress is None else lambda count: progress(count, expired.count),
        )
    left = _follow(session, expired)
    if left:
        done.problems.append(
            f"the rows of {left:,} deleted runs are still there; they go when the database has"
            " caught up with the journal"
        )


def _follow(session: Session, expired: Expired) -> int:
    """
    Let the database follow for as long as that removes rows; return how many of the runs it has.
    """
    from telemetry.storage.expiry import count_of

    left = expired.count
    while left:
        _catch_up(session)
        now_left = count_of(session.config.db_path, expired.selection)
        if now_left >= left:
            break
        left = now_left
    return left

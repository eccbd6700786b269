"""
``telemetry retention``: what grows old is compressed, dropped and deleted, by rule.
"""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

import click

from telemetry.cli.alone import operating, wait_option
from telemetry.cli.asking import require_consent
from telemetry.cli.backups import require_base
from telemetry.cli.exits import Exit
from telemetry.cli.session import Session, current, shares_options
from telemetry.cli.sizes import in_bytes
from telemetry.cli.text import visible
from telemetry.model.words import several

if TYPE_CHECKING:
    from collections.abc import Sequence

    from telemetry.cli.retaining import Done, Plan
    from telemetry.cli.retentionrules import Policy
    from telemetry.storage.expiry import Expired
    from telemetry.storage.retention import Due

_SHOWN = 10


@shares_options
@click.command("retention")
@click.option(
    "-f",
    "--file",
    "path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Rules from this TOML file; the line's come first."
    "  [default: config/retention.toml in the base directory, if there]",
)
@click.option("--compress-after", metavar="SPAN", help="Compress the journal's days older: 7d.")
@click.option(
    "--drop-after",
    metavar="SPAN",
    help="Drop days older that every sink has read and a verified backup holds: 90d.",
)
@click.option("--runs-older-than", metavar="SPAN", help="Delete runs older than this: 365d.")
@click.option("--failed-older-than", metavar="SPAN", help="The rule for failed runs instead: 730d.")
@click.option("--keep-runs", metavar="N", help="Delete all but the newest N that have ended.")
@click.option("--max-bytes", metavar="SIZE", help="Delete the oldest till the database fits: 2GB.")
@click.option("--prune-backups", is_flag=True, help="Remove old backups, as backup prune does.")
@click.option("--keep-days", metavar="DAYS", help="With --prune-backups: keep those of DAYS; 7.")
@click.option("--dry-run", is_flag=True, help="Say what would go; so it is without --apply.")
@click.option("--apply", "is_applied", is_flag=True, help="Do it, after asking.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@wait_option
def command(
    *,
    path: Optional[Path],
    dry_run: bool,
    is_applied: bool,
    yes: bool,
    wait_s: float,
    **options: Any,
) -> Exit:
    """
    Compress and drop old days of the journal, delete old runs, and make the database smaller.

    Without --apply it only says what would go, and why the rest stays. A day of the journal is
    dropped only when every sink has read it and a verified backup has its records. Running runs
    never go. A deletion is a record: rebuilds and restored backups keep to it.

    Exits with 1 where something must stay that a rule would drop, with 4 where another command is
    at work, with 5 where the backup that a drop relies on is damaged.
    """
    from telemetry.cli.retaining import carry_out, survey

    session = current()
    if dry_run and is_applied:
        raise click.UsageError("--apply must stand without --dry-run")
    require_base(session)
    policy = _policy(session, path, options)
    with operating(session.config, wait_s) if is_applied else nullcontext():
        plan = survey(session, policy)
        if not is_applied or plan.is_empty:
            return _tell_plan(session, plan, is_applied=is_applied)
        if not session.as_json:
            session.screen.lines(_plan_lines(session, plan))
        require_consent(session, _question(plan), is_given=yes)
        done = carry_out(session, policy, plan, wait_s)
    return _tell_done(session, plan, done)


def _policy(session: Session, path: Optional[Path], options: dict[str, Any]) -> Policy:
    from telemetry.cli.retentionrules import policy_from, said_in

    given = {name: value for name, value in options.items() if value not in {None, False}}
    if path is None:
        default = session.config.base_dir / "config" / "retention.toml"
        return policy_from(said_in(default) if default.is_file() else {}, given)
    return policy_from(said_in(path), given)


def _question(plan: Plan) -> str:
    from telemetry.storage.retention import Action

    parts = (
        (len(plan.going(Action.COMPRESS)), "compress {} of the journal", "file"),
        (len(plan.going(Action.DROP)), "drop {} of the journal for good", "file"),
        (plan.run_count, "delete {}", "run"),
        (len(plan.backups), "remove {}", "backup"),
        (int(plan.shrinks), "write the database anew", ""),
    )
    text = ", ".join(words.format(several(count, noun)) for count, words, noun in parts if count)
    return f"{text[:1].upper()}{text[1:]}?"


def _tell_plan(session: Session, plan: Plan, *, is_applied: bool) -> Exit:
    screen = session.screen
    exit_code = _exit_of(plan)
    if session.as_json:
        screen.json({"applied": False, **_plan_document(plan)})
        return exit_code
    lines = _plan_lines(session, plan)
    mark = screen.mark("✓", "good")
    if plan.is_empty:
        lines.append(f"{mark} there is nothing to do in {visible(session.config.base_dir)}")
    elif not is_applied:
        lines.append(f"{mark} nothing was changed; the same line with --apply does it")
    screen.lines(lines)
    return exit_code


def _exit_of(plan: Plan) -> Exit:
    from telemetry.storage.retention import Action

    return Exit.FINDINGS if plan.staying(Action.DROP) else Exit.FINE


def _plan_lines(session: Session, plan: Plan) -> list[str]:
    from telemetry.storage.retention import Action

    lines = []
    for action in Action:
        lines += _segment_lines(action.value, plan.going(action))
    for one in [one for one in plan.segments if one.reasons][:_SHOWN]:
        lines.append(
            f"  {visible(one.segment.path.name)} is not {_DONE[one.action.value]}:"
            f" {visible('; '.join(one.reasons))}"
        )
    more = sum(bool(one.reasons) for one in plan.segments) - _SHOWN
    if more > 0:
        lines.append(f"  and {more} more stay; --json names all")
    if plan.expired is not None:
        lines += _run_lines(plan.expired)
        if plan.shrinks and plan.free_bytes:
            lines.append(f"shrink    {in_bytes(plan.free_bytes)} of the database hold nothing")
    if plan.backups:
        freed = sum(backup.size_bytes for backup in plan.backups)
        lines.append(
            f"backups   {len(plan.backups)} to be removed ({in_bytes(freed)}),"
            f" {plan.kept_backup_count} kept"
        )
    return lines


_DONE = {"compress": "compressed", "drop": "dropped"}


def _segment_lines(title: str, going: Sequence[Due]) -> list[str]:
    if not going:
        return []
    days = sorted(one.day for one in going)
    total = in_bytes(sum(one.file_bytes for one in going))
    lines = [f"{title:<9} {several(len(going), 'file')} of the journal ({total}), {_days(days)}"]
    lines += [f"  {visible(one.segment.path.name)}" for one in going[:_SHOWN]]
    if len(going) > _SHOWN:
        lines.append(f"  and {len(going) - _SHOWN} more; --json names all")
    return lines


def _days(days: Sequence[str]) -> str:
    first, last = (f"{day[:4]}-{day[4:6]}-{day[6:]}" for day in (days[0], days[-1]))
    return f"of {first}" if first == last else f"of {first} to {last}"


def _run_lines(expired: Expired) -> list[str]:
    lines = []
    if expired.count:
        lines.append(
            f"delete    {expired.count:,} of {several(expired.run_count, 'run')} (about"
            f" {in_bytes(expired.bytes)}), {expired.failed_count:,} of them failed; last heard of"
            f" from {visible(expired.oldest[:10])} to {visible(expired.newest[:10])}"
        )
    else:
        lines.append(f"delete    none of {several(expired.run_count, 'run')}")
    if expired.kept_failed_count > 0:
        lines.append(
            f"  {several(expired.kept_failed_count, 'failed run')} kept by the rule of their own"
        )
    if expired.running_count:
        lines.append(f"  {several(expired.running_count, 'running run')} kept, whatever their age")
    return lines


def _tell_done(session: Session, plan: Plan, done: Done) -> Exit:
    screen = session.screen
    exit_code = Exit.FINDINGS if done.problems else _exit_of(plan)
    if session.as_json:
        screen.json({"applied": True, **_plan_document(plan), "done": _done_document(done)})
        return exit_code
    lines = [f"{screen.mark('✗', 'warn')} {visible(problem)}" for problem in done.problems]
    if done.shrunk is not None and not done.shrunk.problem:
        lines.append(
            f"  the database takes {in_bytes(done.shrunk.after_bytes)}, it took"
            f" {in_bytes(done.shrunk.before_bytes)}"
        )
    mark = screen.mark("✓", "good")
    lines.append(f"{mark} {_sentence(done)}")
    screen.lines(lines)
    return exit_code


def _sentence(done: Done) -> str:
    parts = (
        (done.compressed_count, "file", "compressed"),
        (done.dropped_count, "file", "dropped"),
        (done.deleted_count, "run", "deleted"),
        (done.removed_count, "backup", "removed"),
    )
    told = ", ".join(f"{several(count, noun)} {verb}" for count, noun, verb in parts if count)
    return f"{told or 'nothing removed'}; {in_bytes(done.freed_bytes)} are free again"


def _done_document(done: Done) -> dict[str, Any]:
    shrunk = done.shrunk
    return {
        "compressed": done.compressed_count,
        "dropped": done.dropped_count,
        "deleted_runs": done.deleted_count,
        "removed_backups": done.removed_count,
        "database_bytes_before": None if shrunk is None else shrunk.before_bytes,
        "database_bytes_after": None if shrunk is None else shrunk.after_bytes,
        "freed_bytes": done.freed_bytes,
        "problems": done.problems,
    }


def _plan_document(plan: Plan) -> dict[str, Any]:
    expired = plan.expired
    return {
        "segments": [
            {
                "file": str(one.segment.path),
                "segment": one.segment.id,
                "day": one.day,
                "bytes": one.file_bytes,
                "action": one.action.value,
                "stays_because": list(one.reasons),
            }
            for one in plan.segments
        ],
        "backup": None if plan.cover.backup is None else str(plan.cover.backup),
        "runs": None
        if expired is None
        else {
            "deleted": expired.count,
            "failed": expired.failed_count,
            "bytes": expired.bytes,
            "oldest": expired.oldest or None,
            "newest": expired.newest or None,
            "kept_failed": max(0, expired.kept_failed_count),
            "running": expired.running_count,
            "all": expired.run_count,
        },
        "database_free_bytes": plan.free_bytes,
        "backups": [str(backup.path) for backup in plan.backups],
    }

"""
``telemetry commits``: link runs to the commits that came of them, when those were made later.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

import click

from telemetry.cli.exits import Exit, fail
from telemetry.cli.finding import find_run
from telemetry.cli.ids import short_ids
from telemetry.cli.offline import CATCH_UP_TIMEOUT_S, offline_client
from telemetry.cli.session import Session, current, shares_options
from telemetry.cli.table import Cell, TableColumn, draw
from telemetry.cli.times import When
from telemetry.model.words import several

if TYPE_CHECKING:
    from telemetry.client import TelemetryClient
    from telemetry.commits import Commit
    from telemetry.model.run import CommitSource

Row = dict[str, Any]
Pair = tuple[Row, "Commit"]

#: What one look at a repository may take.
MAX_COMMITS = 100_000
MAX_ANSWER_BYTES = 64 << 20
TIMEOUT_S = 60.0
_COLUMNS = (
    TableColumn(title="RUN", style="name"),
    TableColumn(title="AGENT", least=10),
    TableColumn(title="JOB", least=8, leaves=1),
    TableColumn(title="COMMIT"),
    TableColumn(title="AUTHOR", least=10, leaves=0),
)
_SHORT_HASH = 12


@shares_options
@click.command("commits")
@click.argument("repository", type=click.Path(path_type=Path), default=".")
@click.option(
    "--since",
    type=When(),
    default="30d",
    show_default=True,
    help="Look at commits made since then: 2h, 3d, 2026-11-01.",
)
@click.option("--agent", help="Only runs of this agent.")
@click.option("--run", "run_name", help="Link this run, with --commit.")
@click.option("--commit", "revision", help="The commit of --run: a hash, a branch or a tag.")
@click.option("--dry-run", is_flag=True, help="Only say what would be linked.")
def command(  # noqa: PLR0913 (one argument for each option)
    *,
    repository: Path,
    since: datetime,
    agent: Optional[str],
    run_name: Optional[str],
    revision: Optional[str],
    dry_run: bool,
) -> Exit:
    """
    Link runs to the commits of REPOSITORY that name them in a line "Telemetry-Run-ID: RUN_ID".

    REPOSITORY is the one of the current directory where none is given. The git linker does so when
    a run ends; this is for commits that were made later. A run that has a commit keeps it. With
    --run and --commit, that run is linked to that commit, whatever its message says.
    """
    session = current()
    if (run_name is None) != (revision is None):
        raise click.UsageError("--run and --commit must be given together (got one of them)")
    client = offline_client(session, "link commits")
    if not client.catch_up(CATCH_UP_TIMEOUT_S):
        session.screen.warn("the database is still behind the journal; the newest runs may lack")
    from telemetry.model.run import CommitSource

    if run_name is not None and revision is not None:
        pairs, source = [_chosen(session, repository, run_name, revision)], CommitSource.MANUAL
        told = {"had_a_commit": 0, "unknown": 0}
    else:
        pairs, told = _found(session, _commits_of(repository, since), agent)
        source = CommitSource.LLM
    if not dry_run:
        _link(client, pairs, source)
    if session.as_json:
        session.screen.json(_document(pairs, told, is_dry=dry_run))
    else:
        _tell(session, pairs, told, is_dry=dry_run)
    return Exit.FINE


def _commits_of(repository: Path, since: datetime) -> list[Commit]:
    from telemetry.commits import naming

    _must_be_a_repository(repository)
    found = naming(
        repository,
        since=since,
        most=MAX_COMMITS,
        timeout_s=TIMEOUT_S,
        max_bytes=MAX_ANSWER_BYTES,
    )
    if found is None:
        fail(
            f"git must answer for {repository.resolve()} within {TIMEOUT_S:.0f} s (it did not);"
            " try git log there",
            Exit.UNAVAILABLE,
        )
    return found


def _must_be_a_repository(repository: Path) -> None:
    from telemetry.git import git_directory

    if git_directory(repository.resolve()) is None:
        fail(
            f"{repository.resolve()} must lie in a git repository (it does not);"
            " name one: telemetry commits PATH",
            Exit.NOT_FOUND,
        )


def _chosen(session: Session, repository: Path, run_name: str, revision: str) -> Pair:
    from telemetry.commits import named

    _must_be_a_repository(repository)
    commit = named(repository, revision)
    if commit is None:
        fail(
            f"--commit must be a commit of {repository.resolve()} (got {revision!r}); see git log",
            Exit.NOT_FOUND,
        )
    return find_run(session, run_name), commit


def _found(
    session: Session, commits: list[Commit], agent: Optional[str]
) -> tuple[list[Pair], dict[str, int]]:
    """
    Return the runs that lack a commit, each with the newest that names it, and what was left out.
    """
    from telemetry.storage.reader import Reader

    reader = Reader(session.config.db_path)
    newest = {run_id: commit for commit in reversed(commits) for run_id in commit.run_ids}
    pairs: list[Pair] = []
    told = {"had_a_commit": 0, "unknown": 0}
    for run_id, commit in newest.items():
        row = reader.by_run_id(run_id)
        if row is None:
            told["unknown"] += 1
        elif agent is not None and row["agent_name"] != agent:
            continue
        elif row["git_commit_hash"]:
            told["had_a_commit"] += 1
        else:
            pairs.append((row, commit))
    return pairs, told


def _link(client: TelemetryClient, pairs: list[Pair], source: CommitSource) -> None:
    for row, commit in pairs:
        done, message = client.associate_commit(
            row["run_id"], commit.hash, source.value, commit.author, commit.timestamp
        )
        if not done:
            fail(message, Exit.UNAVAILABLE)
    client.catch_up(CATCH_UP_TIMEOUT_S)


def _tell(session: Session, pairs: list[Pair], told: dict[str, int], *, is_dry: bool) -> None:
    screen = session.screen
    if pairs:
        short = short_ids([row for row, _ in pairs])
        rows = [
            [
                Cell(short[row["event_id"]]),
                Cell(row["agent_name"]),
                Cell(row["job_type"]),
                Cell(commit.hash[:_SHORT_HASH]),
                Cell(commit.author),
            ]
            for row, commit in pairs
        ]
        screen.lines(draw(screen, _COLUMNS, rows))
    mark = screen.mark("✓", "good")
    would = "would be " if is_dry else ""
    screen.line(
        f"{mark} {several(len(pairs), 'run')} {would}linked;"
        f" {told['had_a_commit']:,} had a commit, {told['unknown']:,} named are not known here"
    )


def _document(pairs: list[Pair], told: dict[str, int], *, is_dry: bool) -> dict[str, Any]:
    return {
        "dry_run": is_dry,
        "linked": [
            {
                "event_id": row["event_id"],
                "run_id": row["run_id"],
                "commit_hash": commit.hash,
                "commit_author": commit.author,
                "commit_timestamp": commit.timestamp,
            }
            for row, commit in pairs
        ],
        **told,
    }

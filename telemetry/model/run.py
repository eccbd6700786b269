"""
The run, and the only list of its fields.

Tables, API bodies, filters, forms, exports, the CLI's columns and the documentation derive from
`Run`; `COLUMNS` is the derived view that they read.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Optional

import attrs

from telemetry.model.choices import (
    STATUS_ALIASES,
    CommitSource,
    Status,
    TriggerType,
    parse_status,
)
from telemetry.model.column import (
    MAX_INTEGER,
    Column,
    Group,
    Kind,
    column_of,
    require_count,
    require_zone,
    spec,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

# Who reads the fields needs their forms and choices, too: all of it is imported from here.
__all__ = [
    "COLUMNS",
    "MAX_INTEGER",
    "SCHEMA_VERSION",
    "STATUS_ALIASES",
    "Column",
    "CommitSource",
    "Group",
    "Kind",
    "Run",
    "Status",
    "TriggerType",
    "parse_status",
]

SCHEMA_VERSION = 8


@attrs.frozen(kw_only=True)
class Run:
    """
    One run of an agent, as it now stands.
    """

    event_id: str = attrs.field(
        metadata=spec(
            "Key of the run, a UUIDv7 unless the caller brought another.",
            kind=Kind.TEXT,
            group=Group.IDENTITY,
            max_length=255,
            since=6,
        )
    )
    run_id: str = attrs.field(
        metadata=spec(
            "The run's readable name: start, agent and eight hex digits, or the caller's own.",
            kind=Kind.TEXT,
            group=Group.IDENTITY,
            max_length=255,
        )
    )
    agent_name: str = attrs.field(
        metadata=spec("The agent that ran.", kind=Kind.TEXT, group=Group.IDENTITY, max_length=255)
    )
    job_type: str = attrs.field(
        metadata=spec(
            "The kind of work it did.", kind=Kind.TEXT, group=Group.IDENTITY, max_length=255
        )
    )
    trigger_type: Optional[str] = attrs.field(
        default=None,
        metadata=spec("What set it off.", kind=Kind.TRIGGER, group=Group.IDENTITY),
    )
    agent_owner: Optional[str] = attrs.field(
        default=None,
        metadata=spec(
            "Who answers for the agent.", kind=Kind.TEXT, group=Group.IDENTITY, max_length=255
        ),
    )
    parent_run_id: Optional[str] = attrs.field(
        default=None,
        metadata=spec(
            "run_id of the run that this one is nested in.",
            kind=Kind.TEXT,
            group=Group.IDENTITY,
            max_length=255,
            since=6,
        ),
    )
    status: Status = attrs.field(
        default=Status.RUNNING,
        metadata=spec(
            "Where the run stands.", kind=Kind.STATUS, group=Group.OUTCOME, patchable=True
        ),
    )
    start_time: Optional[datetime] = attrs.field(
        default=None,
        validator=require_zone,
        metadata=spec("When it began.", kind=Kind.TIME, group=Group.TIMING),
    )
    end_time: Optional[datetime] = attrs.field(
        default=None,
        validator=require_zone,
        metadata=spec(
            "When it ended; null while running.",
            kind=Kind.TIME,
            group=Group.TIMING,
            patchable=True,
        ),
    )
    duration_ms: Optional[int] = attrs.field(
        default=None,
        validator=require_count,
        metadata=spec(
            "Time from start to end by a clock that is never set; null while running.",
            kind=Kind.COUNT,
            group=Group.TIMING,
            unit="ms",
            patchable=True,
        ),
    )
    items_discovered: int = attrs.field(
        default=0,
        validator=require_count,
        metadata=spec("Items found.", kind=Kind.COUNT, group=Group.ITEMS, patchable=True),
    )
    items_succeeded: int = attrs.field(
        default=0,
        validator=require_count,
        metadata=spec("Items done.", kind=Kind.COUNT, group=Group.ITEMS, patchable=True),
    )
    items_failed: int = attrs.field(
        default=0,
        validator=require_count,
        metadata=spec("Items that failed.", kind=Kind.COUNT, group=Group.ITEMS, patchable=True),
    )
    items_skipped: int = attrs.field(
        default=0,
        validator=require_count,
        metadata=spec(
            "Items left out on purpose.",
            kind=Kind.COUNT,
            group=Group.ITEMS,
            patchable=True,
            since=6,
        ),
    )
    input_summary: Optional[str] = attrs.field(
        default=None,
        metadata=spec(
            "What went in, in words.",
            kind=Kind.TEXT,
            group=Group.OUTCOME,
            max_length=1000,
            patchable=True,
        ),
    )
    output_summary: Optional[str] = attrs.field(
        default=None,
        metadata=spec(
            "What came out, in words.",
            kind=Kind.TEXT,
            group=Group.OUTCOME,
            max_length=1000,
            patchable=True,
        ),
    )
    error_summary: Optional[str] = attrs.field(
        default=None,
        metadata=spec(
            "The error in one line, as `TypeName: text`.",
            kind=Kind.TEXT,
            group=Group.OUTCOME,
            max_length=500,
            patchable=True,
        ),
    )
    error_details: Optional[str] = attrs.field(
        default=None,
        metadata=spec(
            "The traceback, scrubbed.",
            kind=Kind.TEXT,
            group=Group.OUTCOME,
            max_length=5000,
            patchable=True,
            since=6,
        ),
    )
    source_ref: Optional[str] = attrs.field(
        default=None,
        metadata=spec(
            "Where the input came from.",
            kind=Kind.TEXT,
            group=Group.SUBJECT,
            max_length=1000,
            patchable=True,
            since=6,
        ),
    )
    target_ref: Optional[str] = attrs.field(
        default=None,
        metadata=spec(
            "Where the output went.",
            kind=Kind.TEXT,
            group=Group.SUBJECT,
            max_length=1000,
            patchable=True,
            since=6,
        ),
    )
    insight_id: Optional[str] = attrs.field(
        default=None,
        metadata=spec(
            "The insight that the run came from; links a chain of runs.",
            kind=Kind.TEXT,
            group=Group.SUBJECT,
            max_length=255,
            since=2,
        ),
    )
    product: Optional[str] = attrs.field(
        default=None,
        metadata=spec(
            "The product that was worked on.", kind=Kind.TEXT, group=Group.SUBJECT, max_length=255
        ),
    )
    product_family: Optional[str] = attrs.field(
        default=None,
        metadata=spec(
            "The family of the product.", kind=Kind.TEXT, group=Group.SUBJECT, max_length=255
        ),
    )
    platform: Optional[str] = attrs.field(
        default=None,
        metadata=spec("The platform.", kind=Kind.TEXT, group=Group.SUBJECT, max_length=255),
    )
    subdomain: Optional[str] = attrs.field(
        default=None,
        metadata=spec("The subdomain.", kind=Kind.TEXT, group=Group.SUBJECT, max_length=255),
    )
    website: Optional[str] = attrs.field(
        default=None,
        metadata=spec("The website.", kind=Kind.TEXT, group=Group.SUBJECT, max_length=255, since=5),
    )
    website_section: Optional[str] = attrs.field(
        default=None,
        metadata=spec(
            "The section of the website.",
            kind=Kind.TEXT,
            group=Group.SUBJECT,
            max_length=255,
            since=5,
        ),
    )
    item_name: Optional[str] = attrs.field(
        default=None,
        metadata=spec(
            "The one item, where a run has one.",
            kind=Kind.TEXT,
            group=Group.SUBJECT,
            max_length=1000,
            since=5,
        ),
    )
    git_repo: Optional[str] = attrs.field(
        default=None,
        metadata=spec(
            "Repository, by name or URL without credentials.",
            kind=Kind.TEXT,
            group=Group.GIT,
            max_length=1000,
        ),
    )
    git_branch: Optional[str] = attrs.field(
        default=None,
        metadata=spec("Branch.", kind=Kind.TEXT, group=Group.GIT, max_length=255),
    )
    git_run_tag: Optional[str] = attrs.field(
        default=None,
        metadata=spec("Repository and branch.", kind=Kind.TEXT, group=Group.GIT, max_length=1000),
    )
    git_commit_hash: Optional[str] = attrs.field(
        default=None,
        metadata=spec(
            "The commit that came of the run, 7 to 40 hex digits.",
            kind=Kind.TEXT,
            group=Group.GIT,
            max_length=40,
        ),
    )
    git_commit_source: Optional[str] = attrs.field(
        default=None,
        metadata=spec("Who made it.", kind=Kind.COMMIT_SOURCE, group=Group.GIT, since=4),
    )
    git_commit_author: Optional[str] = attrs.field(
        default=None,
        metadata=spec("Its author.", kind=Kind.TEXT, group=Group.GIT, max_length=255, since=4),
    )
    git_commit_timestamp: Optional[datetime] = attrs.field(
        default=None,
        validator=require_zone,
        metadata=spec("When it was made.", kind=Kind.TIME, group=Group.GIT, since=4),
    )
    host: Optional[str] = attrs.field(
        default=None,
        metadata=spec("Name of the machine.", kind=Kind.TEXT, group=Group.ORIGIN, max_length=255),
    )
    environment: Optional[str] = attrs.field(
        default=None,
        metadata=spec(
            "Deployment, such as production.",
            kind=Kind.TEXT,
            group=Group.ORIGIN,
            max_length=255,
            since=6,
        ),
    )
    pid: Optional[int] = attrs.field(
        default=None,
        validator=require_count,
        metadata=spec("Process id of the owner.", kind=Kind.COUNT, group=Group.ORIGIN, since=8),
    )
    work_dir: Optional[str] = attrs.field(
        default=None,
        metadata=spec(
            "Current directory at the start.",
            kind=Kind.TEXT,
            group=Group.ORIGIN,
            max_length=4096,
            since=8,
        ),
    )
    trace_id: Optional[str] = attrs.field(
        default=None,
        metadata=spec(
            "W3C trace id that nested runs share, 32 hex digits.",
            kind=Kind.TEXT,
            group=Group.ORIGIN,
            max_length=32,
            since=8,
        ),
    )
    metrics_json: Any = attrs.field(
        default=None,
        metadata=spec(
            "Any metrics of the agent's own.", kind=Kind.JSON, group=Group.EXTRA, patchable=True
        ),
    )
    context_json: Any = attrs.field(
        default=None,
        metadata=spec(
            "Any context, and what was given under names that are no fields.",
            kind=Kind.JSON,
            group=Group.EXTRA,
            patchable=True,
            since=6,
        ),
    )
    api_posted: bool = attrs.field(
        default=False,
        metadata=spec(
            "Whether the finished run reached METRICS_API_URL.",
            kind=Kind.FLAG,
            group=Group.DELIVERY,
        ),
    )
    api_posted_at: Optional[datetime] = attrs.field(
        default=None,
        validator=require_zone,
        metadata=spec("When it did.", kind=Kind.TIME, group=Group.DELIVERY),
    )
    api_retry_count: int = attrs.field(
        default=0,
        validator=require_count,
        metadata=spec("Attempts beyond the first.", kind=Kind.COUNT, group=Group.DELIVERY),
    )
    schema_version: int = attrs.field(
        default=SCHEMA_VERSION,
        validator=require_count,
        metadata=spec(
            "Version of this field list that wrote the run.",
            kind=Kind.COUNT,
            group=Group.BOOKKEEPING,
        ),
    )
    created_at: Optional[datetime] = attrs.field(
        default=None,
        validator=require_zone,
        metadata=spec("When the run was first heard of.", kind=Kind.TIME, group=Group.BOOKKEEPING),
    )
    updated_at: Optional[datetime] = attrs.field(
        default=None,
        validator=require_zone,
        metadata=spec("When it was last heard of.", kind=Kind.TIME, group=Group.BOOKKEEPING),
    )


#: Every field of `Run` by name, in order.
COLUMNS: Mapping[str, Column] = {field.name: column_of(field) for field in attrs.fields(Run)}

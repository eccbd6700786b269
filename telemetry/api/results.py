"""
What the service answers, as plain frozen classes.

Members that a newer service adds are passed over; one that is missing or of another type makes the
answer an `UnexpectedAnswerError`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Generic, Optional, TypeVar

import attrs

from telemetry.model.run import Run

ResultType = TypeVar("ResultType")


@attrs.frozen(kw_only=True)
class StoredRun(Run):
    """
    A run as the service has it, with what follows from its fields.
    """

    #: The page of its commit, where its repository has one.
    commit_url: Optional[str] = None
    #: The page of its repository.
    repo_url: Optional[str] = None
    #: Its state, for `if_match`; only where the run alone was asked for.
    etag: Optional[str] = None


@attrs.frozen(kw_only=True)
class Ignored:
    """
    A name in a request that is no field.
    """

    field: str
    #: The field that may have been meant.
    did_you_mean: Optional[str] = None


@attrs.frozen(kw_only=True)
class CreateResult:
    """
    What became of a run that was handed over.
    """

    #: ``created``, or ``duplicate`` where the service knew its event_id.
    status: str
    event_id: str
    run_id: Optional[str] = None
    #: What a person may want to know of a duplicate.
    message: str = ""
    #: Whether a duplicate brought the outcome of a run that was still running.
    outcome_taken: bool = False
    #: Fields in which a duplicate says something else than the run, which was left as it is.
    differences: tuple[str, ...] = ()
    ignored: tuple[Ignored, ...] = ()

    @property
    def is_new(self) -> bool:
        """
        Return whether the run was not there before.
        """
        return self.status == "created"


@attrs.frozen(kw_only=True)
class BatchItem:
    """
    What became of one run of several.
    """

    #: ``created``, ``duplicate`` or ``error``.
    status: str
    event_id: Optional[str] = None
    #: What a person may want to know of a duplicate: that the run was deleted, and stays so.
    message: str = ""
    #: Whether a duplicate brought the outcome of a run that was still running.
    outcome_taken: bool = False
    #: Fields in which a duplicate says something else than the run, which was left as it is.
    differences: tuple[str, ...] = ()
    ignored: tuple[Ignored, ...] = ()
    #: Why it was refused, where it was: a text, or a list of objects.
    detail: Any = None


@attrs.frozen(kw_only=True)
class BatchResult:
    """
    What became of the runs that were handed over together.
    """

    inserted: int
    duplicates: int
    total: int
    #: A line for each run that was refused.
    errors: tuple[str, ...] = ()
    #: An item for each run, in the order in which they were handed over.
    results: tuple[BatchItem, ...] = ()

    def with_next(self, other: BatchResult) -> BatchResult:
        """
        Return this together with what became of the runs behind.
        """
        return BatchResult(
            inserted=self.inserted + other.inserted,
            duplicates=self.duplicates + other.duplicates,
            total=self.total + other.total,
            errors=(*self.errors, *other.errors),
            results=(*self.results, *other.results),
        )


@attrs.frozen(kw_only=True)
class EditResult:
    """
    What became of a correction.
    """

    event_id: str
    updated: bool
    fields_updated: tuple[str, ...] = ()
    ignored: tuple[Ignored, ...] = ()
    #: The run's state after it, for the next `if_match`.
    etag: Optional[str] = None


@attrs.frozen(kw_only=True)
class CommitResult:
    """
    The link between a run and its commit.
    """

    status: str
    event_id: str
    run_id: str
    commit_hash: str


@attrs.frozen(kw_only=True)
class RefusedRecord:
    """
    A shipped record that can never be taken.
    """

    id: str
    #: One word for programs, such as ``damaged``.
    slug: str
    reason: str


@attrs.frozen(kw_only=True)
class RecordsResult:
    """
    What became of shipped records.
    """

    stored: int
    duplicates: int
    total: int
    refused: tuple[RefusedRecord, ...] = ()

    def with_next(self, other: RecordsResult) -> RecordsResult:
        """
        Return this together with what became of the records behind.
        """
        return RecordsResult(
            stored=self.stored + other.stored,
            duplicates=self.duplicates + other.duplicates,
            total=self.total + other.total,
            refused=(*self.refused, *other.refused),
        )


@attrs.frozen(kw_only=True)
class Page:
    """
    Some runs of a list.
    """

    runs: tuple[StoredRun, ...]
    #: The cursor of the page behind this one; None on the last.
    next: Optional[str] = None
    #: The cursor of the page before it; None on the first.
    previous: Optional[str] = None


@attrs.frozen(kw_only=True)
class RunEvent:
    """
    Something that a run logged.
    """

    id: str
    event_id: str
    run_id: str
    event_type: str
    timestamp: datetime
    payload: Any = None


@attrs.frozen(kw_only=True)
class HistoryRecord:
    """
    Something that made a run what it is: its start, its end, an edit, a death that was noticed.
    """

    id: str
    event_id: str
    run_id: str
    change: str
    timestamp: datetime
    #: What it said of the run, by field.
    fields: dict[str, Any] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class Metadata:
    """
    The names that runs have.
    """

    agent_names: tuple[str, ...]
    job_types: tuple[str, ...]
    counts: dict[str, int] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class Metrics:
    """
    How many runs there are.
    """

    total_runs: int
    agents: dict[str, int]
    recent_24h: int
    statuses: dict[str, int] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class Health:
    """
    How the service is.
    """

    status: str
    version: str = ""
    #: Everything it says of itself.
    details: dict[str, Any] = attrs.field(factory=dict)

    @property
    def is_ok(self) -> bool:
        """
        Return whether it says that nothing is wrong.
        """
        return self.status in {"ok", "ready"}


@attrs.frozen(kw_only=True)
class Items(Generic[ResultType]):
    """
    A page of what belongs to a run.
    """

    items: list[ResultType]
    #: The cursor of the page behind this one; None on the last.
    next: Optional[str] = None

"""
The telemetry service from Python: `TelemetryAPI`, and `AsyncTelemetryAPI` for asyncio.

What the calls return is in `telemetry.api.results`, what they raise in `telemetry.api.errors`.
"""

from telemetry.api.asynchronous import AsyncTelemetryAPI
from telemetry.api.errors import (
    APIError,
    BrokenServiceError,
    ConflictError,
    FieldProblem,
    ForbiddenError,
    InvalidError,
    NotFoundError,
    PreconditionFailedError,
    RateLimitedError,
    TimedOutError,
    UnauthorizedError,
    UnavailableError,
    UnexpectedAnswerError,
)
from telemetry.api.results import (
    BatchItem,
    BatchResult,
    CommitResult,
    CreateResult,
    EditResult,
    Health,
    HistoryRecord,
    Ignored,
    Metadata,
    Metrics,
    Page,
    RecordsResult,
    RefusedRecord,
    RunEvent,
    StoredRun,
)
from telemetry.api.sync import TelemetryAPI

__all__ = [
    "APIError",
    "AsyncTelemetryAPI",
    "BatchItem",
    "BatchResult",
    "BrokenServiceError",
    "CommitResult",
    "ConflictError",
    "CreateResult",
    "EditResult",
    "FieldProblem",
    "ForbiddenError",
    "Health",
    "HistoryRecord",
    "Ignored",
    "InvalidError",
    "Metadata",
    "Metrics",
    "NotFoundError",
    "Page",
    "PreconditionFailedError",
    "RateLimitedError",
    "RecordsResult",
    "RefusedRecord",
    "RunEvent",
    "StoredRun",
    "TelemetryAPI",
    "TimedOutError",
    "UnauthorizedError",
    "UnavailableError",
    "UnexpectedAnswerError",
]

"""
Why a question cannot be answered.

    TelemetryError
    ├── FilterError (ValueError)         the question is wrong
    └── SlowQueryError (TimeoutError)    the answer took too long

That the database cannot be read, now or at all, is a `SinkError` like the write side's.
"""

from __future__ import annotations

from telemetry.model.errors import TelemetryError
from telemetry.model.values import clean_text, cut

_MAX_SHOWN_LENGTH = 80


class FilterError(TelemetryError, ValueError):
    """
    A parameter of a question means nothing: which one, its rule, what it was, and the way out.

    ``status`` is the HTTP status that says so.
    """

    def __init__(
        self, field: str, rule: str, value: object, way_out: str, *, status: int = 422
    ) -> None:
        self.field = cut(clean_text(field), _MAX_SHOWN_LENGTH)
        self.rule = rule
        self.value = cut(clean_text(str(value)), _MAX_SHOWN_LENGTH)
        self.way_out = way_out
        self.status = status
        super().__init__(f"{self.field} {rule} (got {self.value!r}); {way_out}")


class SlowQueryError(TelemetryError, TimeoutError):
    """
    A question took longer than its time limit and was given up; nothing was changed.
    """

"""
What a record says by leaving it out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from telemetry.model.ranks import RUNNING
from telemetry.model.records import Change, RecordType
from telemetry.model.run import COLUMNS
from telemetry.model.values import to_sql

if TYPE_CHECKING:
    from collections.abc import Sequence

    from telemetry.model.records import Record
    from telemetry.model.values import SqlValue

_COMMIT = RecordType.COMMIT.value
_ENDED = Change.ENDED.value
_RECORDED = Change.RECORDED.value
#: The row of a run of which nothing is said.
BLANK: dict[str, SqlValue] = {
    name: "" if column.required else to_sql(column, column.default)
    for name, column in COLUMNS.items()
}
#: What an end says even by leaving it out, so that it clears what the reaper had guessed.
END_FIELDS = ("end_time", "duration_ms", "error_summary", "error_details")
#: A commit stands as a whole: the author of one never stays with the hash of another.
_COMMIT_FIELDS = tuple(name for name in COLUMNS if name.startswith("git_commit_"))


def implied_by(record: Record, fields: dict[str, SqlValue]) -> Sequence[str]:
    """
    Return the fields that a record of this kind sets to null where it does not say them.
    """
    if record.record_type == _COMMIT:
        return _COMMIT_FIELDS if "git_commit_hash" in fields else ()
    if record.change == _ENDED:
        return END_FIELDS
    if record.change == _RECORDED and fields.get("status", RUNNING) != RUNNING:
        return END_FIELDS
    return ()

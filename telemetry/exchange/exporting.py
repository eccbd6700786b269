"""
From the database to a file in any format, at constant memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable

from telemetry.exchange.formats import Format, writer_for
from telemetry.storage.selection import snapshot

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO

    from telemetry.exchange.formats import Order

#: Is told how many runs are written, and how many there are.
Progress = Callable[[int, int], None]


def export(
    db_path: Path,
    file: BinaryIO,
    format_: Format,
    order: Order,
    progress: Progress = lambda done, total: None,
) -> int:
    """
    Write the chosen runs as they stand at one moment, newest first.

    Args:
        file: Text formats are only written to; the others seek in it too.

    Returns:
        How many there were.

    Raises:
        UsageError: The format needs a library that is not there, or cannot hold so many.
        OSError: The file cannot be written.
        TransientSinkError, MalformedDatabaseError: The database cannot be read.
    """
    begin = writer_for(format_)
    with snapshot(db_path) as database:
        total = database.count(order.selection)
        _check_room(format_, total)
        writer = begin(file, order)
        try:
            done = 0
            for batch in database.batches(order.selection, order.columns):
                writer.write(batch)
                done += len(batch)
                progress(done, total)
            writer.finish(database)
        except BaseException:
            writer.abandon()
            raise
    return done


def _check_room(format_: Format, total: int) -> None:
    """
    Refuse before the work what could only fail at its end.
    """
    if format_ is not Format.XLSX:
        return
    from telemetry.exchange.excel import MAX_RUNS
    from telemetry.model.errors import UsageError

    if total > MAX_RUNS:
        raise UsageError(
            f"an Excel sheet must have at most {MAX_RUNS:,} runs (got {total:,});"
            " narrow it with a filter or --limit, or export csv or parquet"
        )

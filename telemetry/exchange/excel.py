"""
An Excel workbook with three sheets: the runs, a summary, and a breakdown by agent.

Every text is written as a text, never as a formula, a link or a number, and rows go to disk as they
come, so that a full sheet takes no more memory than an empty one.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import msgspec
import xlsxwriter
from xlsxwriter.exceptions import XlsxWriterException

from telemetry.model.errors import UsageError
from telemetry.model.run import COLUMNS, Kind
from telemetry.model.values import cut
from telemetry.storage.selection import TOTALS

if TYPE_CHECKING:
    from datetime import datetime

    from telemetry.exchange.formats import Order
    from telemetry.storage.selection import Row, Snapshot

#: Excel's own limits: rows of a sheet with its heading, characters of a cell, digits of a number.
MAX_RUNS = 1_048_575
MAX_CELL_CHARS = 32_767
MAX_EXACT = 10**15
SHEETS = ("Runs", "Summary", "Agent Breakdown")
_TIME_FORMAT = "yyyy-mm-dd hh:mm:ss.000"
#: Excel counts days from here.
_FIRST_YEAR = 1900
#: What XML cannot hold, in any form.
_NOT_XML = re.compile("[\ud800-\udfff\ufffe\uffff]")
_WIDTHS = {Kind.TIME: 23, Kind.COUNT: 12, Kind.STATUS: 10}


class ExcelWriter:
    """
    Writes a workbook into a file that can be sought in.
    """

    def __init__(self, file: BinaryIO, order: Order) -> None:
        self._order = order
        # The library leaves its own files behind where it does not come to an end.
        self._scratch = tempfile.mkdtemp(prefix="telemetry-export-")
        Path(self._scratch).chmod(0o700)  # what a umask left of it
        self._book = xlsxwriter.Workbook(
            file,
            {
                "constant_memory": True,
                "tmpdir": self._scratch,
                "strings_to_formulas": False,
                "strings_to_urls": False,
                "strings_to_numbers": False,
            },
        )
        self._bold = self._book.add_format({"bold": True})
        self._time = self._book.add_format({"num_format": _TIME_FORMAT})
        self._share = self._book.add_format({"num_format": "0.0%"})
        self._sheets = {name: self._book.add_worksheet(name) for name in SHEETS}
        self._times = [COLUMNS[name].kind is Kind.TIME for name in order.columns]
        self._row = 0
        widths = [_WIDTHS.get(COLUMNS[name].kind, 24) for name in order.columns]
        self._head(SHEETS[0], order.columns, widths)

    def write(self, batch: Sequence[Row], /) -> None:
        """
        Write some runs.

        Raises:
            UsageError: There are more of them than a sheet has rows.
        """
        for row in batch:
            self._row += 1
            if self._row > MAX_RUNS:
                raise UsageError(
                    f"a sheet must have at most {MAX_RUNS:,} runs (got more);"
                    " narrow it with a filter or --limit, or export csv or parquet"
                )
            for column, value in enumerate(row):
                if value is not None:
                    self._cell(column, value)

    def _cell(self, column: int, value: Any) -> None:
        """
        Write a value into the present row: a time as one, where it can be read.
        """
        sheet = self._sheets[SHEETS[0]]
        moment = _moment(value) if self._times[column] and isinstance(value, str) else None
        if moment is not None:
            sheet.write_datetime(self._row, column, moment, self._time)
        elif isinstance(value, str):
            sheet.write_string(self._row, column, _text(value))
        else:
            self._number(sheet, column, value)

    def finish(self, snapshot: Snapshot, /) -> None:
        """
        Write the other sheets, and the file.

        Raises:
            OSError: The file cannot be written.
        """
        selection = self._order.selection
        self._summary(snapshot.totals(selection))
        self._breakdown(snapshot.totals_by_agent(selection))
        try:
            self._book.close()
        except XlsxWriterException as error:
            cause = error.args[0] if error.args else error
            raise OSError(str(cause)) from error
        shutil.rmtree(self._scratch, ignore_errors=True)

    def abandon(self) -> None:
        """
        Remove what was written on the way.
        """
        for sheet in self._sheets.values():
            with suppress(OSError, AttributeError):
                sheet._opt_close()  # noqa: SLF001 (else its file stays open until the program ends)
        self._book.fileclosed = True
        shutil.rmtree(self._scratch, ignore_errors=True)

    def _number(self, sheet: Any, column: int, value: float) -> None:
        if abs(value) < MAX_EXACT:
            sheet.write_number(self._row, column, value)
        else:
            sheet.write_string(self._row, column, str(value))

    def _head(self, name: str, titles: Iterable[str], widths: Sequence[int]) -> None:
        sheet = self._sheets[name]
        for column, width in enumerate(widths):
            sheet.set_column(column, column, width)
        sheet.freeze_panes(1, 0)
        for column, title in enumerate(titles):
            sheet.write_string(0, column, title, self._bold)

    def _summary(self, totals: Row) -> None:
        self._head(SHEETS[1], ("What", "Value"), (24, 24))
        for row, (name, value) in enumerate(zip(TOTALS, totals), start=1):
            self._sheets[SHEETS[1]].write_string(row, 0, name)
            self._total(SHEETS[1], (row, 1), name, value)

    def _breakdown(self, agents: Iterable[Row]) -> None:
        self._head(SHEETS[2], ("agent_name", *TOTALS), (24, *[14] * len(TOTALS)))
        for row, (agent, *totals) in enumerate(agents, start=1):
            if row > MAX_RUNS:
                return
            self._sheets[SHEETS[2]].write_string(row, 0, _text(agent))
            for column, (name, value) in enumerate(zip(TOTALS, totals), start=1):
                self._total(SHEETS[2], (row, column), name, value)

    def _total(self, sheet: str, place: tuple[int, int], name: str, value: Any) -> None:
        written = self._sheets[sheet]
        if isinstance(value, str):
            moment = _moment(value)
            if moment is not None:
                written.write_datetime(*place, moment, self._time)
        elif value is not None:
            written.write_number(*place, value, self._share if name.endswith("_rate") else None)


def _text(value: str) -> str:
    return cut(_NOT_XML.sub("\ufffd", value), MAX_CELL_CHARS)


def _moment(value: str) -> datetime | None:
    """
    Return a stored time as Excel has it: UTC without a zone; None where it has no such day.
    """
    from datetime import datetime

    try:
        moment = msgspec.convert(value, datetime)
    except msgspec.ValidationError:
        return None
    return moment.replace(tzinfo=None) if moment.year >= _FIRST_YEAR else None

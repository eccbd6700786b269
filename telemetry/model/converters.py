"""
Runs as plain data, by cattrs.

For readers only: an agent's process, which merely writes, never imports this.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import cattrs
from cattrs.gen import make_dict_unstructure_fn, override

from telemetry.model.run import COLUMNS, Kind, Run, Status
from telemetry.model.values import time_text


def _make_converter() -> cattrs.Converter:
    converter = cattrs.Converter()
    converter.register_unstructure_hook(datetime, time_text)
    converter.register_unstructure_hook(Status, lambda status: status.value)
    json_columns: dict[str, Any] = {
        column.name: override(unstruct_hook=lambda value: value)
        for column in COLUMNS.values()
        if column.kind is Kind.JSON
    }
    converter.register_unstructure_hook(
        Run, make_dict_unstructure_fn(Run, converter, **json_columns)
    )
    return converter


_plain = _make_converter()


def run_to_plain(run: Run) -> dict[str, Any]:
    """
    Return a run as plain JSON data: times as text, JSON columns as objects, flags as booleans.

    Of a class that has more than `Run`, only the run's own fields.
    """
    plain: dict[str, Any] = _plain.unstructure(run, unstructure_as=Run)
    return plain

"""
The rules of a run's row once more, as plainly as they can be said: slow, and independent of the fold.
"""

from __future__ import annotations

import json

from telemetry.model.run import COLUMNS

#: Of a status, whoever says it: running is below every end, but where a person sets it.
STATUS_RANKS = {
    (0, True): 0,
    (1, True): 1,
    (0, False): 2,
    (1, False): 3,
    (2, True): 4,
    (2, False): 5,
}
END = ("end_time", "duration_ms", "error_summary", "error_details")
COMMIT = tuple(name for name in COLUMNS if name.startswith("git_commit_"))
UNSETTLED = ("status", "end_time", "duration_ms")
DERIVED = ("event_id", "run_id", "created_at", "updated_at")


def default_of(name):
    column = COLUMNS[name]
    value = "" if column.required else column.default
    return getattr(value, "value", int(value) if isinstance(value, bool) else value)


def claims_of(said):
    """
    Return what one line says: the class and the value by field, in the line's own order of ideas.
    """
    kind = said.get("change") or said["record_type"]
    fields = {name: said[name] for name in COLUMNS if name in said and name not in DERIVED}
    if kind == "edited":
        open_then = said.get("base_status") == "running" and said.get("force") is not True
        return {
            name: (
                0 if open_then and name in UNSETTLED else 2,
                default_of(name) if value is None else value,
            )
            for name, value in fields.items()
        }
    fields = {name: value for name, value in fields.items() if value is not None}
    if kind == "ended":
        fields = {**dict.fromkeys(END), **fields}
    if kind == "commit":
        fields = {**dict.fromkeys(COMMIT), **fields}
    return {name: (0 if kind == "inferred" else 1, value) for name, value in fields.items()}


def row_of(lines):
    """
    Return the row that a set of whole lines of one run gives; None where there is none.

    Args:
        lines: Lines of valid values; what does not fit a column has rules that are not said here.
    """
    records = [json.loads(line) for line in lines]
    runs = [said for said in records if said["record_type"] in ("run", "commit")]
    if not runs or any(said.get("change") == "deleted" for said in runs):
        return None
    row = {name: default_of(name) for name in COLUMNS}
    best = {}
    for said in runs:
        writer, _, number = said["id"].partition("-")
        for name, (rank, value) in claims_of(said).items():
            place = STATUS_RANKS[rank, value == "running"] if name == "status" else rank
            key = (place, said["timestamp"], writer, int(number))
            if key > best.get(name, ()):
                best[name] = key
                row[name] = json.dumps(value, separators=(",", ":")) if _is_json(value) else value
    starts = [said["timestamp"] for said in runs if said.get("change") in ("started", "recorded")]
    row["event_id"], row["run_id"] = runs[0]["event_id"], min(said["run_id"] for said in runs)
    row["created_at"] = min(starts or [said["timestamp"] for said in runs])
    row["updated_at"] = max(said["timestamp"] for said in runs)
    return row


def _is_json(value):
    return isinstance(value, (dict, list))

"""
What bodies and answers look like, as JSON Schema; everything about a run derives from its fields.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from telemetry.model.run import COLUMNS, MAX_INTEGER, Column, Kind
from telemetry.service.bodies import KEYS, PATCHABLE, POSTED, REQUIRED, SPELLINGS
from telemetry.service.routes.edits import COMMIT_FIELDS, COMMIT_REQUIRED
from telemetry.storage.queries import STATS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Schema = dict[str, Any]

#: Of a key: no slash, no backslash, no control characters, and not only blanks.
KEY_PATTERN = r"^[^/\\\x00-\x20\x7f][^/\\\x00-\x1f\x7f]*$"
_HASH_PATTERN = "^[0-9a-fA-F]{7,40}$"
#: Fields that a small example shows.
_EXAMPLE: Mapping[Kind, Any] = {
    Kind.TIME: "2026-11-22T05:13:00.000000Z",
    Kind.STATUS: "running",
    Kind.COUNT: 12,
    Kind.JSON: {"pages": 3},
    Kind.FLAG: False,
    Kind.TRIGGER: "cli",
    Kind.COMMIT_SOURCE: "manual",
}


def _value(column: Column) -> Schema:
    """
    Return what a column's value may be, where it has one.
    """
    if column.choices:
        return {"type": "string", "enum": list(column.choices)}
    plain: dict[Kind, Schema] = {
        Kind.COUNT: {"type": "integer", "format": "int64", "minimum": 0, "maximum": MAX_INTEGER},
        Kind.FLAG: {"type": "boolean"},
        Kind.TIME: {"type": "string", "format": "date-time"},
        Kind.JSON: {"type": "object", "additionalProperties": True},
    }
    return plain.get(column.kind, {"type": "string", "maxLength": column.max_length})


def _nullable(schema: Schema) -> Schema:
    # Two schemas, because many readers of a list of types forget the format beside it.
    value = {name: said for name, said in schema.items() if name != "description"}
    about = {name: schema[name] for name in schema.keys() - value.keys()}
    return {"anyOf": [value, {"type": "null"}], **about}


def _described(column: Column, schema: Schema) -> Schema:
    unit = f" In {column.unit}." if column.unit else ""
    return {**schema, "description": f"{column.doc}{unit}"}


def given(column: Column, *, is_required: bool = False, name: str = "") -> Schema:
    """
    Return what a column takes in a body.
    """
    schema = _value(column)
    if column.kind is Kind.STATUS:
        schema = {"type": "string", "enum": list(SPELLINGS)}
    if (name or column.name) in KEYS:
        schema = {**schema, "minLength": 1, "pattern": KEY_PATTERN}
    elif is_required and column.kind is Kind.TEXT:
        schema = {**schema, "minLength": 1, "pattern": r"\S"}
    return _described(column, schema)


def stored(column: Column) -> Schema:
    """
    Return what a column is in an answer.
    """
    schema = _value(column)
    if column.kind is Kind.JSON:
        # What another program wrote into the database may be anything.
        return _described(column, {})
    is_never_null = column.required or column.default is not None
    return _described(column, schema if is_never_null else _nullable(schema))


def _object(properties: Mapping[str, Schema], required: Iterable[str] = (), **more: Any) -> Schema:
    needed = {"required": list(required)} if required else {}
    return {"type": "object", "properties": dict(properties), **needed, **more}


def _array(name: str) -> Schema:
    return {"type": "array", "items": {"$ref": f"#/components/schemas/{name}"}}


def _all_of_it(**properties: Schema) -> Schema:
    return _object(properties, properties)


_TEXT: Schema = {"type": "string"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_TEXTS: Schema = {"type": "array", "items": _TEXT}
_COUNTS: Schema = {"type": "object", "additionalProperties": _COUNT}
_IGNORED = _array("Ignored")
_URL: Schema = {"anyOf": [{"type": "string", "format": "uri"}, {"type": "null"}]}


def schemas() -> dict[str, Schema]:
    """
    Return every schema by name.
    """
    parts = (_bodies, _runs, _taken, _changed, _shipped, _states, _problems)
    return {name: schema for part in parts for name, schema in part().items()}


def example_run() -> dict[str, Any]:
    """
    Return a run as a client would hand it over.
    """
    said = {name: _EXAMPLE.get(POSTED[name].kind, f"my-{name}") for name in REQUIRED}
    return {**said, "status": "success", "items_succeeded": 12, "metrics_json": {"pages": 3}}


def _bodies() -> dict[str, Schema]:
    posted = {
        name: given(column, is_required=True) if name in REQUIRED else _nullable_given(column)
        for name, column in POSTED.items()
    }
    patched = {
        name: given(column) if column.kind is Kind.STATUS else _nullable_given(column)
        for name, column in PATCHABLE.items()
    }
    commit = {
        name: given(column, name=name) if name in COMMIT_REQUIRED else _nullable_given(column)
        for name, column in COMMIT_FIELDS.items()
    }
    commit["commit_hash"] = {**commit["commit_hash"], "pattern": _HASH_PATTERN}
    return {
        "RunCreate": _object(posted, REQUIRED, example=example_run()),
        "RunUpdate": _object(
            patched, example={"status": "cancelled", "error_summary": None}, minProperties=1
        ),
        "CommitLink": _object(commit, COMMIT_REQUIRED),
        "Records": {"type": "string", "description": "Lines of a journal, as they stand there."},
    }


def _nullable_given(column: Column) -> Schema:
    return _nullable(given(column))


def _runs() -> dict[str, Schema]:
    columns = {name: stored(column) for name, column in COLUMNS.items()}
    run = {**columns, "commit_url": _URL, "repo_url": _URL}
    times = {"timestamp": {"type": "string", "format": "date-time"}}
    keys = dict.fromkeys(("id", *KEYS), _TEXT)
    return {
        "Run": _object(run, run),
        "Event": _all_of_it(**keys, event_type=_TEXT, **times, payload={}),
        "HistoryRecord": _all_of_it(**keys, change=_TEXT, **times, fields={"type": "object"}),
        "CommitUrl": _all_of_it(commit_url=_URL),
        "RepoUrl": _all_of_it(repo_url=_URL),
    }


def _taken() -> dict[str, Schema]:
    """
    Return the answers to runs that are handed over.
    """
    status = {"type": "string", "enum": ["created", "duplicate"]}
    item = {"status": {"type": "string", "enum": ["created", "duplicate", "error"]}}
    return {
        "Ignored": _all_of_it(field=_TEXT, did_you_mean={"type": ["string", "null"]}),
        "CreateResult": _object(
            {
                "status": status,
                "event_id": _TEXT,
                "run_id": _TEXT,
                "message": _TEXT,
                "outcome_taken": {"type": "boolean"},
                "differences": _TEXTS,
                "ignored": _IGNORED,
            },
            ("status", "event_id"),
        ),
        "BatchItem": _object(
            {
                **item,
                "event_id": {"type": ["string", "null"]},
                "message": _TEXT,
                "outcome_taken": {"type": "boolean"},
                "differences": _TEXTS,
                "ignored": _IGNORED,
                "detail": {},
            },
            ("status", "event_id"),
        ),
        "BatchResult": _all_of_it(
            inserted=_COUNT,
            duplicates=_COUNT,
            errors=_TEXTS,
            total=_COUNT,
            results=_array("BatchItem"),
        ),
    }


def _changed() -> dict[str, Schema]:
    """
    Return the answers to corrections of what is there.
    """
    return {
        "UpdateResult": _object(
            {
                "event_id": _TEXT,
                "updated": {"const": True},
                "fields_updated": _TEXTS,
                "ignored": _IGNORED,
            },
            ("event_id", "updated", "fields_updated"),
        ),
        "DeleteResult": _all_of_it(event_id=_TEXT, deleted={"const": True}),
        "CommitResult": _all_of_it(
            status={"const": "success"}, event_id=_TEXT, run_id=_TEXT, commit_hash=_TEXT
        ),
    }


def _shipped() -> dict[str, Schema]:
    """
    Return the answers to records of another machine's journal.
    """
    return {
        "Refusal": _all_of_it(id=_TEXT, slug=_TEXT, reason=_TEXT),
        "RecordsResult": _all_of_it(
            stored=_COUNT, duplicates=_COUNT, refused=_array("Refusal"), total=_COUNT
        ),
    }


def _states() -> dict[str, Schema]:
    database = {"db_path": _TEXT, "journal_mode": _TEXT, "synchronous": _TEXT}
    word = {"type": "string", "enum": ["ok", "failing"]}
    return {
        "Health": _all_of_it(status={"const": "ok"}, version=_TEXT, **database),
        "Alive": _all_of_it(status={"const": "ok"}),
        "Ready": _all_of_it(
            status={"type": "string", "enum": ["ready", "not ready"]},
            journal=word,
            database=word,
            lag_bytes={"type": ["integer", "null"]},
        ),
        "Metrics": _all_of_it(
            total_runs=_COUNT,
            agents=_COUNTS,
            recent_24h=_COUNT,
            statuses=_COUNTS,
            performance=_object(database),
        ),
        "Metadata": _all_of_it(agent_names=_TEXTS, job_types=_TEXTS, counts=_COUNTS),
        "StatsNames": _all_of_it(
            stats={"type": "array", "items": {"type": "string", "enum": list(STATS)}}
        ),
        "Stats": {"type": "object", "additionalProperties": True},
    }


def _problems() -> dict[str, Schema]:
    return {
        "FieldError": _all_of_it(field=_TEXT, rule=_TEXT, value=_TEXT, way_out=_TEXT),
        "Problem": _object(
            {
                "type": {"type": "string", "format": "uri"},
                "title": _TEXT,
                "status": {"type": "integer"},
                "detail": {
                    "anyOf": [_TEXT, {"type": "array", "items": {"type": "object"}}],
                },
                "errors": _array("FieldError"),
                "request_id": _TEXT,
                "instance": _TEXT,
            },
            ("type", "title", "status", "detail"),
        ),
    }

"""
Any one question in SQL, which can read and do nothing else.

The connection is opened read-only, an authorizer lets through what reads, and a time limit ends
what takes too long. Errors say what would have worked.
"""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import attrs

from telemetry.model.errors import UsageError
from telemetry.model.hints import did_you_mean
from telemetry.storage.looking import look_into
from telemetry.storage.sqlite import translated

if TYPE_CHECKING:
    from pathlib import Path

DEFAULT_TIMEOUT_S = 10.0
#: The limit is looked at once in so many steps of SQLite's machine.
_STEPS_BETWEEN_LOOKS = 10_000
#: Longest text or blob that a question may make up.
_MAX_VALUE_BYTES = 64 << 20
#: What asks a PRAGMA about the schema; any of them may have an argument.
_SCHEMA_PRAGMAS = frozenset(
    {
        "collation_list", "compile_options", "database_list", "foreign_key_list", "function_list",
        "index_info", "index_list", "index_xinfo", "module_list", "pragma_list", "table_info",
        "table_list", "table_xinfo",
    }
)  # fmt: skip
#: Answer with a value where they have no argument, and set it where they have one.
_VALUE_PRAGMAS = frozenset(
    {
        "application_id", "auto_vacuum", "cache_size", "data_version", "encoding",
        "foreign_keys", "freelist_count", "journal_mode", "page_count", "page_size",
        "query_only", "schema_version", "synchronous", "user_version", "wal_autocheckpoint",
    }
)  # fmt: skip
_FORBIDDEN_FUNCTIONS = frozenset({"load_extension", "fts3_tokenizer", "writefile", "edit"})

_OTHER_WAYS: Mapping[str, str] = {
    "insert": "record runs with the library, or bring them in with telemetry import",
    "replace": "record runs with the library, or bring them in with telemetry import",
    "update": "close runs with telemetry stale, or edit them through the service",
    "delete": "drop runs with telemetry retention",
    "create": "the schema is the library's; telemetry export takes rows elsewhere",
    "drop": "the schema is the library's; telemetry recover makes a database anew",
    "alter": "the schema is the library's; telemetry recover makes a database anew",
    "reindex": "telemetry recover makes a database anew",
    "attach": "ask another base directory with --base-dir, or merge it with telemetry import",
    "detach": "one question sees one database",
    "vacuum": "telemetry retention makes the file shrink",
    "begin": "each question is a transaction of its own",
    "savepoint": "each question is a transaction of its own",
    "pragma": "telemetry config shows the settings; a PRAGMA may be asked, not set",
}


class TimedOutError(UsageError):
    """
    A question took longer than it may.
    """


@attrs.frozen(kw_only=True)
class Answer:
    """
    What a question gave.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    #: Whether there are more rows than were asked for.
    has_more: bool


@attrs.frozen
class Step:
    """
    One step of the plan of a question.
    """

    id: int
    parent: int
    detail: str


def ask(
    db_path: Path,
    sql: str,
    values: Mapping[str, str] = {},
    *,
    limit: int,
    timeout_s: float = DEFAULT_TIMEOUT_S,
) -> Answer:
    """
    Return the rows of one statement that only reads.

    Args:
        values: Of the named parameters, ``:name`` in the statement.
        limit: At most so many rows; -1 for all.

    Raises:
        UsageError: The statement is none, writes, or names what there is not.
        UnicodeEncodeError: It is no text.
        TimedOutError: It took too long; the message says what would make it faster.
        TransientSinkError, MalformedDatabaseError: The database cannot be read.
    """
    with _prepared(db_path, sql, timeout_s) as connection:
        cursor = connection.execute(sql, dict(values))
        if cursor.description is None:
            raise UsageError("a statement must be a question (got one without an answer)")
        names = [column[0] for column in cursor.description]
        rows = cursor.fetchall() if limit < 0 else cursor.fetchmany(limit + 1)
    has_more = 0 <= limit < len(rows)
    return Answer(columns=names, rows=rows[:limit] if has_more else rows, has_more=has_more)


def explain(
    db_path: Path,
    sql: str,
    values: Mapping[str, str] = {},
) -> list[Step]:
    """
    Return the plan of a statement; nothing of it is run.

    Raises:
        UsageError: As `ask`.
    """
    with _prepared(db_path, sql, DEFAULT_TIMEOUT_S) as connection:
        return _plan(connection, sql, values)


def _plan(connection: sqlite3.Connection, sql: str, values: Mapping[str, str]) -> list[Step]:
    found = connection.execute(f"EXPLAIN QUERY PLAN {sql}", dict(values)).fetchall()
    return [Step(id_, parent, detail) for id_, parent, _, detail in found]


@contextmanager
def _prepared(db_path: Path, sql: str, timeout_s: float) -> Iterator[sqlite3.Connection]:
    """
    Give a connection that can only read, and raise its errors as what to do about them.
    """
    sql.encode()  # raises what it is; each Python's sqlite3 calls it by another name
    denied: list[str] = []
    deadline = time.monotonic() + timeout_s
    with translated(db_path), closing(look_into(db_path)) as connection:
        connection.execute("PRAGMA trusted_schema = OFF")
        if hasattr(connection, "setlimit"):
            connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _MAX_VALUE_BYTES)
        connection.set_authorizer(_authorizer(denied))
        connection.set_progress_handler(
            lambda: int(time.monotonic() > deadline), _STEPS_BETWEEN_LOOKS
        )
        try:
            yield connection
        except (sqlite3.Error, sqlite3.Warning) as error:
            connection.set_progress_handler(None, 0)
            # What is asked from here on is our own. Before Python 3.11 None forbids everything.
            connection.set_authorizer(lambda *_: sqlite3.SQLITE_OK)
            _explain_error(connection, sql, error, denied, timeout_s, deadline)
            raise


def _authorizer(denied: list[str]) -> Any:
    allowed = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_RECURSIVE}

    def authorize(action: int, first: Any, second: Any, *_: Any) -> int:
        if action in allowed:
            return sqlite3.SQLITE_OK
        if action == sqlite3.SQLITE_FUNCTION:
            if str(second).lower() not in _FORBIDDEN_FUNCTIONS:
                return sqlite3.SQLITE_OK
            denied.append(f"the function {second}")
        elif action == sqlite3.SQLITE_PRAGMA:
            name = str(first).lower()
            if name in _SCHEMA_PRAGMAS or (name in _VALUE_PRAGMAS and second is None):
                return sqlite3.SQLITE_OK
            denied.append(f"PRAGMA {first}")
        else:
            denied.append("a statement that writes")
        return sqlite3.SQLITE_DENY

    return authorize


def _explain_error(  # noqa: PLR0913, PLR0917 (what is known of a statement that failed)
    connection: sqlite3.Connection,
    sql: str,
    error: Exception,
    denied: Sequence[str],
    timeout_s: float,
    deadline: float,
) -> None:
    """
    Raise what a person can act on; return where the error is about the database itself.
    """
    text = str(error)
    if text == "interrupted":
        if time.monotonic() <= deadline:  # what ended it is Ctrl+C, which a callback cannot raise
            raise KeyboardInterrupt
        raise TimedOutError(
            f"a question must be answered within {timeout_s:g} s; {_faster(connection, sql)},"
            " or allow more with --timeout"
        ) from error
    if denied or "readonly" in text or "prohibited" in text or "not authorized" in text:
        what = denied[0] if denied else "a statement that writes"
        raise UsageError(f"a question must only read (got {what}); {_other_way(sql)}") from error
    if "one statement at a time" in text:
        raise UsageError("there must be one statement (got several); ask them in turn") from error
    unknown = re.match(r"no such (column|table|function): (.*)", text)
    if unknown:
        raise UsageError(_nearest(connection, sql, unknown[1], unknown[2])) from error
    if _is_about_the_statement(error, text):
        raise UsageError(f"the statement must be SQL that SQLite understands ({text})") from error


def _is_about_the_statement(error: Exception, text: str) -> bool:
    if isinstance(error, (sqlite3.ProgrammingError, sqlite3.Warning, sqlite3.DataError)):
        return True
    of_the_database = ("malformed", "not a database", "locked", "unable to open", "disk i/o")
    if not isinstance(error, sqlite3.OperationalError):
        return False
    return not any(words in text.lower() for words in of_the_database)


def _other_way(sql: str) -> str:
    words = re.findall(r"[a-z]+", re.sub(r"--.*|/\*.*?\*/", " ", sql.lower(), flags=re.DOTALL))
    known = (_OTHER_WAYS[word] for word in words if word in _OTHER_WAYS)
    return next(known, "it can be SELECT, WITH, VALUES, EXPLAIN or a PRAGMA that asks")


def _nearest(connection: sqlite3.Connection, sql: str, kind: str, name: str) -> str:
    tables = _tables(connection)
    if kind == "function":
        return f"a function must be one of SQLite's (got {name!r}); see PRAGMA function_list"
    if kind == "table":
        known = sorted(tables)
        hint = f"the tables are {', '.join(known)}"
    else:
        named = [columns for table, columns in tables.items() if table in sql.lower()]
        known = sorted({name for columns in named or tables.values() for name in columns})
        hint = "see PRAGMA table_info(agent_runs)"
    hint = did_you_mean(name.rpartition(".")[2], known, hint)
    return f"a {kind} must be one that exists (got {name!r}); {hint}"


def _tables(connection: sqlite3.Connection) -> dict[str, list[str]]:
    names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    sql = "SELECT name FROM pragma_table_info(?)"
    return {
        name: [column for (column,) in connection.execute(sql, (name,))]
        for (name,) in names
        if not name.startswith("sqlite_")
    }


def _faster(connection: sqlite3.Connection, sql: str) -> str:
    """
    Say which index would help a statement, by the tables that its plan reads whole.
    """
    try:
        plan = connection.execute(f"EXPLAIN QUERY PLAN {sql}").fetchall()
    except (sqlite3.Error, sqlite3.Warning):
        plan = []
    for step in plan:
        match = re.match(r"SCAN (?:TABLE )?(\w+)", step[3])
        table = _table_of(sql, match[1]) if match else ""
        columns = _indexed(connection, table)
        if columns:
            return (
                f"it reads all of {table}, so narrow it by a column that begins an index"
                f" ({', '.join(columns)})"
            )
    return "narrow it by a column that begins an index, --explain shows its plan"


def _table_of(sql: str, name: str) -> str:
    """
    Return the table that a name in a plan means, which may be an alias.
    """
    named = re.search(rf"\b(?:from|join|,)\s+(\w+)\s+(?:as\s+)?{name}\b", sql, re.IGNORECASE)
    return named[1] if named else name


def _indexed(connection: sqlite3.Connection, table: str) -> list[str]:
    """
    Return the columns that begin an index of a table.
    """
    sql = (
        "SELECT DISTINCT i.name FROM pragma_index_list(?) l, pragma_index_info(l.name) i"
        " WHERE i.seqno = 0 ORDER BY l.seq DESC"
    )
    return [name for (name,) in connection.execute(sql, (table,)) if name is not None]

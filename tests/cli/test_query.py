from __future__ import annotations

import csv
import io
import sys

import pytest

WRITES = [
    "DELETE FROM agent_runs",
    "UPDATE agent_runs SET status = 'failed'",
    "INSERT INTO agent_runs (event_id) VALUES ('x')",
    "DROP TABLE agent_runs",
    "CREATE TABLE extra (a)",
    "CREATE TEMP TABLE extra (a)",
    "ATTACH DATABASE 'elsewhere.sqlite' AS other",
    "VACUUM",
    "VACUUM INTO 'copy.sqlite'",
    "PRAGMA journal_mode = DELETE",
    "PRAGMA user_version(99)",
    "PRAGMA writable_schema = ON",
    "SELECT load_extension('evil')",
    "BEGIN",
    "WITH x AS (SELECT 1) DELETE FROM agent_runs",
    "EXPLAIN DELETE FROM agent_runs",
    "REINDEX",
    "ANALYZE",
]


def test_a_question_is_answered_in_a_table(recorded):
    """
    The answer is a table with the statement's own column names.
    """
    done = recorded.ask("query", "SELECT agent_name, count(*) AS n FROM agent_runs GROUP BY 1")

    assert done.stdout.splitlines()[0].split() == ["agent_name", "n"]
    assert ["importer", "2"] in [line.split() for line in done.stdout.splitlines()]
    assert (done.returncode, done.stderr) == (0, "")


def test_an_answer_in_json_has_each_column_once(recorded):
    """
    In JSON a row is an object; columns of one name are told apart, blobs are hexadecimal.
    """
    document = recorded.json("query", "SELECT 1 AS a, 'x' AS a, NULL AS b, x'00ff' AS c")

    assert document == {
        "columns": ["a", "a#2", "b", "c"],
        "rows": [{"a": 1, "a#2": "x", "b": None, "c": "x'00ff'"}],
        "has_more": False,
    }


def test_an_answer_in_csv_holds_no_formula(recorded):
    """
    --csv quotes what a spreadsheet would run, and leaves numbers alone; --raw leaves everything.
    """
    sql = "SELECT '=1+1' AS \"@h\", -5 AS n, 'a,b' AS t"

    assert recorded.ask("query", sql, "--csv").stdout == "'@h,n,t\n'=1+1,-5,\"a,b\"\n"
    rows = list(csv.reader(io.StringIO(recorded.ask("query", sql, "--csv", "--raw").stdout)))
    assert rows == [["@h", "n", "t"], ["=1+1", "-5", "a,b"]]


def test_hostile_text_does_not_reach_the_terminal(recorded):
    """
    Names of columns and values are shown with their control characters visible.
    """
    out = recorded.ask("query", 'SELECT agent_name AS "x\x1b[31m" FROM agent_runs').stdout

    assert "\x1b" not in out
    assert "evil\\x1b[31m" in out


def test_the_rows_are_limited(recorded):
    """
    No more rows than --limit are given, and that there are more is said.
    """
    done = recorded.ask("query", "SELECT run_id FROM agent_runs", "--limit", "2")

    assert len(done.stdout.splitlines()) == 3
    assert "the first 2 rows" in done.stderr
    assert recorded.json("query", "SELECT 1", "-n", "1")["has_more"] is False
    assert len(recorded.json("query", "SELECT 1 FROM agent_runs", "-n", "0")["rows"]) == 5


def test_an_infinity_is_a_word_in_json(recorded):
    """
    JSON has no number for it, and what reads the answer must not stumble.
    """
    answer = recorded.json("query", "SELECT 1e999 AS more, -1e999 AS less")

    assert answer["rows"] == [{"more": "Infinity", "less": "-Infinity"}]


def test_a_statement_from_nowhere_is_refused(recorded, monkeypatch):
    """
    Where standard input is closed there is nothing to read.
    """
    monkeypatch.setattr(sys, "stdin", None)

    done = recorded.ask("query", "-")

    assert done.returncode == 2
    assert "standard input must be open to read the statement from" in done.stderr


@pytest.mark.parametrize("sql", WRITES)
def test_nothing_can_be_written(recorded, sql):
    """
    What would change anything is refused as such, with the command that does it.
    """
    before = recorded.json("query", "SELECT count(*) AS n, max(updated_at) FROM agent_runs")
    done = recorded.ask("query", sql)

    assert done.returncode == 2
    assert "a question must only read" in done.stderr
    assert recorded.json("query", "SELECT count(*) AS n, max(updated_at) FROM agent_runs") == before


@pytest.mark.parametrize(
    ("sql", "way_out"),
    [
        ("DELETE FROM agent_runs", "telemetry retention"),
        ("UPDATE agent_runs SET status = 'x'", "telemetry stale"),
        ("insert into agent_runs (event_id) values (1)", "telemetry import"),
        ("ATTACH 'x' AS y", "--base-dir"),
        ("PRAGMA synchronous = OFF", "telemetry config"),
        ("SELECT stat FROM agent_runs", "did you mean 'status'?"),
        ("SELECT r.agentname FROM agent_runs r", "did you mean 'agent_name'?"),
        ("SELECT zzzzzz FROM agent_runs", "PRAGMA table_info(agent_runs)"),
        ("SELECT 1 FROM agent_run", "did you mean 'agent_runs'?"),
        ("SELECT 1 FROM qqq", "the tables are agent_runs"),
        ("SELECT median(1)", "PRAGMA function_list"),
        ("SELEC 1", "SQL that SQLite understands"),
        ("SELECT 1; SELECT 2", "ask them in turn"),
        ("SELECT :a", "SQL that SQLite understands"),
        ("  ; ", "there must be a statement"),
    ],
)
def test_an_error_names_the_way_out(recorded, sql, way_out):
    """
    A statement that cannot be answered is a usage error that says what would have worked.
    """
    done = recorded.ask("query", sql)

    assert done.returncode == 2
    assert way_out in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("sql", ["PRAGMA table_info(agent_runs)", "PRAGMA journal_mode"])
def test_a_pragma_may_be_asked(recorded, sql):
    """
    A PRAGMA that only reads is answered.
    """
    assert recorded.json("query", sql)["rows"]


def test_a_question_without_end_is_ended(recorded):
    """
    What takes longer than --timeout ends with 4, and says which index would help.
    """
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
    slow = f"SELECT count(*) FROM agent_runs a WHERE output_summary <> ({endless})"
    done = recorded.ask("query", slow, "--timeout", "0.05")

    assert done.returncode == 4
    assert "within 0.05 s; it reads all of agent_runs" in done.stderr
    assert "start_time" in done.stderr
    assert "--timeout" in recorded.ask("query", endless, "--timeout", "0.05").stderr


def test_parameters_are_bound(recorded):
    """
    --param gives a named value, whatever is in it; one without a name is refused.
    """
    sql = "SELECT :who AS who"

    assert recorded.json("query", sql, "-p", "who=x' OR 1=1 --")["rows"] == [
        {"who": "x' OR 1=1 --"}
    ]
    assert recorded.ask("query", sql, "-p", "who").returncode == 2


def test_a_plan_can_be_seen(recorded):
    """
    --explain shows how a statement would be answered, as lines or in JSON, and runs nothing of it.
    """
    sql = "SELECT * FROM agent_runs WHERE run_id = 'x'"
    plan = recorded.json("query", "--explain", sql)["plan"]

    assert "idx_runs_run_id" in recorded.ask("query", "--explain", sql).stdout
    assert plan[0]["parent"] == 0
    assert recorded.ask("query", "--explain", "DELETE FROM agent_runs").returncode == 2


def test_a_statement_may_come_from_standard_input(recorded):
    """
    A dash reads the statement from standard input; what ends it may be there.
    """
    done = recorded("query", "-", stdin=None, input="SELECT 41 + 1 AS answer;\n")

    assert done.stdout.split() == ["answer", "42"]


def test_a_database_that_is_not_there_is_said(telemetry):
    """
    Without a database there is nothing to ask: 3, and how to get one.
    """
    done = telemetry.ask("query", "SELECT 1")

    assert done.returncode == 3
    assert "telemetry init" in done.stderr

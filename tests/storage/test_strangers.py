"""
Databases that are not this release's to judge, to repair or to replace.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from telemetry.storage.ddl import DATABASE_VERSION
from telemetry.storage.strangers import stranger_at


@pytest.fixture
def make(db):
    """
    Make a database by some statements.
    """

    def execute(*statements):
        db.parent.mkdir()
        with closing(sqlite3.connect(db)) as connection:
            for statement in statements:
                connection.execute(statement)
            connection.commit()
        return db

    return execute


@pytest.mark.parametrize(
    ("statements", "what"),
    [
        ([f"PRAGMA user_version = {DATABASE_VERSION + 1}"], f"version {DATABASE_VERSION + 1}"),
        (["CREATE TABLE agent_runs (run_id TEXT)"], "one of the original system"),
        (["CREATE TABLE songs (title TEXT)"], "one of another application"),
    ],
)
def test_a_stranger_is_told_by_its_version_and_its_tables(make, statements, what):
    """
    The refusal names the file, whose it is and the way out.
    """
    db = make(*statements)
    stranger = stranger_at(db)

    assert stranger.what.startswith(what)
    assert stranger.refusal(db) == (
        f"the database {db} must be this library's (got {stranger.what}); {stranger.way_out}"
    )


@pytest.mark.parametrize(
    "statements",
    [
        [],
        [f"PRAGMA user_version = {DATABASE_VERSION}", "CREATE TABLE agent_runs (run_id TEXT)"],
        ["CREATE TABLE run_folds (event_id TEXT)", "CREATE TABLE agent_runs (run_id TEXT)"],
    ],
)
def test_ours_is_no_stranger(make, statements):
    """
    An empty database is ours, and so is one whose version or one whose tables say so.
    """
    assert stranger_at(make(*statements)) is None


def test_what_cannot_be_read_is_nobodys(db):
    """
    A file that is missing or no database is not taken for a stranger's.
    """
    assert stranger_at(db) is None
    db.parent.mkdir()
    db.write_bytes(b"no database at all" * 100)

    assert stranger_at(db) is None

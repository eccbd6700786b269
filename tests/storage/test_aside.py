import sqlite3

from telemetry.storage.aside import free_name, move_aside, swap_in
from telemetry.storage.sqlite import identity


def _database(path, value):
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE t (v)")
    connection.execute("INSERT INTO t VALUES (?)", (value,))
    connection.commit()
    connection.close()
    return path


def _value(path):
    connection = sqlite3.connect(path)
    try:
        return connection.execute("SELECT v FROM t").fetchone()[0]
    finally:
        connection.close()


def test_moves_the_sidecars_along(tmp_path):
    """
    The database can be opened where it went, with what its log still held.
    """
    path = tmp_path / "telemetry.sqlite"
    writer = sqlite3.connect(path, isolation_level=None)
    writer.execute("PRAGMA journal_mode = WAL")
    writer.execute("CREATE TABLE t (v)")
    writer.execute("INSERT INTO t VALUES ('in the log')")
    aside = move_aside(path, None)

    assert aside.name.startswith("telemetry.corrupted.")
    assert aside.suffix == ".sqlite"
    assert sorted(tmp_path.glob("telemetry.sqlite*")) == []
    assert _value(aside) == "in the log"
    writer.close()


def test_leaves_another_file_alone(tmp_path):
    """
    What somebody has put in the place meanwhile is not moved, and nothing is not either.
    """
    path = _database(tmp_path / "telemetry.sqlite", 1)
    device, inode = identity(path)

    assert move_aside(path, (device, inode + 1)) is None
    assert move_aside(tmp_path / "missing.sqlite", None) is None
    assert _value(path) == 1


def test_names_never_collide(tmp_path):
    """
    Two in one second have two names.
    """
    first = free_name(tmp_path / "telemetry.sqlite", "corrupted")
    first.touch()

    assert free_name(tmp_path / "telemetry.sqlite", "corrupted") != first


def test_swap_keeps_the_old_one(tmp_path):
    """
    After a swap the path names the new database, and the old one is beside it.
    """
    path = _database(tmp_path / "telemetry.sqlite", "old")
    aside = swap_in(path, _database(tmp_path / "new.sqlite", "new"))

    assert _value(path) == "new"
    assert _value(aside) == "old"
    assert not (tmp_path / "new.sqlite").exists()


def test_swap_into_an_empty_place(tmp_path):
    """
    There need not be an old one; a log that was left behind does not come to the new one.
    """
    path = tmp_path / "telemetry.sqlite"
    (tmp_path / "telemetry.sqlite-wal").write_bytes(b"left behind")

    assert swap_in(path, _database(tmp_path / "new.sqlite", "new")) is None
    assert _value(path) == "new"
    assert not (tmp_path / "telemetry.sqlite-wal").exists()


def test_swap_without_links(tmp_path, monkeypatch):
    """
    On a file system without links the old database is renamed.
    """

    def refuse(*_):
        raise OSError(1, "no links here")

    monkeypatch.setattr("os.link", refuse)
    path = _database(tmp_path / "telemetry.sqlite", "old")
    aside = swap_in(path, _database(tmp_path / "new.sqlite", "new"))

    assert (_value(path), _value(aside)) == ("new", "old")

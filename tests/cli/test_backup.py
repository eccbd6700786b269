from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest


@pytest.fixture
def copied(recorded, telemetry):
    """
    A base directory of its own with runs of every kind.
    """
    shutil.copytree(recorded.base, telemetry.base)
    return telemetry


@pytest.fixture
def backed_up(copied):
    """
    The same, with one backup.
    """
    assert copied.ask("backup", "create").returncode == 0
    return copied


def _rows(shell):
    return shell.json("runs", "--limit", "0")["runs"]


def _backups(shell):
    return shell.json("backup", "list")["backups"]


def test_create_list_verify(copied):
    """
    A backup is made, listed with its age, size, runs and state, and found whole.
    """
    done = copied.ask("backup", "create")
    assert done.returncode == 0, done.stderr
    assert "5 runs and is whole" in done.stdout
    (backup,) = _backups(copied)
    assert (backup["runs"], backup["state"], backup["problem"]) == (5, "verified", None)
    listed = copied.ask("backup", "list").stdout
    assert all(word in listed for word in (backup["id"], "verified", "RUNS", "AGE"))
    for args in ([], [backup["id"]], [backup["file"]], ["--all"]):
        assert copied.ask("backup", "verify", *args).returncode == 0


def test_no_backups_yet(copied):
    """
    An empty list says how to make one; verify and restore exit with 3.
    """
    assert "telemetry backup create" in copied.ask("backup", "list").stdout
    for args in (["verify"], ["restore", "--yes"], ["restore", "abcd", "--yes"]):
        done = copied.ask("backup", *args)
        assert done.returncode == 3
        assert "backup" in done.stderr


def test_a_base_that_is_missing_exits_with_3(telemetry):
    """
    Nothing is made by asking for the backups of a directory that does not exist.
    """
    for args in (["create"], ["list"], ["verify"], ["restore", "x", "--yes"], ["prune", "--yes"]):
        done = telemetry.ask("backup", *args)
        assert (args, done.returncode) == (args, 3), done.stderr
    assert not telemetry.base.exists()


def test_restore_brings_back_and_replays(backed_up):
    """
    After a restore every run is there, those recorded since the backup too; --dry-run only says so.
    """
    assert backed_up("run", "--agent", "later", "--", sys.executable, "-c", "").returncode == 0
    before = _rows(backed_up)
    assert len(before) == 6
    planned = backed_up.ask("backup", "restore", "--dry-run")
    assert planned.returncode == 0, planned.stderr
    assert "nothing was changed" in planned.stdout
    assert not list(backed_up.base.glob("db/*before_restore*"))
    done = backed_up.ask("backup", "restore", "--yes")

    assert done.returncode == 0, done.stderr
    assert "6 runs back in" in done.stdout
    assert _rows(backed_up) == before
    assert len(list(backed_up.base.glob("db/telemetry_before_restore_*.sqlite"))) == 1


def test_what_is_restored_is_as_the_doctor_expects(backed_up):
    """
    Nobody has to write first: the restored file has the PRAGMAs of a live one.
    """
    assert backed_up.ask("backup", "restore", "--yes").returncode == 0
    done = backed_up.ask("doctor", "--only", "pragmas", "--strict")

    assert done.returncode == 0, done.stdout


def test_restore_asks(backed_up):
    """
    Where nobody is at a terminal it must be said in words; nothing changes before.
    """
    for args in (["restore"], ["prune", "--keep", "0"]):
        backed_up.ask("backup", "create")
        done = backed_up.ask("backup", *args)
        assert done.returncode == 2
        assert "--yes" in done.stderr
    assert not list(backed_up.base.glob("db/*before_restore*"))
    assert len(_backups(backed_up)) == 3


def test_until_undoes_and_redo_brings_back(backed_up):
    """
    --until takes back what came later, makes a backup that knows it, and --redo lets it count.
    """
    (backup,) = _backups(backed_up)
    made = backup["created_at"]
    while datetime.now(timezone.utc) <= datetime.fromisoformat(made) + timedelta(seconds=1):
        time.sleep(0.01)  # the time of a backup has whole seconds, and what is undone is later
    assert backed_up("run", "--agent", "bad", "--", sys.executable, "-c", "").returncode == 0
    document = json.loads(
        backed_up.ask(
            "backup", "restore", "--until", made.replace("+00:00", ".999999Z"), "--yes", "--json"
        ).stdout
    )
    assert document["runs"] == 5
    assert document["changed_records"] > 0
    assert len(document["decisions"]) == 1
    assert len(_backups(backed_up)) == 2
    assert len(_rows(backed_up)) == 5
    assert backed_up.ask("recover", "--compare", "--check-only").returncode == 0
    assert backed_up.ask("backup", "restore", "--redo", "--yes").returncode == 0
    assert len(_rows(backed_up)) == 6


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (["restore", "../db/telemetry.sqlite", "--yes"], 2, "must lie in"),
        (["restore", "--edits-only", "--yes"], 2, "--until"),
        (["restore", "--redo", "--until", "1h", "--yes"], 2, "--until"),
        (["restore", "--until", "soonish"], 2, "must be a time"),
        (["verify", "nothing.sqlite"], 3, "nothing.sqlite"),
        (["prune", "--keep", "-1"], 2, "--keep"),
    ],
)
def test_what_is_refused(backed_up, args, code, words):
    """
    What may not be done says the rule and the way out, by its exit code.
    """
    done = backed_up.ask("backup", *args)

    assert (done.returncode, words in done.stderr) == (code, True), done.stderr


def test_what_cannot_be_restored(backed_up, tmp_path):
    """
    Damage exits with 5, a newer release's with 4, a link with 2; the database stays as it was.
    """
    (backup,) = _backups(backed_up)
    before = _rows(backed_up)
    rubbish = tmp_path / "rubbish.sqlite"
    rubbish.write_bytes(b"no database" * 1000)
    cut = tmp_path / "cut.sqlite"
    cut.write_bytes(Path(backup["file"]).read_bytes()[:20_000])
    future = tmp_path / "future.sqlite"
    shutil.copy(backup["file"], future)
    code = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('PRAGMA user_version = 999')"
    subprocess.run([sys.executable, "-c", code, str(future)], check=True)
    link = tmp_path / "link.sqlite"
    link.symlink_to(backup["file"])

    for path, expected in ((rubbish, 5), (cut, 5), (future, 4), (link, 2)):
        done = backed_up.ask("backup", "restore", path, "--anywhere", "--yes")
        assert (path.name, done.returncode) == (path.name, expected), done.stderr
        assert "Traceback" not in done.stderr
    assert _rows(backed_up) == before
    assert not list(backed_up.base.glob("db/*before_restore*"))


def test_verify_remembers_damage(backed_up):
    """
    A backup that was found damaged is listed so, and is not chosen.
    """
    (backup,) = _backups(backed_up)
    with Path(backup["file"]).open("r+b") as file:
        file.truncate(20_000)
    assert _backups(backed_up)[0]["state"] != "verified"
    assert backed_up.ask("backup", "verify", "--all").returncode == 5
    assert _backups(backed_up)[0]["state"] == "damaged"
    assert backed_up.ask("backup", "restore", "--yes").returncode == 3


def test_prune_keeps_the_newest_verified(backed_up):
    """
    --dry-run removes nothing; --keep 0 leaves the newest that is whole.
    """
    for _ in range(2):
        backed_up.ask("backup", "create")
    before = _backups(backed_up)
    assert len(before) == 3
    would = backed_up.json("backup", "prune", "--keep", "0", "--dry-run")
    assert len(would["would_remove"]) == 2
    assert _backups(backed_up) == before
    assert backed_up.ask("backup", "prune", "--yes").returncode == 0
    assert _backups(backed_up) == before
    assert backed_up.ask("backup", "prune", "--keep", "0", "--yes").returncode == 0
    assert _backups(backed_up) == before[:1]


def test_a_damaged_database_is_not_backed_up(backed_up):
    """
    Exit 5, the way out, and the backups stay.
    """
    code = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None);"
        "c.execute('DELETE FROM run_folds')"
    )
    path = backed_up.base / "db" / "telemetry.sqlite"
    subprocess.run([sys.executable, "-c", code, str(path)], check=True)
    done = backed_up.ask("backup", "create")

    assert done.returncode == 5
    assert "telemetry recover" in done.stderr
    assert len(_backups(backed_up)) == 1


def test_two_operators_at_once(backed_up):
    """
    The second waits, then exits with 4 and says who holds what.
    """
    code = (
        "import sys; from pathlib import Path; from telemetry.runtime.locks import RecordLock\n"
        "assert RecordLock(Path(sys.argv[1])).try_acquire(); print('up', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(backed_up.base / "state" / "maintenance.lock")],
        env=backed_up.env(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as holder:
        holder.stdout.readline()
        for args in (["backup", "create"], ["backup", "restore", "--yes"], ["recover", "--force"]):
            done = backed_up.ask(*args, "--wait", "0.1")
            assert (args, done.returncode) == (args, 4), done.stderr
            assert "one operator at a time" in done.stderr
        holder.kill()
    assert backed_up.ask("backup", "create").returncode == 0


@pytest.mark.skipif(sys.platform == "win32", reason="limits of files are POSIX's")
@pytest.mark.parametrize("args", [["create"], ["restore", "--yes"]])
def test_no_room_in_the_middle(backed_up, args):
    """
    A disk that fills up exits with 4, and the database and the backups are as they were.
    """
    before, backups = _rows(backed_up), _backups(backed_up)
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (50000, 50000));"
        "from telemetry.cli.main import main; main(sys.argv[1:])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "backup", *args],
        env=backed_up.env(),
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 4, done.stderr
    assert "Traceback" not in done.stderr
    assert _rows(backed_up) == before
    assert _backups(backed_up) == backups
    assert not list(backed_up.base.glob("db/*re*.2*"))
    assert not list(backed_up.base.glob("backups/.telemetry*"))


def test_the_way_back_leads_to_the_same_base_directory(copied):
    """
    The command that is shown names the base directory that the line named.
    """
    done = copied.ask("backup", "create")
    named = copied.ask("backup", "create", "--base-dir", str(copied.base))

    assert "--base-dir" not in done.stdout
    assert f" --base-dir {copied.base} --yes" in named.stdout

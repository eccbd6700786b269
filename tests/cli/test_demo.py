from __future__ import annotations

import json
import subprocess

import pytest

from telemetry.cli.demonstration.reading import Counts, read_file
from telemetry.cli.demonstration.sampling import TOP, choose


@pytest.fixture
def folder(tmp_path):
    """
    A folder with files that can be read, and one of each kind that cannot.
    """
    root = tmp_path / "folder"
    for name, content in {
        "top.py": b"import os\ndef f():\n    class A: pass\n",
        "good/one.py": b"async def g(): pass\n",
        "good/deep/two.txt": b"zwei\nZeilen\n",
        "bad/broken.py": b"def (:\n",
        "bad/latin.txt": b"caf\xe9\n",
        "bad/\x1b[31mred.py": b"x = (\n",
        "pictures/image.png": b"\x89PNG\0\0",
        ".hidden/secret.py": b"1",
        "__pycache__/left.py": b"1",
    }.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root


def test_the_demo_records_honest_work(telemetry, folder):
    """
    Each top folder is a run, real failures are failures, and the killed child's events are all there.
    """
    done = telemetry("demo", folder, "--json")
    document = json.loads(done.stdout)
    runs = {run["item_name"] or run["agent_name"]: run for run in document["runs"]}

    assert done.returncode == 0
    assert {name: run["status"] for name, run in runs.items()} == {
        "code-reader": "partial",
        TOP: "success",
        "bad": "failed",
        "good": "success",
        "pictures": "success",
        "file-hasher": "failed",
    }
    assert document["counts"] == {"lines": 6, "functions": 2, "classes": 1, "imports": 1}
    assert {failure["file"] for failure in document["failures"]} == {
        "bad/broken.py",
        "bad/latin.txt",
        "bad/\x1b[31mred.py",
    }
    assert runs["code-reader"]["items_discovered"] == 7
    assert runs["pictures"]["items_skipped"] == 1
    assert document["killed"]["acknowledged_count"] >= 25
    assert document["killed"]["events_kept"] >= document["killed"]["acknowledged_count"]
    assert runs["file-hasher"]["error_summary"].startswith("OwnerDied")
    assert runs["file-hasher"]["parent_run_id"] == runs["code-reader"]["run_id"]


def test_the_demo_shows_what_it_did_and_what_to_do_next(telemetry, folder):
    """
    The page names the dead, the failures, the files and three commands that work as printed.
    """
    page = telemetry("demo", folder).stdout
    commands = [line.split("  ")[1] for line in page[page.index("Next") :].splitlines()[1:4]]

    assert "† dead" in page
    assert "3 files failed" in page
    assert "\\x1b[31mred.py" in page
    assert "none is lost" in page
    assert str(telemetry.base / "db" / "telemetry.sqlite") in page
    assert len(commands) == 3
    for words in commands:
        again = subprocess.run(
            telemetry.command(*words.partition("telemetry ")[2].split()),
            env=telemetry.env(),
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=60,
            check=False,
        )
        assert again.returncode == 0, again.stderr
        assert "code-reader" in again.stdout or " -- " in words


def test_a_folder_without_failures_is_said_to_have_none(telemetry, tmp_path):
    """
    Nothing is made to fail where nothing does.
    """
    (tmp_path / "fine").mkdir()
    (tmp_path / "fine" / "a.py").write_text("x = 1\n")
    page = telemetry("demo", tmp_path / "fine").stdout

    assert "No file failed" in page
    assert "✓ success" in page


def test_an_empty_folder_exits_with_3(telemetry, tmp_path):
    """
    There must be something to read.
    """
    (tmp_path / "empty").mkdir()
    done = telemetry("demo", tmp_path / "empty")

    assert done.returncode == 3
    assert "must hold files to read" in done.stderr


def test_a_sample_takes_some_of_every_directory(folder):
    """
    A sample smaller than the folder has the first file of each directory first.
    """
    sample = choose(folder, 4)

    assert sample.seen_count == 7
    assert sample.chosen_count == 4
    assert list(sample.folders) == [TOP, "bad", "good"]
    assert choose(folder, 100).chosen_count == 7


def test_counts_add_up():
    """
    The counts of two files are the sum of each.
    """
    assert Counts(1, 2, 3, 4) + Counts(10, 20, 30, 40) == Counts(11, 22, 33, 44)


@pytest.mark.parametrize(
    ("name", "content", "error"),
    [
        ("a.py", b"def", SyntaxError),
        ("a.py", b"# -*- coding: nonsense -*-\n", SyntaxError),
        ("a.py", b"(" * 100_000, (SyntaxError, MemoryError, RecursionError)),
        ("a.txt", b"\xff", UnicodeDecodeError),
    ],
)
def test_files_that_cannot_be_read_raise(tmp_path, name, content, error):
    """
    What does not parse or decode is one of the errors that the agent expects.
    """
    (tmp_path / name).write_bytes(content)

    with pytest.raises(error):
        read_file(tmp_path / name)

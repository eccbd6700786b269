from __future__ import annotations

import pytest

from telemetry.config.tomlfiles import MAX_FILE_BYTES, read_table, read_toml
from telemetry.model.errors import UsageError


@pytest.mark.parametrize("text", ["[health]\nidle_warn = '2h'\n", "idle_warn = '2h'\n"])
def test_the_head_of_the_table_may_be_left_out(tmp_path, text):
    """
    A file for one purpose needs no table; one for several has one for each.
    """
    path = tmp_path / "rules.toml"
    path.write_text(text)

    assert read_table(path, "health") == {"idle_warn": "2h"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"= 5", "must be TOML"),
        (b"a = '\xff'", "must be TOML"),
        (b"#" * (MAX_FILE_BYTES + 1), "must have at most"),
        (b"health = 5", r"must have a table \[health\] \(got 5\)"),
    ],
)
def test_what_is_no_such_file_is_named(tmp_path, content, message):
    """
    A file that cannot be used is a UsageError with its path.
    """
    path = tmp_path / "rules.toml"
    path.write_bytes(content)

    with pytest.raises(UsageError, match=message) as caught:
        read_table(path, "health")
    assert str(path) in str(caught.value)


def test_a_file_of_the_greatest_length_is_read(tmp_path):
    """
    The bound is the last length that is taken.
    """
    path = tmp_path / "rules.toml"
    path.write_bytes(b"a = 1\n#" + b"#" * (MAX_FILE_BYTES - 7))

    assert read_toml(path) == {"a": 1}


def test_a_file_that_is_not_there_is_an_os_error(tmp_path):
    """
    Whoever asked says what that means.
    """
    with pytest.raises(FileNotFoundError):
        read_toml(tmp_path / "rules.toml")

"""
The rules of settings: what each takes, in which form, and what it refuses.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from telemetry.config import Secret, TelemetryConfig
from telemetry.config.rules import (
    Choice,
    Flag,
    Integer,
    Names,
    Number,
    PartlyRefusedError,
    Password,
    Patterns,
    Place,
    Text,
    Url,
    masked_url,
)
from telemetry.model.errors import SettingsError

DEEP = "[" * 200_000


@pytest.mark.parametrize(
    ("rule", "value", "expected"),
    [
        (Integer(), "12", 12),
        (Integer(), "1_000", 1000),
        (Integer(-5), -5, -5),
        (Number(), "1e3", 1000.0),
        (Number(None), -1, -1.0),
        (Flag(), "On", True),
        (Flag(), "N", False),
        (Choice("a", "B"), "b", "B"),
        (Text(3), "äöü", "äöü"),
        (Url(), "HTTP://h:80/p/", "HTTP://h:80/p"),
        (Password(), Secret("x"), Secret("x")),
        (Names(), "a, b,,a", ("a", "b")),
        (Names(), '["a,b", "c"]', ("a,b", "c")),
        (Names(), ["a"], ("a",)),
        (Names(), "", ()),
        (Patterns(), "[a-z]+,x", ("[a-z]+", "x")),
        (Patterns(), '["a{1,3}"]', ("a{1,3}",)),
        (Patterns(), ("x",), ("x",)),
    ],
)
def test_a_value_is_taken_in_each_of_its_forms(rule, value, expected):
    """
    Text from the environment and values from a program end as the same.
    """
    assert rule.parse(value) == expected
    assert rule.parse(rule.parse(value)) == expected


@pytest.mark.parametrize(
    ("rule", "value"),
    [
        (Integer(), True),
        (Integer(), 1.0),
        (Integer(), "1.0"),
        (Integer(1, 5), "6"),
        pytest.param(Integer(), "9" * 5000, id="digits"),
        (Number(), True),
        (Number(), "nan"),
        (Number(), "inf"),
        pytest.param(Number(), 10**400, id="huge"),
        (Number(), -0.1),
        (Number(), None),
        (Flag(), "maybe"),
        (Flag(), 1),
        (Choice("a"), 7),
        (Text(3), "four"),
        (Text(), "two\nlines"),
        (Text(), b"x"),
        (Url(), "h"),
        (Url(), "http://"),
        (Url(), "http://h:x"),
        (Url(), "http://h/a b"),
        (Url(), "http://[::"),
        (Password(), "a b"),
        (Password(), "ä"),
        (Password(), 7),
        (Names(), [1]),
        (Names(), 7),
        (Names(), "[1"),
        pytest.param(Names(), DEEP, id="deep names"),
        (Names(), "[[1]]"),
        (Patterns(), "("),
        (Patterns(), "[["),
        pytest.param(Patterns(), "x" * 513, id="long"),
        (Patterns(), "a{99999999999}"),
        pytest.param(Patterns(), DEEP, id="deep patterns"),
        (Place(), 7),
        (Place(), b"/x"),
        pytest.param(Place(), "/" + "x" * 256, id="long part"),
    ],
)
def test_anything_else_is_a_value_error(rule, value):
    """
    Whoever asks has one error to expect.
    """
    with pytest.raises(ValueError):
        rule.parse(value)


@pytest.mark.parametrize(
    ("rule", "value", "shown"),
    [
        (Integer(), 5, "5"),
        (Integer(), None, ""),
        (Number(), 2.0, "2"),
        (Number(), 0.1, "0.1"),
        (Number(), None, ""),
        (Flag(), True, "true"),
        (Choice("a"), "a", "a"),
        (Text(), None, ""),
        (Url(), "http://u:p@h/x?token=1", "http://********@h/x?"),
        (Url(), None, ""),
        (Password(), Secret("x"), "********"),
        (Password(), Secret(), ""),
        (Names(), ("a", "b"), "a,b"),
        (Names(), ("a,b",), '["a,b"]'),
        (Place(), Path("/x"), str(Path("/x"))),
    ],
)
def test_a_value_is_shown_as_it_can_be_set(rule, value, shown):
    """
    What `telemetry config` prints can be copied into an environment, but for secrets.
    """
    assert rule.show(value) == shown


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("https://h/p", "https://h/p"),
        ("https://user:pa@ss@h/p", "https://********@h/p"),
        ("user:pass@h", "********@h"),
        ("https://h/?a=1&b=2", "https://h/?"),
        ("https://h/@name", "https://h/@name"),
        ("https://h/p#token=1", "https://h/p#"),
    ],
)
def test_a_url_is_masked_where_secrets_stand(url, masked):
    """
    User, password and query are never shown.
    """
    assert masked_url(url) == masked


@pytest.mark.skipif(os.name == "nt", reason="a current directory cannot be removed there")
def test_a_relative_path_needs_a_current_directory(tmp_path, monkeypatch):
    """
    Where the process stands in a directory that is gone, a relative path is refused.
    """
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()

    config = TelemetryConfig.from_env({"TELEMETRY_BASE_DIR": "data"})

    assert len(config.problems) == 1
    assert config.base_dir.is_absolute()


@pytest.mark.parametrize("value", [7, None, "s3://x"])
def test_a_base_directory_that_is_no_path_is_a_settings_error(value):
    """
    The constructor says which setting it is.
    """
    with pytest.raises(SettingsError, match="base_dir must be a path") as caught:
        TelemetryConfig(base_dir=value)

    assert caught.value.setting == "base_dir"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        pytest.param(10**5000, "a very large integer", id="huge"),
        pytest.param("x" * 10_000, "'xxxxx", id="long"),
        ([1], "a list"),
        (b"x", "b'x'"),
        ("http://u:secr?e/t@h", "'********@h'"),
    ],
)
def test_a_refused_value_is_shown_short(value, shown, tmp_path):
    """
    A line about a value is a line, whatever the value is.
    """
    config = TelemetryConfig.from_env({}, base_dir=tmp_path, batch_size=value)

    (line,) = config.problems
    assert f"(got {shown}" in line
    assert len(line) < 250


def test_patterns_of_unbounded_cost_are_left_out():
    """
    A pattern that could take for ever, or matches nothing at all, is refused, and the others stay.
    """
    with pytest.raises(PartlyRefusedError, match="at most 2 open repetitions") as caught:
        Patterns().parse(["EMP-[0-9]+", "(a+)+b", "x*", "BADGE-[0-9]+"])

    assert caught.value.kept == ("EMP-[0-9]+", "BADGE-[0-9]+")

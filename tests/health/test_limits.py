"""
Limits: read as people write them, refused with the way out.
"""

from __future__ import annotations

import attrs
import pytest

from telemetry.health.limits import Limits, limits_from, parse, said_in
from telemetry.model.errors import UsageError


@pytest.mark.parametrize(
    ("name", "written", "meant"),
    [
        ("free_warn", "5GB", 5 << 30),
        ("free_warn", "1.5 kb", 1536),
        ("free_warn", 1024, 1024),
        ("idle_warn", "2h", 7200),
        ("idle_warn", "90", 90),
        ("failure_rate_warn", "5%", 0.05),
        ("failure_rate_warn", 0.25, 0.25),
        ("stale_warn", "3", 3),
        ("size_fail", "off", None),
        ("size_fail", "OFF", None),
    ],
)
def test_a_limit_is_read_in_its_units(name, written, meant):
    """
    A number with a unit of its kind, or off.
    """
    assert parse(name, written) == pytest.approx(meant)


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("free_warn", "5h"),
        ("free_warn", "-1"),
        ("free_warn", True),
        ("idle_warn", "soon"),
        ("stale_warn", "5%"),
        ("failure_rate_warn", ""),
        ("failure_rate_warn", [1]),
        ("free_warn", "nan"),
    ],
)
def test_nonsense_is_refused_with_an_example(name, written):
    """
    The message names the limit, what it may be, and what was said.
    """
    with pytest.raises(UsageError, match=rf"the limit {name} must be .* or off \(got "):
        parse(name, written)


def test_an_unknown_limit_is_refused_with_the_nearest():
    """
    A misspelt key does not silently leave the default.
    """
    with pytest.raises(UsageError, match="did you mean 'free_warn'"):
        limits_from({"free_warm": "1GB"})
    with pytest.raises(UsageError, match="--help"):
        limits_from({"entirely": 1})


def test_a_later_saying_wins():
    """
    The line goes before the file, both before the defaults.
    """
    limits = limits_from({"size_warn": "1GB", "stale_warn": 5}, {"size_warn": "2GB"})

    assert limits == attrs.evolve(Limits(), size_warn=float(2 << 30), stale_warn=5.0)


@pytest.mark.parametrize("head", ["[health]\n", ""])
def test_a_file_sets_limits(tmp_path, head):
    """
    With the table's name or without it.
    """
    path = tmp_path / "limits.toml"
    path.write_text(head + 'free_fail = "2GB"\nstale_warn = 4\n')

    assert limits_from(said_in(path)) == attrs.evolve(
        Limits(), free_fail=float(2 << 30), stale_warn=4.0
    )


@pytest.mark.parametrize("text", ["not = = toml", "health = 3", "\0", "x = 1\n" * 200_000])
def test_a_file_that_is_none_is_refused(tmp_path, text):
    """
    A file that is no TOML, has no table, or is huge.
    """
    path = tmp_path / "limits.toml"
    path.write_text(text)

    with pytest.raises(UsageError, match="the file"):
        said_in(path)

"""
What was probably meant by a name that does not exist.
"""

from __future__ import annotations

import pytest

from telemetry.model.hints import did_you_mean, nearest

KNOWN = ("agent_name", "status", "job_type")


@pytest.mark.parametrize(
    ("name", "expected"),
    [("statuss", "status"), ("AGENT", "agent_name"), ("colour", ""), ("", "")],
)
def test_nearest(name, expected):
    """
    A slip of the hand or of the case finds the name that was meant; another word finds none.
    """
    assert nearest(name, KNOWN) == expected


def test_of_a_long_name_the_beginning_counts():
    """
    What follows the first hundred characters is not compared.
    """
    known = "n" * 100

    assert nearest(known + "x" * 1_000_000, [known]) == known


def test_did_you_mean():
    """
    The question is asked where a name is near, else the other way out is named.
    """
    assert did_you_mean("statuss", KNOWN, "leave it out") == "did you mean 'status'?"
    assert did_you_mean("colour", KNOWN, "leave it out") == "leave it out"

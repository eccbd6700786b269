"""
Secret: shown to `reveal` only.
"""

from __future__ import annotations

import copy
import json
import pickle

import pytest

from telemetry.config import Secret

CANARY = "canary-7f3a"


@pytest.mark.parametrize(
    "show",
    [
        str,
        repr,
        "{}".format,
        "{!r}".format,
        "{:>40}".format,
        "%s".__mod__,
        "%r".__mod__,
        lambda secret: json.dumps({"token": secret}, default=str),
        lambda secret: repr({"token": [secret]}),
        lambda secret: pickle.dumps(secret).decode("latin-1"),
    ],
)
def test_no_way_of_printing_shows_it(show):
    """
    Whatever is done to it but `reveal`, the value stays inside.
    """
    shown = show(Secret(CANARY))

    assert shown
    assert CANARY not in shown


def test_reveal_returns_the_value():
    """
    The one way out is spelt out where it is used.
    """
    assert Secret(CANARY).reveal() == CANARY


def test_a_pickled_copy_is_empty():
    """
    A secret does not travel to another process by accident.
    """
    assert pickle.loads(pickle.dumps(Secret(CANARY))).reveal() == ""
    assert copy.deepcopy(Secret(CANARY)) == Secret()


def test_it_is_true_when_there_is_one():
    """
    An empty secret is none.
    """
    assert Secret("x")
    assert not Secret()
    assert str(Secret()) == ""


def test_equality_is_by_value_and_only_among_secrets():
    """
    A secret never equals a plain text, so that comparing one by mistake is noticed.
    """
    assert Secret("é\udc80") == Secret("é\udc80")
    assert Secret("x") != Secret("y")
    assert Secret("x") != "x"
    assert len({Secret("x"), Secret("x"), Secret("y")}) == 2

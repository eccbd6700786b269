"""
Runs by a part of their ids.
"""

from __future__ import annotations

import uuid

import pytest

RUNS = "/api/v1/runs"


@pytest.fixture
def named(api, new):
    """
    Hand over a run with ids that no other one has, and return them.
    """

    def make(**fields):
        mark = uuid.uuid4().hex
        run = new(event_id=f"e{mark}", run_id=f"r{mark[::-1]}", **fields)
        assert api.post(RUNS, json=run).status_code == 201
        return run["event_id"], run["run_id"]

    return make


def keys(api, part, **more):
    answer = api.get(RUNS, params={"id": part, **more})
    assert answer.status_code == 200, answer.text
    return [run["event_id"] for run in answer.json()]


def test_either_end_of_either_id_finds_a_run(api, named):
    """
    The whole id does, too; a part from its middle does not.
    """
    event_id, run_id = named()

    for part in (event_id, run_id, event_id[:12], run_id[:12], event_id[-12:], run_id[-12:]):
        assert keys(api, part) == [event_id]
    assert keys(api, event_id[3:15]) == []


def test_other_conditions_hold_as_well(api, named):
    """
    And an order, and pages.
    """
    mark = uuid.uuid4().hex
    made = [named(status="failed")[0], named()[0]]
    assert keys(api, made[0], status="failed") == made[:1]
    assert keys(api, made[1], status="failed") == []
    assert keys(api, mark) == []


@pytest.mark.parametrize("part", ["%", "_", "\\", "%25%", "' OR 1=1 --", "\0", "x" * 300, "ü"])
def test_no_sign_means_anything(api, named, part):
    """
    What would be a pattern is a text like any other.
    """
    named()

    assert keys(api, part) == []


def test_an_empty_part_is_no_condition(api, named):
    """
    As with every other parameter.
    """
    named()

    assert keys(api, "", limit=1)

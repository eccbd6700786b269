from __future__ import annotations

import pytest

from telemetry.cli.ids import short_id, short_ids

EVENT_ID = "01a20110-924a-720a-8702-b40762357110"


@pytest.mark.parametrize(
    ("run_id", "event_id", "short"),
    [
        ("20261122T022312Z-file-hasher-f542e6fd", EVENT_ID, "f542e6fd"),
        ("own-1", EVENT_ID, "own-1"),
        ("nightly-import-of-everything", EVENT_ID, "01a20110-924a-720a"),
        ("nightly-import-of-everything", "not-a-uuid", "nightly-import-of-everything"),
        ("20261122T022312Z-agent-F542E6FD", EVENT_ID, "01a20110-924a-720a"),
        ("20261122T022312Z-agent-f542e6fg", EVENT_ID, "01a20110-924a-720a"),
        ("", EVENT_ID, "01a20110-924a-720a"),
        ("", "", ""),
    ],
)
def test_short_id_is_what_is_random(run_id, event_id, short):
    """
    A generated id is known by its random end, a short one of the caller's own by itself.
    """
    assert short_id(run_id, event_id) == short


def test_runs_that_would_share_a_short_id_keep_a_long_one():
    """
    A list never shows one name for two runs.
    """
    rows = [{"run_id": "same", "event_id": "a"}, {"run_id": "same", "event_id": "b"}]

    assert short_ids(rows) == {"a": "a", "b": "b"}

"""
Some of the crash points of each scenario; ``python tests/crash/enumerate_crashes.py`` takes all.
"""

import os
import re

import pytest

MOST = int(os.environ.get("TELEMETRY_TEST_CRASH_POINTS", "5"))


@pytest.mark.parametrize(
    "scenario",
    [
        "create",
        "append",
        "reopen",
        "own",
        "record",
        "drain",
        "recover",
        "backup",
        "restore",
        "undo",
        "heal",
        "retain",
    ],
)
def test_no_system_call_is_a_bad_place_to_die(run_script, tracing, scenario):
    """
    Killed on its way into any storage call, a process leaves all it acknowledged, and no obstacle.
    """
    status, output = run_script("enumerate_crashes.py", "--scenario", scenario, "--most", MOST)

    assert status == 0, output
    assert re.search(rf"^{scenario} +[1-9]\d* crash points, 0 problems", output, re.MULTILINE)

"""
Random kills, in the size of a test; ``python tests/crash/kill_soak.py --kills 1000`` is the whole.
"""

import os
import re

import pytest

KILLS = int(os.environ.get("TELEMETRY_TEST_KILLS", "40"))


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(["--layer", "client"], id="client"),
        pytest.param(["--layer", "journal"], id="journal"),
        pytest.param(
            ["--layer", "journal", "--large-share", "1", "--writers", "3"], id="large lines"
        ),
    ],
)
def test_nothing_acknowledged_is_lost(tmp_path, run_script, forking, options):
    """
    Writers and drainers are killed at random; what was acknowledged is all there in the end.
    """
    status, output = run_script(
        "kill_soak.py", "--kills", KILLS, "--acknowledged", 20 * KILLS, "--keep", tmp_path, *options
    )

    assert status == 0, output
    assert re.search(r"^acknowledged +[1-9]", output, re.MULTILINE)
    assert re.search(r"^journal: acknowledged and missing +0$", output, re.MULTILINE)

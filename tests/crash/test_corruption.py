"""
Random damage, in the size of a test; ``python tests/crash/corruption_soak.py`` is the whole.
"""

import os
import re

WAYS = int(os.environ.get("TELEMETRY_TEST_CORRUPTIONS", "6"))


def test_nothing_acknowledged_is_missing_after_recovery(run_script, forking):
    """
    The database is damaged in random ways while agents write; after recover all they said is there.
    """
    status, output = run_script("corruption_soak.py", "--ways", WAYS)

    assert status == 0, output
    assert re.search(rf"^{WAYS} ways, [1-9]\d+ acknowledged, 0 problems$", output, re.MULTILINE)

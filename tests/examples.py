"""
How many examples a property is tried with.

All of them by default; tox lets one Python try them all, and the others a share.
"""

from __future__ import annotations

import os

#: Of each hundred examples, so many.
PERCENT = int(os.environ.get("TELEMETRY_TEST_PERCENT", "100"))


def share_of(count):
    """
    Return how many of so many examples are tried here, at least one.
    """
    return max(1, count * PERCENT // 100)

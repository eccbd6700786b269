"""
What a test does where the machine cannot do what it needs.
"""

from __future__ import annotations

import os

import pytest


def unable(reason):
    """
    Skip the test; in CI, where everything must be there, that is a failure.
    """
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI must be able to do this: {reason}")
    pytest.skip(reason)

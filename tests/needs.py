"""
What a test does where the machine cannot do what it needs.
"""

from __future__ import annotations

import os
import shutil

import pytest

#: In CI everything must be there.
IS_CI = os.environ.get("CI", "") not in {"", "0", "false"}


def program(name):
    """
    Return the mark of tests that need a program: without it they are skipped, and fail in CI.
    """
    is_lacking = shutil.which(name) is None
    return pytest.mark.skipif(is_lacking and not IS_CI, reason=f"{name} is not installed")


def unable(reason):
    """
    Skip the test; in CI, where everything must be there, that is a failure.
    """
    if IS_CI:
        pytest.fail(f"CI must be able to do this: {reason}")
    pytest.skip(reason)
